package lab

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestWorkerIsToldNothingInItsArguments(t *testing.T) {
	c := open(t, nil)
	b, err := os.ReadFile("/proc/" + strconv.Itoa(c.settings().Pids[0]) + "/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	if words := strings.Split(strings.Trim(string(b), "\x00"), "\x00"); len(words) != 2 || words[1] != "worker" {
		t.Errorf("the worker's command line is %q", words)
	}
}
