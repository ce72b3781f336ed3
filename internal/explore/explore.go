// Package explore searches schedules. It is pure: it knows no engine and no
// session, only a function that runs a plan and gives its history.
//
// The search is by brute force: every schedule once, those with the fewest
// preemptions and faults first (M. Musuvathi and S. Qadeer, Iterative Context
// Bounding, 2007), because most races need one or two, and a person can read
// those.
package explore

import (
	"context"
	"fmt"
	"sync"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
)

// A Plan says how to run once.
type Plan struct {
	// Schedule is followed strictly, and after its end the run goes on with
	// Then, or, if that is nil, without preemption.
	Schedule racelab.Schedule
	Then     func(ready []racelab.Choice) racelab.Choice
	// Serial, instead of a schedule, are the calls that run, one after another
	// in this order.
	Serial []racelab.CallID
	// Faults asks for the loss of connections among the choices there are.
	Faults bool
}

// A Runner runs a plan. One is used by one goroutine at a time.
type Runner func(context.Context, Plan) (racelab.History, error)

// A Search is what to search, and how far.
type Search struct {
	Runners []Runner // one a worker, each with a database of its own
	Judge   *check.Judge
	Budget  int                   // schedules at most; 0 is all
	Stop    func() bool           // ends the search early if it says so; may be nil
	Faults  int                   // connections lost in a schedule, at most
	Random  int                   // that many random schedules, instead of all
	Seed    uint64                // of the random ones
	Judged  func(racelab.History) // told of each run that was judged, in order; may be nil
	Tell    func(run, known int)  // told after each batch; known: schedules run or waiting; may be nil
}

// A Finding is a schedule whose run is a violation.
type Finding struct {
	Schedule  racelab.Schedule
	History   racelab.History
	Judgement check.Judgement
	Preempted int
}

// An OutcomeCount is an outcome and how many schedules came to it.
type OutcomeCount struct {
	State, Results string
	Count          int
	Serial         bool
}

// A Report is what a search gave. It does not depend on the number of workers.
type Report struct {
	Complete   bool
	Schedules  int // that were run, the serial ones among them
	Serial     int // runs of calls one after another
	Aborted    int // schedules in which a call was aborted
	Classes    map[racelab.Class]int
	Deadlocked int
	Violations int
	Conflicts  int // pairs of conflicting operations that ran in both orders; 0: nothing conflicted
	Outcomes   []OutcomeCount
	Witness    *Finding // the one with the fewest preemptions, then the first in order
	FirstFound int      // at which run; 0 is never
	Passing    *Finding // a schedule with the most switches that is no violation; nil if there is none
}

// batch is how many schedules are run before their successors are queued. It
// is the same for any number of workers, and so is everything that follows.
const batch = 32

// Run searches. On an error the report is of what was searched before.
func (s *Search) Run(ctx context.Context) (Report, error) {
	r := &result{Report: Report{Classes: map[racelab.Class]int{}}, outcomes: map[string]int{}, search: s}
	all := map[racelab.CallID]bool{}
	for _, calls := range s.Judge.Calls {
		for _, c := range calls {
			all[c] = true
		}
	}
	f := &frontier{}
	var serial []racelab.History
	for _, order := range s.Judge.Orders(all) {
		h, err := s.Judge.Serial(ctx, order)
		if err != nil {
			return r.finish(false), fmt.Errorf("run %v one after another: %w", order, err)
		}
		serial = append(serial, h)
		if err := r.add(ctx, h); err != nil {
			return r.finish(false), err
		}
	}
	r.Serial = len(serial)
	if s.Random > 0 {
		return s.sample(ctx, r)
	}
	known := newRecall(serial)
	f.push(item{})
	for !f.empty() {
		if s.over(r) {
			return r.finish(false), nil
		}
		items := f.pop(s.room(r))
		histories, err := s.runAll(ctx, items, known)
		if err != nil {
			return r.finish(false), err
		}
		for i, h := range histories {
			if !known.has(items[i]) {
				if err := r.add(ctx, h); err != nil {
					return r.finish(false), err
				}
			}
			f.push(items[i].successors(h, s.Faults)...)
		}
		if s.Tell != nil {
			s.Tell(r.Schedules, r.Schedules+f.len())
		}
	}
	return r.finish(true), nil
}

func (s *Search) over(r *result) bool {
	return s.Budget > 0 && r.Schedules >= s.Budget || s.Stop != nil && s.Stop()
}

// room is how many schedules the next batch may have.
func (s *Search) room(r *result) int {
	if s.Budget > 0 {
		return min(batch, s.Budget-r.Schedules)
	}
	return batch
}

// runAll runs a batch, spread over the workers.
func (s *Search) runAll(ctx context.Context, items []item, known recall) ([]racelab.History, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	histories := make([]racelab.History, len(items))
	next := make(chan int)
	var workers sync.WaitGroup
	for _, run := range s.Runners {
		workers.Go(func() {
			for i := range next {
				if context.Cause(ctx) != nil {
					continue
				}
				var err error
				if histories[i], err = run(ctx, Plan{Schedule: items[i].schedule(), Faults: s.Faults > 0}); err != nil {
					cancel(err) // what one worker cannot run the others need not
				}
			}
		})
	}
	for i, it := range items {
		if h, ok := known.find(it); ok {
			histories[i] = h
			continue
		}
		next <- i
	}
	close(next)
	workers.Wait()
	return histories, context.Cause(ctx)
}
