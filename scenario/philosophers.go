package scenario

import (
	"context"
	"fmt"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

var philosophers = racelab.Scenario{
	Name:    "philosophers",
	Summary: "three philosophers at a round table, and a fork between any two",
	Story: `Dijkstra's dinner. Who wants to eat needs the fork on the left and the one on the
right, and takes them one after the other. If all take their left one at the same
time, each waits for the next, all round the table. It is the exhibit lock-order
with more than two in the circle: no two of them take the same two locks in
opposite orders, and a look at any pair finds nothing wrong.`,
	Reading: []string{
		"E. W. Dijkstra, Hierarchical ordering of sequential processes, 1971: the table is laid for five",
		"C. A. R. Hoare, Communicating Sequential Processes, 1978: at most four sit down at the same time",
		"K. M. Chandy and J. Misra, The Drinking Philosophers Problem, 1984",
	},
	Cast: []racelab.Role{
		{Name: "philosopher", Calls: []racelab.Args{{"seat": int64(0)}}},
		{Name: "philosopher", Calls: []racelab.Args{{"seat": int64(1)}}},
		{Name: "philosopher", Calls: []racelab.Args{{"seat": int64(2)}}},
	},
	Strategies: []racelab.Strategy{
		{
			Name:    "left-first",
			Summary: "take the left fork, then the right one",
			Expect:  []racelab.Expect{{Result: racelab.CellDeadlock, Anomaly: "deadlock"}},
			Fix:     []string{"ordered"},
			Process: newTable,
			Body:    philosopher(dineLeftFirst),
		},
		{
			Name:    "ordered",
			Summary: "take the fork with the lower number first",
			Safe:    true,
			Process: newTable,
			Body:    philosopher(dineOrdered),
		},
		{
			Name:    "waiter",
			Summary: "a waiter lets two of the three sit down: a semaphore",
			Safe:    true,
			Process: newTable,
			Body:    philosopher(dineWaiter),
		},
	},
}

func philosopher(b racelab.Body) map[string]racelab.Body {
	return map[string]racelab.Body{"philosopher": b}
}

// Everybody does the same, and that is what is wrong: all have their left fork,
// and wait for the right one, which is their neighbour's left one.
func dineLeftFirst(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	t, left := env.Process.(*table), env.Args.Int("seat")
	eat(t, left, (left+1)%3)
	return nil, nil
}

// The forks have numbers, and the lower one is taken first. For two of the three
// that is the left one; the third takes the right one first, and the circle is
// open.
func dineOrdered(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	t, left := env.Process.(*table), env.Args.Int("seat")
	right := (left + 1) % 3
	eat(t, min(left, right), max(left, right))
	return nil, nil
}

// At a table for three only two sit at a time. Then one fork is nobody's left one,
// and whoever sits beside it has both. The limit is a semaphore; it needs no order
// of the forks, and nobody has to know more than the number of seats.
func dineWaiter(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	t, left := env.Process.(*table), env.Args.Int("seat")
	t.seats.Acquire(1)
	defer t.seats.Release(1)
	eat(t, left, (left+1)%3)
	return nil, nil
}

func eat(t *table, first, second int64) {
	t.forks[first].Lock()
	defer t.forks[first].Unlock()
	t.forks[second].Lock()
	defer t.forks[second].Unlock()
}

type table struct {
	forks [3]*mem.Mutex
	seats *mem.Semaphore
}

func newTable(m *racelab.Memory) any {
	t := &table{seats: mem.NewSemaphore(m, "a seat", 2)}
	for i := range t.forks {
		t.forks[i] = mem.NewMutex(m, fmt.Sprint("fork ", i+1))
	}
	return t
}
