package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
	"github.com/spf13/pflag"
)

// engineFlags are the flags by which every command takes an engine.
type engineFlags struct {
	engine, dsn, dsnFile, level string
	given                       *pflag.FlagSet
	apart                       bool // from the environment's DSN: the scenario has no database
}

func (f *engineFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.engine, "engine", "", "sqlite (embedded, the default), postgres or mysql (alias mariadb); memory, for what uses no database")
	f.addServer(flags)
	flags.StringVar(&f.level, "level", "", "isolation level by its SQL name (default: the engine's first, or the strategy's own)")
}

// addServer adds those that name a server.
func (f *engineFlags) addServer(flags *pflag.FlagSet) {
	f.given = flags
	flags.StringVar(&f.dsn, "dsn", "", "server to use: postgres://..., mysql://... or sqlite:PATH (better: --dsn-file or RACELAB_DSN, which no process list shows)")
	flags.StringVar(&f.dsnFile, "dsn-file", "", "file that holds the DSN")
}

// resolve returns the engine, the DSN ("": a private server) and the level that
// are meant for a scenario, which may be followed by a strategy; "" is any.
func (f *engineFlags) resolve(name string) (racelab.Engine, string, racelab.Level, error) {
	fail := func(err error) (racelab.Engine, string, racelab.Level, error) {
		return racelab.Engine{}, "", "", usage("%w", err)
	}
	address, err := f.address()
	if err != nil {
		return fail(err)
	}
	if isSpec(name) {
		name = ""
	}
	name, _, _ = strings.Cut(name, "/")
	s, _ := scenario.Named(name)
	if s != nil && s.Setup == nil && !f.given.Changed("dsn") && !f.given.Changed("dsn-file") {
		address, f.apart = "", true // the environment's is for those with a database
	}
	e, err := dsn.Resolve(f.engine, address, s)
	if err != nil {
		return fail(err)
	}
	var l racelab.Level
	if f.level != "" {
		if l, err = racelab.ParseLevel(f.level); err != nil {
			return fail(err)
		}
		if l, err = e.Dialect.Level(l); err != nil {
			return fail(fmt.Errorf("%s: %w", e.Name, err))
		}
	}
	return e, address, l, nil
}

const mostDSN = 64 << 10 // bytes of a file that holds one

// address returns the DSN that was given, "" if none was. A way to give one
// that gives none is an error: it would mean another database than was meant.
func (f *engineFlags) address() (string, error) {
	switch {
	case f.dsn != "" && f.dsnFile != "":
		return "", errors.New("--dsn and --dsn-file exclude each other")
	case f.given.Changed("dsn") && strings.TrimSpace(f.dsn) == "":
		return "", errors.New("--dsn is empty: write postgres://..., mysql://... or sqlite:PATH")
	case f.dsn != "":
		return f.dsn, nil
	case f.given.Changed("dsn-file") && f.dsnFile == "":
		return "", errors.New("--dsn-file names no file")
	case f.dsnFile == "":
		return os.Getenv("RACELAB_DSN"), nil
	}
	file, err := os.Open(f.dsnFile)
	if err != nil {
		return "", err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, mostDSN+1))
	if err != nil {
		return "", err
	}
	if len(b) > mostDSN {
		return "", fmt.Errorf("%s, given with --dsn-file, holds more than %d KiB: that is no DSN", f.dsnFile, mostDSN>>10)
	}
	address := strings.TrimSpace(string(b))
	if address == "" {
		return "", fmt.Errorf("%s, given with --dsn-file, holds no DSN", f.dsnFile)
	}
	return address, nil
}

// unsaid reports whether a line to type again cannot name the database, because
// its DSN came as a flag or from the environment.
func (f *engineFlags) unsaid() bool {
	return !f.apart && f.dsnFile == "" && (f.dsn != "" || os.Getenv("RACELAB_DSN") != "")
}

// start opens the engine's server.
func start(ctx context.Context, e racelab.Engine, dsn string) (racelab.Server, error) {
	server, err := e.Start(ctx, dsn)
	if err != nil {
		return nil, unreachable(fmt.Errorf("open %s: %w", e.Name, err))
	}
	return server, nil
}

// selection finds what a command's argument and engine flags mean together.
func selection(s *racelab.Scenario, st *racelab.Strategy, e racelab.Engine, l racelab.Level) (stage.Selection, error) {
	sel, err := stage.Select(s, st, e, l)
	var lacks stage.ErrNotAvailable
	if errors.As(err, &lacks) {
		return sel, &exit{code: exitUsage, name: "not-available", err: fmt.Errorf("%s/%w", s.Name, err)}
	}
	if err != nil {
		return sel, usage("%w", err)
	}
	return sel, nil
}
