package explore

import (
	"context"
	"errors"
	"slices"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
)

// shrinkings is how many runs a finding may cost to be made smaller, the serial
// ones to judge by among them.
const shrinkings = 200

// A shrinking makes a finding simpler step by step: a candidate is run, without
// the choices that do not fit, and taken if it is a violation and simpler
// (A. Zeller and R. Hildebrandt, Simplifying and Isolating Failure-Inducing
// Input, 2002; here the deltas are sessions and switches).
type shrinking struct {
	run   Runner
	judge *check.Judge
	unfit func(error) bool
	best  Finding
	tried map[string]bool
	left  int
}

// Shrink looks for the same kind of finding with fewer sessions, then with
// fewer preemptions, switches and steps, until nothing that it knows to try is
// simpler. It runs and judges like the search that found it.
func (s *Search) Shrink(ctx context.Context, f Finding) (Finding, error) {
	x := &shrinking{run: s.Runners[0], unfit: s.Unfit, best: f, tried: map[string]bool{}, left: shrinkings}
	judge := *s.Judge
	judge.Serial = func(ctx context.Context, order []racelab.CallID, start racelab.Schedule) (racelab.History, error) {
		x.left--
		return s.Judge.Serial(ctx, order, start)
	}
	judge.Stop = func() bool { return x.left <= 0 }
	judge.InvariantsOnly = judge.InvariantsOnly || f.Judgement.Broken
	x.judge = &judge
	if err := x.sessions(ctx); err != nil {
		return f, err
	}
	for better := true; better && x.left > 0; {
		better = false
		for _, candidate := range merged(x.best.Schedule) {
			took, err := x.try(ctx, x.judge, candidate, x.best.Calls)
			if err != nil {
				return f, err
			}
			if took {
				better = true
				break
			}
		}
	}
	return x.best, nil
}

// sessions tries to do without one session after another.
func (x *shrinking) sessions(ctx context.Context) error {
	for i := len(x.judge.Calls) - 1; i >= 0; i-- {
		running := 0
		var calls []racelab.CallID
		for k, own := range x.judge.Calls {
			if k == i || len(own) == 0 {
				continue
			}
			running++
			calls = append(calls, own...)
		}
		if running < 2 || len(x.judge.Calls[i]) == 0 {
			continue
		}
		judge := x.judge.Only(calls)
		gone := racelab.Letter(i)
		candidate := slices.DeleteFunc(slices.Clone(x.best.Schedule), func(c racelab.Choice) bool { return c.Session == gone || c.Victim == gone })
		took, err := x.try(ctx, judge, candidate, calls)
		if err != nil {
			return err
		}
		if took {
			x.judge = judge
		}
	}
	return nil
}

// try runs a candidate and takes it if it is a simpler violation.
func (x *shrinking) try(ctx context.Context, judge *check.Judge, schedule racelab.Schedule, calls []racelab.CallID) (bool, error) {
	if key := schedule.String(); x.left <= 0 || x.tried[key] {
		return false, nil
	} else {
		x.tried[key] = true
	}
	x.left--
	h, err := x.run(ctx, Plan{Schedule: schedule, Loose: true, Calls: calls})
	switch {
	case err != nil && x.unfit != nil && x.unfit(err):
		return false, nil
	case err != nil:
		return false, err
	}
	v, err := judge.Judge(ctx, h)
	if errors.Is(err, check.ErrStopped) {
		return false, nil
	}
	if err != nil || v.Severity() < x.best.Judgement.Severity() {
		return false, err
	}
	if v.Deadlock && !x.best.Judgement.Deadlock {
		return false, nil // who is left waits for one who is gone: that is another finding
	}
	f := findingOf(h, v)
	f.Calls = calls
	if len(f.Calls) == len(x.best.Calls) && !simpler(f, x.best) {
		return false, nil
	}
	x.best = f
	return true, nil
}

// merged lists the schedules in which two parts of a session that another
// stands between have come together, the later one moved forward or the
// earlier one back.
func merged(s racelab.Schedule) []racelab.Schedule {
	var blocks []racelab.Schedule
	for _, c := range s {
		if n := len(blocks); n > 0 && blocks[n-1][0].Session == c.Session {
			blocks[n-1] = append(blocks[n-1], c)
			continue
		}
		blocks = append(blocks, racelab.Schedule{c})
	}
	var all []racelab.Schedule
	move := func(from, to int) {
		order := slices.Clone(blocks)
		b := order[from]
		order = slices.Insert(slices.Delete(order, from, from+1), to, b)
		all = append(all, slices.Concat(order...))
	}
	for i := range blocks {
		for j := i + 1; j < len(blocks); j++ {
			if blocks[i][0].Session == blocks[j][0].Session {
				move(j, i+1)
				move(i, j-1)
				break
			}
		}
	}
	// And two whole neighbours exchanged: it may bring others together.
	for i := range len(blocks) - 1 {
		move(i, i+1)
	}
	return all
}
