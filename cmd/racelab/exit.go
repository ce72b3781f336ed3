package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
)

// Exit codes, the same for every command.
const (
	exitOK          = 0
	exitViolated    = 1 // a race was found, or a loss was seen
	exitUsage       = 2
	exitUnknown     = 3 // nothing was proved
	exitUnreachable = 4 // an engine or a target; also for what broke off
	exitInterrupted = 130
	exitUnread      = 141 // as a shell reports a death by SIGPIPE
)

// An exit is an error that has a code of its own. One without a cause has been
// said already: nothing more is printed.
type exit struct {
	code   int
	name   string // for JSON
	remedy string
	err    error
}

// errSaid is what an exit without a cause is.
var errSaid = errors.New("all has been said")

func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

func (e *exit) Is(target error) bool { return target == errSaid && e.err == nil }

// usage is the error for input that makes no sense.
func usage(format string, args ...any) error {
	return &exit{code: exitUsage, name: "usage", err: fmt.Errorf(format, args...)}
}

// flagError says of a flag's value that cannot be read what to write instead.
func flagError(err error) error {
	wrong := (*pflag.InvalidValueError)(nil)
	if !errors.As(err, &wrong) {
		return err
	}
	flag := wrong.GetFlag()
	give := map[string]string{
		"int": "a whole number", "uint64": "a whole number, 0 or more", "bool": "true or false, or nothing",
	}[flag.Value.Type()]
	if give == "" {
		return err
	}
	name := "--" + flag.Name
	if flag.Shorthand != "" {
		name = "-" + flag.Shorthand
	}
	return usage("%s is %q: give %s", name, wrong.GetValue(), give)
}

// unreachable is the error for an engine or a target that cannot be had.
func unreachable(err error) error {
	return &exit{code: exitUnreachable, name: "unreachable", remedy: remedy(err), err: err}
}

// failed gives a code to the error of a command's own work: it makes sense to
// us, and broke off. What never gets here, and so has no code, is cobra's: an
// unknown command, a flag that does not parse.
func failed(err error) error {
	if e := (*exit)(nil); err == nil || errors.As(err, &e) {
		return err
	}
	return &exit{code: exitUnreachable, name: "failed", err: err}
}

// remedy says what to do about an engine or a port that cannot be had.
func remedy(err error) string {
	var network *net.OpError
	var path *fs.PathError
	switch {
	case errors.As(err, &network) && network.Op == "listen" && errors.Is(err, syscall.EACCES):
		return "ports below 1024 are root's (or CAP_NET_BIND_SERVICE's): listen on another one, such as 127.0.0.1:8080"
	case errors.As(err, &network) && network.Op == "listen":
		return "listen elsewhere: `--listen 127.0.0.1:0` takes any free port"
	case errors.As(err, &path) && strings.HasPrefix(path.Path, os.TempDir()):
		return "set TMPDIR to a folder that can be written and has room, such as /tmp"
	}
	return "run `racelab doctor`, with the same DSN if one was given, to see what is there"
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
	return exitUsage // cobra's own
}
