// Package explore searches schedules. It is pure: it knows no engine and no
// session, only a function that runs a plan and gives its history.
//
// By brute force it runs every schedule once, those with the fewest preemptions
// and faults first (M. Musuvathi and S. Qadeer, Iterative Context Bounding,
// 2007), because most races need one or two, and a person can read those. With a
// relation that says what may be exchanged it runs one schedule of those that
// come to the same: see reduce.go.
package explore

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

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
	// Loose leaves out the choices of the schedule that do not fit.
	Loose bool
	// Calls are those that run; nil is all.
	Calls []racelab.CallID
	// Look asks of whoever uses shared memory whether it is a session, which
	// takes long.
	Look bool
	// Events is a slice whose memory the history may use.
	Events []racelab.Event
}

// A Runner runs a plan. One is used by one goroutine at a time. The events of
// the history are the search's, which uses their memory for a later run.
type Runner func(context.Context, Plan) (racelab.History, error)

// A Search is what to search, and how far.
type Search struct {
	Runners []Runner // one a worker, each with a database of its own
	// Together is where several runs of a worker cost least; nil is anywhere.
	Together func(worker int, do func() error) error
	Judge    *check.Judge
	// Relation tells which steps may be exchanged: then one of the schedules
	// that differ in nothing else is run. nil runs them all.
	Relation *check.Relation
	Bound    *int        // preemptions and faults at most, with no relation; nil is any number
	Budget   int         // runs at most, those to judge by among them, beyond those of Resume; 0 is all
	Stop     func() bool // ends the search early if it says so; may be nil
	Faults   int         // connections lost in a schedule, at most
	Random   int         // that many random schedules, instead of all
	Depth    int         // of the bugs that random priorities are to find, without faults; 0: every choice is as likely
	Seed     uint64      // of the random ones
	// Fingerprint is of all that a saved frontier depends on.
	Fingerprint string
	Resume      *Frontier // what an earlier search has left; nil begins
	Part        Part      // of the search that is to be done
	Left        *Frontier // after Run: what is left
	divided     bool      // the part has come to its share
	// spare are the events of runs that nobody looks at any more: a finding
	// has its own.
	spare [][]racelab.Event
	// Unfit reports whether an error only says that a schedule cannot be run.
	Unfit  func(error) bool
	Judged func(racelab.History) // told of each run that was judged, in order; may be nil; not to be kept
	Tell   func(run, known int)  // told after each batch; known: schedules run or waiting; may be nil
}

// A Finding is a schedule whose run is a violation, or has a data race.
type Finding struct {
	Schedule  racelab.Schedule
	History   racelab.History
	Judgement check.Judgement
	Preempted int              // preemptions and faults
	Calls     []racelab.CallID // that run; nil is all
}

// A FoundRace is a data race, the schedule that shows it, and at which run that
// was.
type FoundRace struct {
	check.Race
	Schedule string `json:"schedule"`
	FoundAt  int    `json:"found_at"`
}

// A Report is what a search gave. It does not depend on the number of workers.
type Report struct {
	Complete   bool
	Bounded    bool // everything up to the bound was run, and there is more
	Undecided  bool // a run was left that is a violation unless a serial order that was not run explains it
	Schedules  int  // that were run and judged, the serial ones among them
	Serial     int  // runs of all calls one after another
	Beside     int  // serial runs that are no schedules of the search: only to judge by
	Aborted    int  // schedules in which a call was aborted
	Classes    map[racelab.Class]int
	Deadlocked int
	Violations int
	Raced      int         // schedules in which there is a data race
	Races      []FoundRace // of each pair of lines the first
	Conflicts  int         // pairs of conflicting operations that ran in both orders
	Conflicted bool        // some did, if only in one order
	Outcomes   []OutcomeCount
	Witness    *Finding   // a violation, else a race: with the fewest preemptions, then the first in order
	FirstFound int        // at which run there was a violation; 0 is never
	Passing    *Finding   // a schedule with the most switches that is no violation; nil if there is none
	Guarantee  *Guarantee // of random priorities
}

// batch is how many schedules are run before what follows from them is queued.
// It is the same for any number of workers, and so is everything that follows.
const batch = 32

// Run searches. On an error the report is of what was searched before.
func (s *Search) Run(ctx context.Context) (Report, error) {
	r := &result{Report: Report{Classes: map[racelab.Class]int{}}, search: s}
	s.Judge.Stop = func() bool { return s.over(r) }
	if s.Random > 0 {
		return s.sample(ctx, r)
	}
	a, done, err := s.search(ctx, r)
	if errors.Is(err, check.ErrStopped) {
		done, err = false, nil
	}
	switch {
	case err == nil && a == nil && s.begun():
		r.take(s.Resume.Report) // it came to nothing new
		s.Left = s.Resume
	case err == nil || a != nil:
		left := s.save(r, a)
		s.Left = &left
	}
	if err != nil {
		return r.finish(false), err
	}
	if f, ok := a.(*frontier); ok {
		r.Bounded = done && f.cut
		done = done && !f.cut
	}
	return r.finish(done && s.Part.Of == 0), nil
}

// begun reports whether the search goes on with one that knew what to do.
func (s *Search) begun() bool { return s.Resume != nil && s.Resume.Begun }

