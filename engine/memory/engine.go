// Package memory is the engine of scenarios that share nothing but the memory
// of a process. What they share is made by package mem, so this engine keeps no
// data: its worlds are empty, and nobody can connect to them.
//
// The memory that is explored is sequentially consistent: each operation is
// done at once, and all sessions see all of them in the same order. Go promises
// that to programs without data races, which are reported for that reason.
package memory

import (
	"context"
	"errors"
	"runtime"
	"strings"

	"github.com/racelab/racelab"
)

// Engine is shared memory.
var Engine = racelab.Engine{
	Name: "memory",
	Dialect: racelab.Dialect{
		Levels:    []racelab.Level{racelab.SequentialConsistency},
		Rebind:    func(text string) string { return text },
		Locking:   func(string, racelab.Level) racelab.Locking { return 0 },
		Isolation: func(racelab.Level) racelab.Isolation { return racelab.Isolation{} },
		Classify:  classify,
	},
	Find: func(context.Context) racelab.Found {
		return racelab.Found{Engine: "memory", Found: true, Version: version()}
	},
	Start: func(_ context.Context, dsn string) (racelab.Server, error) {
		if dsn != "" {
			return nil, errors.New("shared memory has no address: leave the DSN out")
		}
		return server{}, nil
	},
}

func version() string { return strings.TrimPrefix(runtime.Version(), "go") }

func classify(err error) racelab.Class {
	if c := racelab.ClassOf(err); c != "" {
		return c
	}
	return racelab.Other
}

type server struct{}

func (server) Product() racelab.Product {
	return racelab.Product{Name: "Go", Version: version(), Settings: map[string]string{}}
}

func (server) Open(_ context.Context, c racelab.Config) (racelab.World, error) {
	if len(c.Setup) > 0 {
		return nil, errNoSQL
	}
	return world{}, nil
}

func (server) Named(context.Context) (racelab.NamedDatabase, error) {
	return racelab.NamedDatabase{}, nil
}

func (server) Close() error { return nil }

var errNoSQL = errors.New("shared memory knows no SQL")

// A world is empty: the values are made anew for each run, by whoever runs it.
type world struct{}

func (world) Connect(context.Context) (racelab.Conn, error) { return nil, errNoSQL }
func (world) Blocked(context.Context, []racelab.ConnID) ([]racelab.ConnID, error) {
	return nil, nil
}
func (world) Waits(context.Context, []racelab.ConnID) ([]racelab.Wait, error) { return nil, nil }
func (world) End(context.Context, []racelab.ConnID) error                     { return nil }
func (world) Victims() bool                                                   { return false }
func (world) Freeze(context.Context, []racelab.ConnID) error                  { return nil }
func (world) Thaw(...racelab.ConnID) error                                    { return nil }
func (world) Schema(context.Context) (racelab.Schema, error)                  { return racelab.Schema{}, nil }
func (world) State(context.Context) (racelab.State, error)                    { return nil, nil }
func (world) Reset(context.Context) error                                     { return nil }
func (world) Address() string                                                 { return "" }
func (world) Close() error                                                    { return nil }
