package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
)

// An ending is how a command ended.
type ending struct {
	err         error
	interrupted bool
	output      error // why stdout could not be written
	json        bool
}

// say says what has not been said yet, and returns the exit code.
func (e ending) say(stdout, stderr *os.File) int {
	switch {
	case errors.Is(e.output, syscall.EPIPE):
		e.sayBesides(stderr)
		return exitUnread
	case e.output != nil:
		report(failed(fmt.Errorf("write the output: %w", e.output)), false, stdout, stderr)
		e.sayBesides(stderr)
		return exitUnreachable
	case e.interrupted && e.err != nil:
		if !errors.Is(e.err, errSaid) {
			fmt.Fprintln(stderr, "racelab: interrupted")
		}
		e.sayBesides(stderr)
		return exitInterrupted
	case errors.Is(e.err, errSaid):
		e.sayBesides(stderr)
	case e.err != nil:
		report(e.err, e.json, stdout, stderr)
	}
	return codeOf(e.err)
}

// sayBesides says what else went wrong: that a server or a folder could not be
// removed.
func (e ending) sayBesides(stderr io.Writer) {
	for _, err := range besides(e.err, errSaid, context.Canceled, syscall.EPIPE) {
		if e.output == nil || !errors.Is(err, e.output) {
			fmt.Fprintf(stderr, "racelab: %s\n", printable(err.Error()))
		}
	}
}

// besides returns the parts of an error that are none of the known ones. Parts
// are what errors.Join put together, one a line, and not an error that names
// several causes in one sentence.
func besides(err error, known ...error) []error {
	if err == nil {
		return nil
	}
	if !slices.ContainsFunc(known, func(k error) bool { return errors.Is(err, k) }) {
		return []error{err}
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return besides(e.Unwrap(), known...)
	case interface{ Unwrap() []error }:
		if err.Error() != errors.Join(e.Unwrap()...).Error() {
			return nil
		}
		var others []error
		for _, part := range e.Unwrap() {
			others = append(others, besides(part, known...)...)
		}
		return others
	}
	return nil
}

// report says an error: for a program on stdout, for a person on stderr.
func report(err error, asJSON bool, stdout, stderr io.Writer) {
	e := &exit{name: "usage", remedy: "see `racelab --help`"} // cobra's own
	errors.As(err, &e)
	if asJSON {
		_ = writeJSON(stdout, map[string]string{
			"schema": "racelab.error/1", "code": e.name, "message": err.Error(), "remedy": e.remedy,
		})
		return
	}
	fmt.Fprintf(stderr, "racelab: %s\n", printable(err.Error()))
	if e.remedy != "" {
		fmt.Fprintf(stderr, "  %s\n", e.remedy)
	}
}

// wantsJSON looks for --json among the arguments themselves: where a flag
// before it does not parse, nobody has read it.
func wantsJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.ContainsFunc(args, func(a string) bool {
		value, ok := strings.CutPrefix(a, "--json=")
		return a == "--json" || ok && (value == "true" || value == "1")
	})
}
