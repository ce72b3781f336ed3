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
is needed for a race: a read and a write that are two steps are enough. It is the
smallest program that has everything: the number is shared, it changes, and the
change is not atomic. Take away any of the three and the race is gone; each of
the other strategies does that in its own way.`,
	Sources: []string{"2-thread-safety-talk.txt", "3-django-race-conditions.tr.txt"},
	Reading: []string{
		"The Go Memory Model, go.dev/ref/mem: \"If you must read the rest of this document to understand the behavior of your program, you are being too clever\"",
		"Effective Go, Concurrency: \"Do not communicate by sharing memory; instead, share memory by communicating\"",
	},
	Cast: []racelab.Role{
		{Name: "adder", Calls: []racelab.Args{{"amount": int64(40)}}},
		{Name: "adder", Calls: []racelab.Args{{"amount": int64(30)}}},
	},
	Strategies: []racelab.Strategy{
		{
			Name:    "read-modify-write",
			Summary: "read the number, add, write it back",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "lost-update"}},
			Fix:     []string{"locked"},
			Process: newCounter,
			Body:    adder(counterReadModifyWrite),
		},
		{
			Name:    "locked",
			Summary: "the same three steps with a mutex around them",
			Safe:    true,
			Process: newCounter,
			Body:    adder(counterLocked),
		},
		{
			Name:    "atomic",
			Summary: "one step instead of three: an atomic add",
			Safe:    true,
			Process: newAtomicCounter,
			Body:    adder(counterAtomic),
		},
		{
			Name:    "single-owner",
			Summary: "whoever has received the number from a channel owns it, and sends it on",
			Safe:    true,
			Process: newTravellingCounter,
			Body:    adder(counterSingleOwner),
		},
		{
			Name:    "unshared",
			Summary: "each thread adds to a number of its own",
			Safe:    true,
			Process: newCounter,
			Body:    adder(counterUnshared),
		},
		{
			Name:    "immutable",
			Summary: "the number is shared, and nobody changes it",
			Safe:    true,
			Process: newCounter,
			Body:    adder(counterImmutable),
		},
	},
}

func adder(b racelab.Body) map[string]racelab.Body { return map[string]racelab.Body{"adder": b} }

// What the article's two threads do: read the number, add to it, write it back.
// Written as number += amount it is the same three steps. Whoever reads before
// the other has written adds to the old number, and the later write wins: 40 or
// 30 is left, and not 70.
func counterReadModifyWrite(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	c := env.Process.(*sharedCounter)
	n := c.number.Load()
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	c.number.Store(n + env.Args.Int("amount"))
	return nil, nil
}

// Whoever wants to add takes the mutex first and gives it back when the sum is
// written. The three steps are still three, but nobody else is between them.
func counterLocked(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	c := env.Process.(*sharedCounter)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	n := c.number.Load()
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	c.number.Store(n + env.Args.Int("amount"))
	return nil, nil
}

// The processor can add in one step, and nothing comes between the parts of what
// has none. It is the right tool for a counter, and for little more: two atomic
// operations after one another are two steps again.
func counterAtomic(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	return mem.Add(env.Process.(*mem.Atomic[int64]), env.Args.Int("amount")), nil
}

// There is one number, and it travels. Who has received it may do with it what it
// likes, with plain loads and stores, because nobody else has it; the send hands it
// on together with all that was done to it. That is what Go's proverb means: do not
// communicate by sharing memory, share memory by communicating.
func counterSingleOwner(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	travels := env.Process.(*mem.Chan[*mem.Var[int64]])
	number, _ := travels.Recv()
	number.Store(number.Load() + env.Args.Int("amount"))
	travels.Send(number)
	return nil, nil
}

// Each thread has a number of its own, and returns what it came to. Whoever
// started the threads adds up when they have ended: 40 and 30. There is nothing
// to explore, because there is no step at which the two could meet; the talk's
// "no problem if no data is shared".
func counterUnshared(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	var own int64
	own += env.Args.Int("amount")
	return own, nil
}

// Both threads read the same number, and neither writes it: what is new is a new
// number, which each returns. Two reads can be in any order without anybody's
// noticing. That is why a value that cannot change, a string for instance, can be
// given to as many threads as one likes.
func counterImmutable(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	c := env.Process.(*sharedCounter)
	return c.number.Load() + env.Args.Int("amount"), nil
}

// A sharedCounter is what the threads have in common.
type sharedCounter struct {
	number *mem.Var[int64]
	mutex  *mem.Mutex
}

func newCounter(m *racelab.Memory) any {
	return &sharedCounter{mem.NewVar(m, "number", int64(0)), mem.NewMutex(m, "number's mutex")}
}

func newAtomicCounter(m *racelab.Memory) any { return mem.NewAtomic(m, "number", int64(0)) }

func newTravellingCounter(m *racelab.Memory) any {
	return mem.NewChan(m, "the channel", 1, mem.NewVar(m, "number", int64(0)))
}
