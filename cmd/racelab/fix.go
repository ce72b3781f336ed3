package main

import (
	"maps"
	"slices"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/racelab/racelab/internal/load"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
)

// fixOf names the first of a strategy's fixes that is declared to hold on the
// selection's engine and level; "" if there is none.
func fixOf(sel stage.Selection) string {
	for _, name := range sel.Strategy.Fix {
		fix, ok := sel.Scenario.Strategy(name)
		if !ok || sel.Scenario.Because(fix, sel.Engine, sel.Level) != "" {
			continue
		}
		switch x, _ := fix.Expected(sel.Engine.Name, sel.Level); x.Result {
		case racelab.CellHolds, racelab.CellHoldsWithAborts:
			return name
		}
	}
	return ""
}

// fix names the fix of the strategy that was chosen, or of the first session's
// that has one.
func (c chosen) fix() string {
	for _, id := range slices.Sorted(maps.Keys(c.how.Strategies)) {
		sel := c.Selection
		sel.Strategy = c.how.Strategies[id]
		if name := fixOf(sel); name != "" {
			return name
		}
	}
	return fixOf(c.Selection)
}

// hitFix names a strategy that does not lose, if the one that was hit did.
func hitFix(r load.Report) string {
	if r.Verdict != load.Violated || *r.Lost <= 0 {
		return ""
	}
	e, err := dsn.Named(r.Engine)
	if err != nil {
		return ""
	}
	deposit, _ := scenario.Named("deposit")
	st, ok := deposit.Strategy(r.Strategy)
	if !ok {
		return ""
	}
	return fixOf(stage.Selection{Scenario: deposit, Strategy: st, Engine: e})
}

// declaredSafe reports whether a strategy promises to hold. Of what is not
// ours, nothing is claimed.
func declaredSafe(strategy string) bool {
	deposit, _ := scenario.Named("deposit")
	st, ok := deposit.Strategy(strategy)
	return !ok || st.Safe
}
