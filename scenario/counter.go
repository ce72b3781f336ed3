package scenario

import (
	"context"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

var counter = racelab.Scenario{
	Name:    "counter",
	Summary: "two threads add to one number",
	Story: `One number, and two threads of one process that add 40 and 30 to it. No database
is needed for a race: a read and a write that are two steps are enough.`,
	Sources: []string{"2-thread-safety-talk.txt", "3-django-race-conditions.tr.txt"},
	Cast: []racelab.Role{
		{Name: "adder", Calls: []racelab.Args{{"amount": int64(40)}}},
		{Name: "adder", Calls: []racelab.Args{{"amount": int64(30)}}},
	},
	Strategies: []racelab.Strategy{
		{
			Name:    "read-modify-write",
			Summary: "read the number, add, write it back",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "lost-update"}},
			Process: func(m *racelab.Memory) any { return mem.NewVar(m, "number", int64(0)) },
			Body:    map[string]racelab.Body{"adder": counterReadModifyWrite},
		},
	},
}

// What the article's two threads do: read the number, add to it, write it back.
// Written as number += amount it is the same three steps. Whoever reads before
// the other has written adds to the old number, and the later write wins: 40 or
// 30 is left, and not 70.
func counterReadModifyWrite(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	number := env.Process.(*mem.Var[int64])
	n := number.Load()
	number.Store(n + env.Args.Int("amount"))
	return nil, nil
}
