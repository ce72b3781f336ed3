package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestWhatAnInterruptDoesNotExplainIsSaid(t *testing.T) {
	leftBehind := errors.New("remove /tmp/racelab-1: device busy")
	for name, test := range map[string]struct {
		err  error
		want []error
	}{
		"nothing":           {nil, nil},
		"the interrupt":     {context.Canceled, nil},
		"wrapped":           {unreachable(fmt.Errorf("open postgres: %w", context.Canceled)), nil},
		"two in a sentence": {fmt.Errorf("%w to the lab: %w", errors.New("no connection"), context.Canceled), nil},
		"a clean-up":        {errors.Join(context.Canceled, leftBehind), []error{leftBehind}},
		"deep within":       {&exit{err: fmt.Errorf("run x: %w", errors.Join(context.Canceled, leftBehind))}, []error{leftBehind}},
		"beside a report":   {errors.Join(exitCode(exitInterrupted), context.Canceled, leftBehind), []error{leftBehind}},
		"alone":             {leftBehind, []error{leftBehind}},
	} {
		got := besides(test.err, errSaid, context.Canceled)
		if fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestOnlyCobrasErrorsAreTakenForUsage(t *testing.T) {
	plain := errors.New("the disk is gone")
	if code := codeOf(failed(plain)); code != exitUnreachable {
		t.Errorf("a command's own error exits with %d", code)
	}
	if code := codeOf(failed(usage("no"))); code != exitUsage {
		t.Errorf("usage exits with %d", code)
	}
	root := rootCommand()
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	for _, args := range [][]string{{"frobnicate"}, {"list", "--frobnicate"}, {"list", "too", "many"}, {"run"}} {
		root.SetArgs(args)
		if code := codeOf(root.Execute()); code != exitUsage {
			t.Errorf("%q exits with %d", args, code)
		}
	}
}

func TestRemediesFit(t *testing.T) {
	listen := func(errno syscall.Errno) error {
		return fmt.Errorf("serve: %w", &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", errno)})
	}
	for _, test := range []struct {
		err  error
		want string
	}{
		{listen(syscall.EACCES), "ports below 1024"},
		{listen(syscall.EADDRNOTAVAIL), "--listen"},
		{&fs.PathError{Op: "mkdir", Path: filepath.Join(os.TempDir(), "racelab-1"), Err: syscall.EROFS}, "TMPDIR"},
		{errors.New("no binaries"), "racelab doctor"},
	} {
		if got := remedy(test.err); !strings.Contains(got, test.want) {
			t.Errorf("%v: %s", test.err, got)
		}
	}
}

func TestJSONIsAskedForByTheArguments(t *testing.T) {
	for line, want := range map[string]bool{
		"run --frobnicate --json": true, "list --json=true": true, "list --json=false": false, "list": false, "show -- --json": false,
	} {
		if got := wantsJSON(strings.Fields(line)); got != want {
			t.Errorf("%s: %t", line, got)
		}
	}
}
