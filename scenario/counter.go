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
			Expect:  []racelab.Expect{{Result: racelab.CellViolated}},
			Fix:     []string{"locked"},
			Process: newCounter,
			Body:    map[string]racelab.Body{"adder": counterReadModifyWrite},
		},
		{
			Name:    "locked",
			Summary: "the same three steps with a mutex around them",
			Safe:    true,
			Process: newCounter,
			Body:    map[string]racelab.Body{"adder": counterLocked},
		},
	},
}

// What the article's two threads do: read the number, add to it, write it back.
// Written as number += amount it is the same three steps. Whoever reads before
// the other has written adds to the old number, and the later write wins: 40 or
// 30 is left, and not 70.
func counterReadModifyWrite(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	c := env.Process.(*sharedCounter)
	n := c.number.Load()
	c.number.Store(n + env.Args.Int("amount"))
	return nil, nil
}

// Whoever wants to add takes the mutex first and gives it back when the sum is
// written. The three steps are still three, but nobody else is between them.
func counterLocked(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	c := env.Process.(*sharedCounter)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	n := c.number.Load()
	c.number.Store(n + env.Args.Int("amount"))
	return nil, nil
}

// A sharedCounter is what the threads have in common.
type sharedCounter struct {
	number *mem.Var[int64]
	mutex  *mem.Mutex
}

func newCounter(m *racelab.Memory) any {
	return &sharedCounter{mem.NewVar(m, "number", int64(0)), mem.NewMutex(m, "number's mutex")}
}
