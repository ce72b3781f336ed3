package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/isolation"
	"github.com/racelab/racelab/internal/spec"
	"github.com/racelab/racelab/internal/stage"
)

// ofIsolationtester are the flags of explore that mean something for --format isolationtester.
var ofIsolationtester = map[string]bool{"format": true, "engine": true, "dsn": true, "dsn-file": true, "level": true, "step-limit": true, "allow-destructive": true}

// isolationtester runs an isolation test of PostgreSQL, as its own program does.
func isolationtester(c *cobra.Command, file string, f exploreFlags) (err error) {
	if f.format != "isolationtester" {
		return usage("--format is %q: give isolationtester, or leave it out to have the file judged", f.format)
	}
	c.Flags().Visit(func(flag *pflag.Flag) {
		if err == nil && !ofIsolationtester[flag.Name] {
			err = usage("--%s and --format isolationtester do not go together: that runs what the file says, and judges nothing", flag.Name)
		}
	})
	if err != nil {
		return err
	}
	s, err := readSpec(file)
	if malformed := (*spec.Error)(nil); errors.As(err, &malformed) {
		return &exit{code: exitViolated, name: "spec", err: err} // the reference program's code
	}
	if err != nil {
		return usage("%w", err)
	}
	address, err := f.address()
	if err != nil {
		return usage("%w", err)
	}
	if f.engine == "" && address == "" {
		f.engine = "postgres" // whose format it is
	}
	e, address, level, err := f.resolve("")
	if err != nil {
		return err
	}
	o := isolation.Options{Out: plainWriter(c.OutOrStdout()), Err: plainWriter(c.ErrOrStderr())}
	if f.given.Changed("step-limit") {
		if o.Patience, err = stage.ParseDuration(f.stepLimit); err != nil || o.Patience <= 0 {
			return usage("--step-limit is %q: give a time, such as 30s", f.stepLimit)
		}
	}
	o.Timeout = isolationTimeout(os.Getenv("PGISOLATIONTIMEOUT"))
	if o.Application = os.Getenv("PGAPPNAME"); o.Application == "" { // as PostgreSQL's own run of its tests calls them
		o.Application = "isolation/" + strings.TrimSuffix(filepath.Base(file), ".spec")
	}
	server, err := start(c.Context(), e, address)
	if err != nil {
		return err
	}
	named, err := f.named(c.Context(), file, server)
	if err == nil {
		err = runIsolationTest(c.Context(), s, server, racelab.Config{Level: level, Attach: named, OwnSettings: true}, o)
	}
	if errors.Is(err, isolation.ErrFailed) {
		err = exitCode(exitViolated) // as the reference program does; why has been said
	}
	return errors.Join(err, server.Close())
}

// runIsolationTest runs a file in the database that the DSN names, or in a new
// one. Of the sessions and this program only one moves at a time: more processors
// would only wake each other, which takes them as long as the steps.
func runIsolationTest(ctx context.Context, s *spec.Spec, server racelab.Server, c racelab.Config, o isolation.Options) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	w, err := server.Open(ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(isolation.Run(ctx, s, w, o), w.Close())
}

// isolationTimeout reads a number of seconds as the reference program does, with
// C's atoi: what is no number is 0, which leaves no time at all.
func isolationTimeout(s string) time.Duration {
	if s == "" {
		return 0
	}
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	if strings.HasPrefix(s, "+") {
		digits = 1 + len(s[1:]) - len(strings.TrimLeft(s[1:], "0123456789"))
	}
	n, _ := strconv.ParseInt(s[:digits], 10, 32) // beyond that it is the largest
	return max(1, time.Duration(n)*time.Second)
}

// plainWriter passes everything on as it is, byte for byte, unless a person is
// looking: what a terminal shows is escaped, tabs excepted.
func plainWriter(w io.Writer) io.Writer {
	if !isTerminal(w) {
		return w
	}
	return escaping{w}
}

type escaping struct{ w io.Writer }

func (e escaping) Write(b []byte) (int, error) {
	parts := strings.Split(string(b), "\t")
	for i := range parts {
		parts[i] = printable(parts[i])
	}
	if _, err := fmt.Fprint(e.w, strings.Join(parts, "\t")); err != nil {
		return 0, err
	}
	return len(b), nil
}