// serial runs all calls one after another, in each order.
func (s *Search) serial(ctx context.Context, r *result) (serial []racelab.History, err error) {
	for {
		h, ok, err := s.Judge.Next(ctx)
		if err != nil || !ok {
			return serial, err
		}
		serial = append(serial, h)
		r.Serial++
		r.own++
		if err := r.add(ctx, h); err != nil {
			return serial, err
		}
		if s.begun() {
			r.before = r.ran() // they count already
		}
	}
}

// search runs what there is to run, and returns what is left of it; nil if it
// did not come so far as to know.
func (s *Search) search(ctx context.Context, r *result) (a agenda, done bool, err error) {
	serial, err := s.serial(ctx, r)
	if err != nil {
		return nil, false, err
	}
	known := newRecall(serial)
	switch {
	case s.begun():
		if a, err = s.load(*s.Resume, serial); err == nil {
			err = s.resume(ctx, r, *s.Resume)
		}
	case s.Relation == nil:
		f := &frontier{bound: s.Bound, faults: s.Faults}
		f.push(item{})
		a = f
	case len(serial) == 0:
		return nil, true, nil
	default:
		if done, err = s.work(ctx, r, newHunt(serial), known); err != nil || !done {
			return nil, false, err
		}
		reduced := newReduction(s.Relation, s.Faults)
		reduced.begin(serial)
		a = reduced
	}
	if err != nil {
		return nil, false, err
	}
	done, err = s.work(ctx, r, a, known)
	return a, done, err
}

// An agenda is what is still to be run.
type agenda interface {
	pop(most int) []todo
	// ran is told of a run, in the order in which pop gave them.
	ran(todo, racelab.History)
	len() int
	// back takes what pop gave last, and was not run.
	back([]todo)
	// split leaves out what other parts of the search do.
	split(Part)
}

// A todo is a run to be made: a schedule, and how to go on after it.
type todo interface {
	schedule() racelab.Schedule
	onward() func(ready []racelab.Choice) racelab.Choice
}

// work runs an agenda to its end, and reports whether it came there.
func (s *Search) work(ctx context.Context, r *result, a agenda, known *recall) (bool, error) {
	_, hunts := a.(*hunt)
	whole := s.Part.Of == 0 || hunts
	for a.len() > 0 {
		if !whole && a.len() >= partAtLeast*s.Part.Of {
			whole, s.divided = true, true
			a.split(s.Part)
			if s.Part.I > 1 {
				r.forget() // the first part counts what all have run
			}
			continue
		}
		if s.over(r) {
			return false, nil
		}
		if hunts && r.FirstFound > 0 {
			return true, nil
		}
		todos := a.pop(s.room(r))
		histories, fresh, err := s.runAll(ctx, todos, known)
		if err != nil {
			a.back(todos)
			return false, err
		}
		for _, is := range fresh {
			if is {
				r.made++
			}
		}
		for i, h := range histories {
			if fresh[i] {
				if err := r.add(ctx, h); err != nil {
					a.back(todos[i:])
					return false, err
				}
				if hunts {
					known.add(h)
				}
			}
			a.ran(todos[i], h)
			if fresh[i] && !hunts {
				s.spare = append(s.spare, h.Events)
			}
		}
		if s.Tell != nil {
			s.Tell(r.Schedules, r.Schedules+a.len())
		}
	}
	if !whole && a.len() == 0 {
		s.divided = true
		if s.Part.I > 1 {
			r.forget() // there was too little to divide, and the first part has it all
		}
	}
	return true, nil
}

// partAtLeast is how much there has to be to do for each part of a search
// before it is divided.
const partAtLeast = 4

func (s *Search) over(r *result) bool {
	return s.Budget > 0 && r.ran()-r.before >= s.Budget || s.Stop != nil && s.Stop()
}

// room is how many schedules the next batch may have.
func (s *Search) room(r *result) int {
	if s.Budget > 0 {
		return s.Budget - (r.ran() - r.before)
	}
	return batch
}

// runAll runs a batch, spread over the workers. What is known already is not
// run again, and not fresh.
func (s *Search) runAll(ctx context.Context, todos []todo, known *recall) (histories []racelab.History, fresh []bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	histories, fresh = make([]racelab.History, len(todos)), make([]bool, len(todos))
	plans := make([]Plan, len(todos))
	for i, t := range todos {
		plans[i] = Plan{Schedule: t.schedule(), Then: t.onward(), Faults: s.Faults > 0}
		if n := len(s.spare); n > 0 {
			plans[i].Events, s.spare = s.spare[n-1], s.spare[:n-1]
		}
	}
	for i, t := range todos {
		var ok bool
		histories[i], ok = known.find(t)
		fresh[i] = !ok
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	for n, run := range s.Runners {
		work := func() (err error) {
			for i := next.Add(1) - 1; int(i) < len(todos) && err == nil && ctx.Err() == nil; i = next.Add(1) - 1 {
				if fresh[i] {
					histories[i], err = run(ctx, plans[i])
				}
			}
			return err
		}
		workers.Go(func() {
			err := error(nil)
			if s.Together == nil {
				err = work()
			} else {
				err = s.Together(n, work)
			}
			if err != nil {
				cancel(err) // what one worker cannot run the others need not
			}
		})
	}
	workers.Wait()
	return histories, fresh, context.Cause(ctx)
}
