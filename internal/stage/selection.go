package stage

import (
	"fmt"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/nearest"
)

// A Selection is what somebody chose to run.
type Selection struct {
	Scenario *racelab.Scenario
	Strategy *racelab.Strategy
	Engine   racelab.Engine
	Level    racelab.Level
}

// ErrNotAvailable says that a strategy cannot be had on an engine.
type ErrNotAvailable struct{ Strategy, Because string }

func (e ErrNotAvailable) Error() string {
	return fmt.Sprintf("%s is not available, because %s", e.Strategy, e.Because)
}

// Find returns the scenario and the strategy that SCENARIO or
// SCENARIO/STRATEGY names among all; the strategy is nil if none is named.
func Find(all []*racelab.Scenario, name string) (*racelab.Scenario, *racelab.Strategy, error) {
	scenario, strategy, named := strings.Cut(name, "/")
	var names []string
	for _, s := range all {
		if s.Name != scenario {
			names = append(names, s.Name)
			continue
		}
		if !named {
			return s, nil, nil
		}
		if st, ok := s.Strategy(strategy); ok {
			return s, st, nil
		}
		var strategies []string
		for _, st := range s.Strategies {
			strategies = append(strategies, st.Name)
		}
		return nil, nil, nearest.Unknown("strategy of "+s.Name, strategy, strategies)
	}
	return nil, nil, nearest.Unknown("scenario", scenario, names)
}

// Select puts a choice together. The level, if none is given, is the one the
// strategy is written for, or else the engine's first.
func Select(s *racelab.Scenario, st *racelab.Strategy, e racelab.Engine, l racelab.Level) (Selection, error) {
	if why := s.Because(st, e, l); why != "" {
		return Selection{}, ErrNotAvailable{st.Name, why}
	}
	if l == "" {
		l = st.Level
	}
	l, err := e.Dialect.Level(l)
	if err != nil {
		return Selection{}, fmt.Errorf("%s: %w", e.Name, err)
	}
	return Selection{s, st, e, l}, nil
}

// Name returns SCENARIO/STRATEGY.
func (s Selection) Name() string { return s.Scenario.Name + "/" + s.Strategy.Name }

// Config returns what the selection's world is opened with for free running.
func (s Selection) Config() racelab.Config {
	c := racelab.Config{
		Level:     s.Level,
		Setup:     s.setup(),
		State:     s.Scenario.State,
		AllTables: s.Scenario.Learn != nil,
		BusyLimit: BusyLimit,
	}
	for _, claim := range s.Scenario.Invariants {
		if claim.Query != "" {
			c.Queries = append(c.Queries, claim.Query)
		}
	}
	return c
}

// setup lists the statements that make and seed the scenario's tables.
func (s Selection) setup() []string {
	if s.Scenario.Setup == nil {
		return nil
	}
	return s.Scenario.Setup(s.Engine.Dialect)
}
