package scenario

import (
	"context"
	"fmt"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

var contextSwitch = racelab.Scenario{
	Name:    "context-switch",
	Summary: "three workers print, and who is next is decided by nobody",
	Story: `The talk's first program with threads: three workers print a line for each of their
iterations. Each run prints the lines in another order, and all of them are right.
That is no race condition: nothing is shared but the output, and a line is written
at once. It shows what all the other exhibits live on, that between any two steps of
a thread any number of another one's may come. Three workers with two iterations
have 6! / (2! 2! 2!) = 90 orders, and all are here; with three iterations, as in the
talk, 1680; with ten, more than 5,000,000,000,000.`,
	Sources: []string{"2-thread-safety-talk.txt"},
	Reading: []string{"Python documentation, sys.setswitchinterval; runtime: since Go 1.14 goroutines are preempted anywhere"},
	Cast: []racelab.Role{
		{Name: "worker", Calls: iterations(0, 2)},
		{Name: "worker", Calls: iterations(1, 2)},
		{Name: "worker", Calls: iterations(2, 2)},
	},
	Strategies: []racelab.Strategy{
		{
			Name:    "any-order",
			Summary: "print a line for each iteration: 90 outcomes, none of them wrong",
			Safe:    true,
			Process: newSwitches,
			Body:    worker(switchAnyOrder),
		},
		{
			Name:    "in-turn",
			Summary: "wait for one's turn: one outcome",
			Safe:    true,
			Process: newSwitches,
			Body:    worker(switchInTurn),
		},
	},
}

// iterations are a worker's calls.
func iterations(id, n int64) (calls []racelab.Args) {
	for i := range n {
		calls = append(calls, racelab.Args{"id": id, "iteration": i})
	}
	return calls
}

// The talk's worker, one iteration a call. The sleep is left out: a thread may be
// switched without one. Whatever the order is, it is one in which the calls were
// made one after another, so there is nothing to object to; a test that expects a
// particular one will fail some day.
func switchAnyOrder(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	printIteration(env)
	return nil, nil
}

// An order is there if somebody sees to it. Each line has an event: it is waited
// for before the line is printed, and set by whoever has printed the line before.
// The workers are as slow as one then, which is what an order costs.
func switchInTurn(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	s, turn := env.Process.(*switches), 3*env.Args.Int("iteration")+env.Args.Int("id")
	if turn > 0 {
		s.turns[turn-1].Wait()
	}
	printIteration(env)
	s.turns[turn].Set()
	return nil, nil
}

func printIteration(env *racelab.Env) {
	s := env.Process.(*switches)
	fmt.Fprintf(s.out, "Worker thread id %d; iteration %d\n", env.Args.Int("id"), env.Args.Int("iteration"))
}

type switches struct {
	out   *mem.Output
	turns [6]*mem.Event
}

func newSwitches(m *racelab.Memory) any {
	s := &switches{out: mem.NewOutput(m, "the output")}
	for i := range s.turns {
		s.turns[i] = mem.NewEvent(m, fmt.Sprintf("line %d", i+1))
	}
	return s
}
