package check

import (
	"fmt"

	"github.com/racelab/racelab"
)

// A Measure is what an invariant gave.
type Measure struct {
	Name     string `json:"name"`
	Expected int64  `json:"expected"`
	Actual   int64  `json:"actual"`
}

// Holds reports whether the claim is true.
func (m Measure) Holds() bool { return m.Expected == m.Actual }

// Invariants measures the scenario's claims over a state.
func Invariants(s *racelab.Scenario, state racelab.State) ([]Measure, error) {
	var all []Measure
	for _, claim := range s.Invariants {
		expected, actual, err := claim.Measure(state)
		if err != nil {
			return nil, fmt.Errorf("measure %q: %w", claim.Name, err)
		}
		all = append(all, Measure{claim.Name, expected, actual})
	}
	return all, nil
}
