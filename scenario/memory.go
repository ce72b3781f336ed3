package scenario

import (
	"fmt"

	"github.com/racelab/racelab"
)

// valueIn is what a value of shared memory is in the final state.
func valueIn(s racelab.State, name string) (racelab.Value, error) {
	for _, t := range s {
		if i := t.Column(name); i >= 0 && len(t.Rows) == 1 {
			return t.Rows[0][i], nil
		}
	}
	return nil, fmt.Errorf("the state holds no %s", name)
}

// intIn is what a number of shared memory is in the final state.
func intIn(s racelab.State, name string) (int64, error) {
	v, err := valueIn(s, name)
	if err != nil {
		return 0, err
	}
	n, ok := v.(int64)
	if !ok {
		return 0, fmt.Errorf("%s is no whole number: %v", name, v)
	}
	return n, nil
}
