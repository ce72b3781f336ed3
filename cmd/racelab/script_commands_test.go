package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// exits runs a command and checks its exit code, which exec does not show:
// exits CODE racelab ARGS...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		got = failed.ExitCode()
	case err != nil:
		ts.Fatalf("run %s: %v", args[1], err)
	}
	if got != want {
		ts.Fatalf("%v exits with %d, want %d", args[1:], got, want)
	}
}

// empty checks that nothing is in a folder: empty DIR.
func empty(ts *testscript.TestScript, neg bool, args []string) {
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	if (len(entries) == 0) == neg {
		ts.Fatalf("%s holds %v", args[0], entries)
	}
}

// openLab opens a laboratory for the rest of the script and sets RACELAB_LAB to
// its URL and ADDRESS to host and port: lab FLAGS... When the script ends it gets a SIGTERM, and must
// end well.
func openLab(ts *testscript.TestScript, neg bool, args []string) {
	// The script's racelab is the first program of its path.
	program := filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "racelab")
	cmd := exec.Command(program, append([]string{"serve", "--listen", "127.0.0.1:0", "--json"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+ts.Getenv("TMPDIR"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		ts.Check(cmd.Wait())
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	ts.Check(err)
	var ready struct {
		URL    string `json:"url"`
		Engine string `json:"engine"`
	}
	ts.Check(json.Unmarshal(line, &ready))
	ts.Setenv("RACELAB_LAB", ready.URL)
	ts.Setenv("ADDRESS", strings.TrimPrefix(ready.URL, "http://"))
}
