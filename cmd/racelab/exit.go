package main

import (
	"errors"
	"fmt"
)

// Exit codes, the same for every command.
const (
	exitOK          = 0
	exitViolated    = 1 // a race was found, or a loss was seen
	exitUsage       = 2
	exitUnknown     = 3 // nothing was proved
	exitUnreachable = 4 // an engine or a target
	exitInterrupted = 130
)

// An exit is an error that has a code of its own. One without a cause has been
// said already: nothing more is printed.
type exit struct {
	code   int
	name   string // for JSON
	remedy string
	err    error
}

func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// usage is the error for input that makes no sense.
func usage(format string, args ...any) error {
	return &exit{code: exitUsage, name: "usage", err: fmt.Errorf(format, args...)}
}

// unreachable is the error for an engine or a target that cannot be had.
func unreachable(err error) error {
	return &exit{code: exitUnreachable, name: "unreachable", remedy: "run `racelab doctor` to see what is there", err: err}
}

// exitCode ends the command with a code after everything has been said.
func exitCode(code int) error {
	if code == exitOK {
		return nil
	}
	return &exit{code: code}
}

// codeOf returns the exit code that an error means.
func codeOf(err error) int {
	var e *exit
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
		return e.code
	}
	return exitUsage // cobra's own errors: unknown commands, flags that do not parse
}
