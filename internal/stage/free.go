package stage

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
	"github.com/racelab/racelab/internal/control"
	"github.com/racelab/racelab/internal/explore"
)

// A Free says how a selection runs freely: everything at once, as in
// production, and only recorded.
type Free struct {
	Runs      int                 // of the whole cast
	Sessions  int                 // 0: the scenario's own cast
	Processes int                 // simulated; sessions are dealt to them in turn
	Only      []racelab.SessionID // that make calls; nil is all
	Window    Span
	InTurn    bool // one session after another instead of all at once
	Seed      uint64
	Timeout   time.Duration      // of each run; 0: none
	Progress  func(done int)     // may be nil
	Waiting   func(who []string) // may be nil; who is in the middle of what, when a run takes long
}

// A FreeReport is what free running gave.
type FreeReport struct {
	// Runs that were judged, and those after which a claim did not hold or,
	// where only memory is shared, that came to what no serial order gives.
	Runs, Losses int

	Took time.Duration // all runs together, without what is before and after them

	Calls   int                   // to be made in all runs
	OK      int                   // those that succeeded
	Failed  map[racelab.Class]int // those that did nothing, or say how they failed
	Unknown int                   // cut off, or without their connection: they may have happened

	Claims  []Claim      // in the scenario's order; nil before the first judgement
	Witness *racelab.Run // of one loss
	Stalled *Stall       // the run that did not end in time, which was the last
	Errors  []error      // a few that no class explains

	// Where only memory is shared:
	Outcomes  []explore.OutcomeCount // of the runs, the most frequent first
	Undecided int                    // runs of which not enough serial orders were run to say
	Explored  *explore.Report        // schedules, as far as a small budget goes
}

// NotMade is how many calls there was no time for.
func (r FreeReport) NotMade() int {
	n := r.Calls - r.OK - r.Unknown
	for _, failed := range r.Failed {
		n -= failed
	}
	return n
}

// A Claim is an invariant's measure over all runs.
type Claim struct {
	check.Measure       // the sums
	Off           int64 `json:"off"` // the sum of how far each run was off, so that +100 and -100 are 200
	Held          int   `json:"held_in_runs"`
}

// tapeLength bounds a run's events: far above what a cast produces.
const tapeLength = 1 << 20

// RunFree opens a world on server and runs the selection in it. On an error,
// the context's among them, the report holds what was seen before.
func (s Selection) RunFree(ctx context.Context, server racelab.Server, f Free) (report FreeReport, err error) {
	roles := s.Scenario.Dealt(f.Sessions)
	report.Failed = map[racelab.Class]int{}
	for i, role := range roles {
		if f.Only != nil && !slices.Contains(f.Only, racelab.Letter(i)) {
			roles[i].Calls = nil
			continue
		}
		report.Calls += f.Runs * len(role.Calls)
	}
	world, err := server.Open(ctx, s.Config())
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, world.Close()) }()

	var beside *yardstick
	if s.Scenario.Setup == nil {
		if beside, err = s.newYardstick(ctx, server, f, &report); err != nil {
			return report, err
		}
		defer func() { err = errors.Join(err, beside.cell.Close()) }()
	}
	tape := control.NewTape(tapeLength)
	recorder := control.NewRecorder(tape.Add)
	watching, stop := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { recorder.Watch(watching, world) })
	defer watcher.Wait()
	defer stop()

	random := rand.New(rand.NewPCG(f.Seed, 0))
	sessions := make([]*Session, len(roles))
	for i := range roles {
		own := rand.New(rand.NewPCG(random.Uint64(), random.Uint64()))
		sessions[i] = NewSession(racelab.Letter(i), s.Engine, world, nil, recorder, own)
		defer func() { err = errors.Join(err, sessions[i].Close()) }()
	}
	for run := range f.Runs {
		tape.Clear()
		recorder.Restart()
		stuck, err := reset(ctx, world, f.Timeout)
		if stuck {
			report.Stalled = &Stall{Who: []string{"the tables cannot be reset: a transaction of an earlier run is still open"}}
			return report, nil
		}
		processes := make([]Process, max(f.Processes, 1))
		if err == nil {
			for i := range processes {
				processes[i].memory.Process = i
			}
			for i := range sessions {
				sessions[i].restart(&processes[i%len(processes)])
				sessions[i].process.value(s.Strategy) // made while nobody waits for it
			}
			report.Stalled = s.once(ctx, f, roles, sessions, processes, tape, &report)
			if report.Stalled != nil {
				return report, nil
			}
		}
		if ctx.Err() != nil {
			return report, ctx.Err() // what the engine says about it is no news
		}
		if err != nil {
			return report, err
		}
		if err := s.judge(ctx, world, processes, tape, beside, &report); err != nil {
			return report, err
		}
		if f.Progress != nil {
			f.Progress(run + 1)
		}
	}
	return report, nil
}

