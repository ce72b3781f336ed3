package check

import (
	"fmt"
	"slices"

	"github.com/racelab/racelab"
)

// A Measure is what an invariant gave.
type Measure struct {
	Name     string `json:"name"`
	Expected int64  `json:"expected"`
	Actual   int64  `json:"actual"`
	query    bool
}

// Holds reports whether the claim is true.
func (m Measure) Holds() bool { return m.Expected == m.Actual }

// Why says why the claim is false.
func (m Measure) Why() string {
	if m.query {
		return m.Name + " is false"
	}
	return fmt.Sprintf("%s: expected %d, and it is %d", m.Name, m.Expected, m.Actual)
}

// Invariants measures the scenario's claims over a state.
func Invariants(s *racelab.Scenario, state racelab.State) ([]Measure, error) {
	var all []Measure
	for _, claim := range s.Invariants {
		measure := claim.Measure
		if claim.Query != "" {
			measure = answer(claim.Query)
		}
		expected, actual, err := measure(state)
		if err != nil {
			return nil, fmt.Errorf("measure %q: %w", claim.Name, err)
		}
		all = append(all, Measure{claim.Name, expected, actual, claim.Query != ""})
	}
	return all, nil
}

// answer reads what a query says that is a claim: 1 is expected, and 0 is false.
func answer(query string) func(racelab.State) (int64, int64, error) {
	return func(state racelab.State) (expected, actual int64, err error) {
		t, ok := state.Table(query)
		if !ok || len(t.Rows) != 1 || len(t.Rows[0]) != 1 {
			return 0, 0, fmt.Errorf("it is to give one row of one value, and gives %d rows of %d", len(t.Rows), len(t.Columns))
		}
		switch v := t.Rows[0][0].(type) {
		case nil: // unknown is not true
			return 1, 0, nil
		case bool:
			return 1, truth(v), nil
		case int64:
			return 1, truth(v != 0), nil
		}
		return 0, 0, fmt.Errorf("it is to give true or false, or a whole number, and gives %s", textOf(t.Rows[0][0]))
	}
}

func truth(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

// compared is a final state without what was read for invariants only.
func compared(s *racelab.Scenario, final racelab.State) racelab.State {
	if !slices.ContainsFunc(s.Invariants, func(i racelab.Invariant) bool { return i.Query != "" }) {
		return final
	}
	return slices.DeleteFunc(slices.Clone(final), func(t racelab.Table) bool {
		return slices.ContainsFunc(s.Invariants, func(i racelab.Invariant) bool { return i.Query == t.Name })
	})
}
