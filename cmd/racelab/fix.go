package main

import (
	"github.com/racelab/racelab/internal/dsn"
	"github.com/racelab/racelab/internal/load"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
)

// fixOf names the scenario's first strategy that is safe and available on the
// selection's engine and level; "" if it has none.
func fixOf(sel stage.Selection) string {
	for _, st := range sel.Scenario.Strategies {
		if st.Safe && sel.Scenario.Because(&st, sel.Engine, sel.Level) == "" {
			return st.Name
		}
	}
	return ""
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
	return fixOf(stage.Selection{Scenario: deposit, Engine: e})
}

// declaredSafe reports whether a strategy promises to hold. Of what is not
// ours, nothing is claimed.
func declaredSafe(strategy string) bool {
	deposit, _ := scenario.Named("deposit")
	st, ok := deposit.Strategy(strategy)
	return !ok || st.Safe
}