// reset brings the world back, and reports whether it gave up waiting for a
// transaction that a strategy has left open.
func reset(ctx context.Context, world racelab.World, timeout time.Duration) (stuck bool, err error) {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if timeout > 0 {
		limited, cancel = context.WithTimeout(ctx, timeout)
	}
	defer cancel()
	err = world.Reset(limited)
	return err != nil && limited.Err() != nil && ctx.Err() == nil, err
}

// once lets the whole cast go at the same moment and waits for all of it, and
// returns how it stood if it was cut off.
func (s Selection) once(ctx context.Context, f Free, roles []racelab.Role, sessions []*Session, processes []Process, tape *control.Tape, report *FreeReport) *Stall {
	ctx, cut := context.WithCancel(ctx)
	defer cut()
	calls := tally{failed: map[racelab.Class]int{}}
	defer calls.into(report)
	var wg sync.WaitGroup
	start := make(chan struct{})
	before := start
	var missing atomic.Int64 // who has not come to the line yet
	missing.Store(int64(len(roles)))
	for _, session := range sessions {
		if !f.InTurn {
			session.line = func() { toTheLine(&missing) }
		}
	}
	for i, role := range roles {
		own := make(chan struct{})
		turn := start
		if f.InTurn {
			turn, before = before, own
		}
		wg.Go(func() {
			defer close(own)
			defer func() {
				if sessions[i].line != nil {
					missing.Add(-1) // it has made no call
				}
			}()
			<-turn
			for _, args := range role.Calls {
				if ctx.Err() != nil {
					return
				}
				calls.began()
				result, err := sessions[i].Call(ctx, s.Strategy, role.Name, args, f.Window)
				calls.ended(sessions[i].ID, result.Class, err)
			}
		})
	}
	began := time.Now()
	defer func() { report.Took += time.Since(began) }()
	close(start)
	who := pending
	if s.Scenario.Setup == nil {
		who = whereabouts(sessions[0].recorder)
	}
	return wait(ctx, cut, f, func() {
		wg.Wait()
		for i := range processes {
			processes[i].memory.Wait()
		}
	}, tape, who)
}

// toTheLine returns when all have come. A channel wakes one after another, and
// so do the locks of what records a call: the first body would have ended before
// the last begins.
func toTheLine(missing *atomic.Int64) {
	missing.Add(-1)
	for turns := 0; missing.Load() > 0; turns++ {
		if turns%1000 == 999 {
			runtime.Gosched() // there may be fewer processors than sessions
		}
	}
}

// judge measures what the run left.
func (s Selection) judge(ctx context.Context, world racelab.World, processes []Process, tape *control.Tape, beside *yardstick, report *FreeReport) error {
	state, err := finalState(ctx, world, processes)
	if err != nil {
		return err
	}
	measures, err := check.Invariants(s.Scenario, state)
	if err != nil {
		return err
	}
	report.Runs++
	lost := false
	if report.Claims == nil {
		report.Claims = make([]Claim, len(measures))
	}
	for i, m := range measures {
		c := &report.Claims[i]
		c.Name = m.Name
		c.Expected += m.Expected
		c.Actual += m.Actual
		c.Off += max(m.Expected-m.Actual, m.Actual-m.Expected)
		if m.Holds() {
			c.Held++
		} else {
			lost = true
		}
	}
	if beside != nil {
		events, _ := tape.History()
		if lost, err = beside.hold(ctx, racelab.History{Events: events, Final: state}, report); err != nil {
			return err
		}
	}
	if !lost {
		return nil
	}
	report.Losses++
	if report.Witness == nil && beside == nil { // without operations there is nothing to see
		events, at := tape.History()
		report.Witness = &racelab.Run{
			Scenario: s.Scenario.Name, Strategy: s.Strategy.Name, Engine: s.Engine.Name, Level: s.Level,
			History: racelab.History{Events: events, Final: state}, At: at,
		}
	}
	return nil
}
