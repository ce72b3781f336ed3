// Package dsn turns a name or a DSN into an engine. It is the one place that
// knows all engines.
package dsn

import (
	"fmt"
	"slices"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/mysql"
	"github.com/racelab/racelab/engine/postgres"
	"github.com/racelab/racelab/engine/sqlite"
	"github.com/racelab/racelab/internal/nearest"
)

// Engines lists the engines; the first is the default.
var Engines = []racelab.Engine{sqlite.Engine, postgres.Engine, mysql.Engine}

// Named returns the engine of that name or alias; "" is the default.
func Named(name string) (racelab.Engine, error) {
	if name == "" {
		return Engines[0], nil
	}
	var names []string
	for _, e := range Engines {
		if e.Name == name || slices.Contains(e.Aliases, name) {
			return e, nil
		}
		names = append(append(names, e.Name), e.Aliases...)
	}
	return racelab.Engine{}, nearest.Unknown("engine", name, names)
}

// Resolve returns the engine that a name and a DSN, either of which may be
// empty, mean together.
func Resolve(name, dsn string) (racelab.Engine, error) {
	if dsn == "" {
		return Named(name)
	}
	scheme, _, ok := strings.Cut(dsn, ":")
	if !ok {
		return racelab.Engine{}, fmt.Errorf("the DSN has no scheme: write postgres://..., mysql://... or sqlite:PATH")
	}
	of, err := Named(scheme)
	if err != nil {
		return racelab.Engine{}, fmt.Errorf("the DSN's scheme: %w", err)
	}
	if name == "" {
		return of, nil
	}
	wanted, err := Named(name)
	if err == nil && wanted.Name != of.Name {
		err = fmt.Errorf("the DSN is for %s, and the engine asked for is %s", of.Name, wanted.Name)
	}
	return of, err
}
