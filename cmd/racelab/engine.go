package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/racelab/racelab/internal/stage"
	"github.com/spf13/pflag"
)

// engineFlags are the flags by which every command takes an engine.
type engineFlags struct {
	engine, dsn, dsnFile, level string
}

func (f *engineFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.engine, "engine", "", "sqlite (embedded, the default), postgres or mysql (alias mariadb)")
	flags.StringVar(&f.dsn, "dsn", "", "server to use: postgres://..., mysql://... or sqlite:PATH (better: --dsn-file or RACELAB_DSN, which no process list shows)")
	flags.StringVar(&f.dsnFile, "dsn-file", "", "file that holds the DSN")
	flags.StringVar(&f.level, "level", "", "isolation level by its SQL name (default: the engine's first, or the strategy's own)")
}

// resolve returns the engine, the DSN ("": a private server) and the level.
func (f *engineFlags) resolve() (racelab.Engine, string, racelab.Level, error) {
	fail := func(err error) (racelab.Engine, string, racelab.Level, error) {
		return racelab.Engine{}, "", "", usage("%w", err)
	}
	address := f.dsn
	switch {
	case f.dsn != "" && f.dsnFile != "":
		return fail(errors.New("--dsn and --dsn-file exclude each other"))
	case f.dsnFile != "":
		b, err := os.ReadFile(f.dsnFile)
		if err != nil {
			return fail(err)
		}
		address = strings.TrimSpace(string(b))
	case f.dsn == "":
		address = os.Getenv("RACELAB_DSN")
	}
	e, err := dsn.Resolve(f.engine, address)
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
