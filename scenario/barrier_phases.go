package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

var barrierPhases = racelab.Scenario{
	Name:    "barrier-phases",
	Summary: "a second phase reads what the others write in the first",
	Story: `A computation in phases: each worker computes its part, and then each needs the
parts of all. The talk's use of a barrier: all complete their tasks before any of
them proceeds. Without it the fastest worker reads parts that are not there yet, and
gets a sum that is too small. On a machine at rest all are about as fast, and the
sums are right; they are wrong when it has something else to do.`,
	Sources: []string{"2-thread-safety-talk.txt"},
	Reading: []string{
		"M. Herlihy and N. Shavit, The Art of Multiprocessor Programming, 2012, 17: barriers",
		"Python documentation, threading: Barrier objects",
	},
	Cast: []racelab.Role{
		{Name: "worker", Calls: []racelab.Args{{"part": int64(0)}}},
		{Name: "worker", Calls: []racelab.Args{{"part": int64(1)}}},
	},
	Invariants: []racelab.Invariant{{Name: "each worker has added up all parts", Measure: allParts}},
	Strategies: []racelab.Strategy{
		{
			Name:    "no-barrier",
			Summary: "compute the own part, then add up all of them",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "data-race"}},
			Fix:     []string{"barrier"},
			Process: newPhases,
			Body:    worker(phasesApart),
		},
		{
			Name:    "sleep",
			Summary: "the same, with a pause in between that should do",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "data-race"}},
			Fix:     []string{"barrier"},
			Process: newPhases,
			Body:    worker(phasesSleep),
		},
		{
			Name:    "barrier",
			Summary: "wait for each other between the phases",
			Safe:    true,
			Process: newPhases,
			Body:    worker(phasesBarrier),
		},
		{
			Name:    "wait-group",
			Summary: "Go's way: a WaitGroup that is done when all parts are there",
			Safe:    true,
			Process: newPhases,
			Body:    worker(phasesWaitGroup),
		},
	},
}

// The first phase writes one's own part, and the second reads the other one's,
// which may be there or not: even one after the other they get it wrong, because
// who goes first cannot know what comes second. It is a data race on top.
func phasesApart(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	p, part := env.Process.(*phases), env.Args.Int("part")
	p.parts[part].Store(21)
	addUp(p, part)
	return nil, nil
}

// A pause makes it rare, and that is all. How long the others take is not known
// to anybody; time orders nothing. It is found here because the pause of one can
// end before another one has begun.
func phasesSleep(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	p, part := env.Process.(*phases), env.Args.Int("part")
	p.parts[part].Store(21)
	mem.Sleep(p.memory, time.Millisecond)
	addUp(p, part)
	return nil, nil
}

// Whoever comes to the barrier waits until all have come. What anybody did before
// it comes before what anybody does after it, so the plain reads of the second
// phase are in order. A barrier can be used again, for the third phase.
func phasesBarrier(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	p, part := env.Process.(*phases), env.Args.Int("part")
	p.parts[part].Store(21)
	p.barrier.Wait()
	addUp(p, part)
	return nil, nil
}

// Go's library has no barrier. For one phase a WaitGroup is one: it counts the
// parts that are missing, each worker takes one from it, and all wait for 0. It was
// set to two before anybody began, which is the part that is done wrong most often.
func phasesWaitGroup(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	p, part := env.Process.(*phases), env.Args.Int("part")
	p.begin.Do(func() { p.missing.Add(len(p.parts)) })
	p.parts[part].Store(21)
	p.missing.Done()
	p.missing.Wait()
	addUp(p, part)
	return nil, nil
}

// addUp is the second phase.
func addUp(p *phases, part int64) {
	p.sums[part].Store(p.parts[0].Load() + p.parts[1].Load())
}

type phases struct {
	memory  *racelab.Memory
	parts   [2]*mem.Var[int64]
	sums    [2]*mem.Var[int64]
	barrier *mem.Barrier
	begin   *mem.Once
	missing *mem.WaitGroup
}

func newPhases(m *racelab.Memory) any {
	p := &phases{memory: m, barrier: mem.NewBarrier(m, "the barrier", 2), begin: mem.NewOnce(m, "the beginning"), missing: mem.NewWaitGroup(m, "what is missing")}
	for i := range p.parts {
		p.parts[i], p.sums[i] = mem.NewVar(m, fmt.Sprint("part ", i+1), int64(0)), mem.NewVar(m, fmt.Sprint("sum ", i+1), int64(0))
	}
	return p
}

func allParts(s racelab.State) (expected, actual int64, err error) {
	one, err := intIn(s, "sum 1")
	if err != nil {
		return 0, 0, err
	}
	two, err := intIn(s, "sum 2")
	return 84, one + two, err
}
