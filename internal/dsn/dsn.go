// Package dsn turns a name or a DSN into an engine. It is the one place that
// knows all engines.
package dsn

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/memory"
	"github.com/racelab/racelab/engine/mysql"
	"github.com/racelab/racelab/engine/postgres"
	"github.com/racelab/racelab/engine/sqlite"
	"github.com/racelab/racelab/internal/nearest"
)

// Engines lists the engines.
var Engines = []racelab.Engine{sqlite.Engine, postgres.Engine, mysql.Engine, memory.Engine}

// SQL lists the engines that are databases; the first is the default.
var SQL = slices.DeleteFunc(slices.Clone(Engines), func(e racelab.Engine) bool { return e.Dialect.Features&racelab.SQL == 0 })

// For lists the engines that a scenario is for; the first is the default.
func For(s *racelab.Scenario) []racelab.Engine {
	return slices.DeleteFunc(slices.Clone(Engines), func(e racelab.Engine) bool { return !s.Fits(e) })
}

// Named returns the engine of that name or alias.
func Named(name string) (racelab.Engine, error) {
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
// empty, mean together for a scenario, or for any if it is nil.
func Resolve(name, dsn string, s *racelab.Scenario) (racelab.Engine, error) {
	switch {
	case dsn == "" && name != "":
		return Named(name)
	case dsn == "" && s != nil:
		return For(s)[0], nil
	case dsn == "":
		return SQL[0], nil
	}
	// Of a DSN nothing else is ever quoted: it may be, or hold, a password.
	scheme, rest, ok := strings.Cut(dsn, ":")
	if !ok || !isScheme(scheme) {
		return racelab.Engine{}, errors.New("the DSN has no scheme: write postgres://..., mysql://... or sqlite:PATH")
	}
	of, err := Named(scheme)
	if err != nil {
		return racelab.Engine{}, fmt.Errorf("the DSN's scheme: %w", err)
	}
	if name != "" {
		wanted, err := Named(name)
		if err != nil {
			return of, err
		}
		if wanted.Name != of.Name {
			return of, fmt.Errorf("the DSN is for %s, and the engine asked for is %s", of.Name, wanted.Name)
		}
	}
	return of, form(of, rest)
}

func isScheme(s string) bool {
	return s != "" && len(s) <= 16 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == ""
}

// form finds what is plainly no DSN of the engine, before anything is started.
// What is left is up to the engine.
func form(e racelab.Engine, rest string) error {
	if e.Name == sqlite.Engine.Name {
		if rest == "" {
			return errors.New("the DSN names no file: write sqlite:PATH")
		}
		return nil
	}
	wrong := fmt.Errorf("the DSN cannot be read: write %s://user:password@host:port/, with %%XX for special characters", e.Name)
	if !strings.HasPrefix(rest, "//") {
		return wrong
	}
	if strings.Contains(rest, "unix(") { // MySQL's, and no URL
		return nil
	}
	u, err := url.Parse(e.Name + ":" + rest)
	if err != nil {
		return wrong
	}
	if port := u.Port(); port != "" {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return wrong
		}
	}
	return nil
}
