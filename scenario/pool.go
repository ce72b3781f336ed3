package scenario

import (
	"context"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

var pool = racelab.Scenario{
	Name:    "pool",
	Summary: "a pool that may open two connections opens a third one",
	Story: `The talk's use of a semaphore: no more connections to the database than it can
bear. Who counts them with a number, looks whether it is below the limit, and then
opens one, has looked too early: another one looks at the same moment. The number is
atomic here, so no race detector finds anything. What is not atomic is the look
together with what follows from it. The database answers "too many connections", at
the hour at which everybody comes.`,
	Sources: []string{"2-thread-safety-talk.txt"},
	Reading: []string{
		"E. W. Dijkstra, Over de sequentialiteit van procesbeschrijvingen (EWD 35), 1962: the semaphore",
		"golang.org/x/sync/semaphore, and database/sql's SetMaxOpenConns, which waits",
	},
	Cast: []racelab.Role{
		{Name: "worker", Calls: []racelab.Args{nil}},
		{Name: "worker", Calls: []racelab.Args{nil}},
		{Name: "worker", Calls: []racelab.Args{nil}},
	},
	Invariants: []racelab.Invariant{{Name: "the database has refused nobody", Measure: refusedByTheServer}},
	Strategies: []racelab.Strategy{
		{
			Name:    "check-then-act",
			Summary: "look whether there are fewer than two, and open one",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "non-repeatable-read"}}, // it looked, and then it was another number
			Fix:     []string{"semaphore"},
			Process: newPool,
			Body:    worker(poolCheckThenAct),
		},
		{
			Name:    "compare-and-swap",
			Summary: "count up only if nobody has counted since the look",
			Safe:    true,
			Process: newPool,
			Body:    worker(poolCompareAndSwap),
		},
		{
			Name:    "semaphore",
			Summary: "two permits, and who finds none waits for one",
			Safe:    true,
			Process: newPool,
			Body:    worker(poolSemaphore),
		},
	},
}

func worker(b racelab.Body) map[string]racelab.Body { return map[string]racelab.Body{"worker": b} }

// Each operation is atomic: the load, and the add. Three workers all load a number
// below 2, and all add. Who finds the pool full is refused, and comes again later;
// that is not the problem. The problem is who is not refused.
func poolCheckThenAct(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	p := env.Process.(*connectionPool)
	if p.open.Load() >= 2 {
		return nil, racelab.ErrRefused
	}
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	if mem.Add(p.open, 1) > 2 { // what the database sees
		mem.Add(p.tooMany, 1)
	}
	mem.Add(p.open, -1)
	return nil, nil
}

// The look and the act are one step: the count goes up only if it is still what was
// seen. Otherwise look again. Nobody waits, and who finds the pool full is told so.
func poolCompareAndSwap(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	p := env.Process.(*connectionPool)
	for {
		open := p.open.Load()
		if open >= 2 {
			return nil, racelab.ErrRefused
		}
		if p.open.CompareAndSwap(open, open+1) {
			break
		}
	}
	mem.Add(p.open, -1)
	return nil, nil
}

// A semaphore is that number, and a queue for those who come while it is 0. Acquire
// looks and takes in one step, and Release lets the next one in. In Go a channel
// with a buffer of two does the same: send to acquire, receive to release.
func poolSemaphore(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	p := env.Process.(*connectionPool)
	p.permits.Acquire(1)
	defer p.permits.Release(1)
	if mem.Add(p.open, 1) > 2 {
		mem.Add(p.tooMany, 1)
	}
	mem.Add(p.open, -1)
	return nil, nil
}

type connectionPool struct {
	open    *mem.Atomic[int64] // connections
	tooMany *mem.Atomic[int64] // were open at once, so many times
	permits *mem.Semaphore
}

func newPool(m *racelab.Memory) any {
	return &connectionPool{mem.NewAtomic(m, "open", int64(0)), mem.NewAtomic(m, "too many", int64(0)), mem.NewSemaphore(m, "a connection", 2)}
}

func refusedByTheServer(s racelab.State) (expected, actual int64, err error) {
	actual, err = intIn(s, "too many")
	return 0, actual, err
}
