package stage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
	"github.com/racelab/racelab/internal/control"
)

// A Free says how a selection runs freely: everything at once, as in
// production, and only recorded.
type Free struct {
	Runs      int // of the whole cast
	Sessions  int // 0: the scenario's own cast
	Processes int // simulated; sessions are dealt to them in turn
	Window    Span
	Seed      uint64
	Progress  func(done int) // may be nil
}

// A FreeReport is what free running gave.
type FreeReport struct {
	Runs, Losses int // runs, and those after which an invariant did not hold
	OK           int // calls that succeeded
	Failed       map[racelab.Class]int
	Measures     []check.Measure // summed over the runs
	Witness      *racelab.Run    // of one loss
	Errors       []error         // a few that no class explains
}

// cast returns the roles of n sessions: the scenario's, dealt out in turn.
func cast(s *racelab.Scenario, n int) []racelab.Role {
	if n == 0 {
		n = len(s.Cast)
	}
	roles := make([]racelab.Role, n)
	for i := range roles {
		roles[i] = s.Cast[i%len(s.Cast)]
	}
	return roles
}

// tapeLength bounds a run's events: far above what a cast produces.
const tapeLength = 1 << 20

// RunFree opens a world on server and runs the selection in it. On an error,
// the context's among them, the report holds what was seen before.
func (s Selection) RunFree(ctx context.Context, server racelab.Server, f Free) (report FreeReport, err error) {
	report.Failed = map[racelab.Class]int{}
	world, err := server.Open(ctx, s.Config())
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, world.Close()) }()

	tape := control.NewTape(tapeLength)
	recorder := control.NewRecorder(tape.Add)
	watching, stop := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { recorder.Watch(watching, world) })
	defer watcher.Wait()
	defer stop()

	roles := cast(s.Scenario, f.Sessions)
	random := rand.New(rand.NewPCG(f.Seed, 0))
	sessions := make([]*Session, len(roles))
	for i := range roles {
		own := rand.New(rand.NewPCG(random.Uint64(), random.Uint64()))
		sessions[i] = NewSession(racelab.Letter(i), s.Engine, world, nil, recorder, own)
		defer func() { err = errors.Join(err, sessions[i].Close()) }()
	}
	for run := range f.Runs {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		tape.Clear()
		recorder.Restart()
		if err := world.Reset(ctx); err != nil {
			return report, err
		}
		processes := make([]Process, max(f.Processes, 1))
		for i := range sessions {
			sessions[i].restart(&processes[i%len(processes)])
		}
		if err := s.once(ctx, roles, sessions, f.Window, &report); err != nil {
			return report, err
		}
		if err := s.judge(ctx, world, tape, &report); err != nil {
			return report, err
		}
		if f.Progress != nil {
			f.Progress(run + 1)
		}
	}
	return report, nil
}

// once lets the whole cast go at the same moment and waits for all of it.
func (s Selection) once(ctx context.Context, roles []racelab.Role, sessions []*Session, window Span, report *FreeReport) error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i, role := range roles {
		wg.Go(func() {
			<-start
			for _, args := range role.Calls {
				result, err := sessions[i].Call(ctx, s.Strategy, role.Name, args, window)
				mu.Lock()
				if result.Class == racelab.OK {
					report.OK++
				} else {
					report.Failed[result.Class]++
				}
				if result.Class == racelab.Other && len(report.Errors) < 3 {
					report.Errors = append(report.Errors, fmt.Errorf("%s: %w", sessions[i].ID, err))
				}
				mu.Unlock()
			}
		})
	}
	close(start)
	wg.Wait()
	return ctx.Err()
}

// judge measures what the run left.
func (s Selection) judge(ctx context.Context, world racelab.World, tape *control.Tape, report *FreeReport) error {
	state, err := world.State(ctx)
	if err != nil {
		return err
	}
	measures, err := check.Invariants(s.Scenario, state)
	if err != nil {
		return err
	}
	report.Runs++
	lost := false
	if report.Measures == nil {
		report.Measures = make([]check.Measure, len(measures))
	}
	for i, m := range measures {
		lost = lost || !m.Holds()
		report.Measures[i].Name = m.Name
		report.Measures[i].Expected += m.Expected
		report.Measures[i].Actual += m.Actual
	}
	if !lost {
		return nil
	}
	report.Losses++
	if report.Witness == nil {
		events, at := tape.History()
		report.Witness = &racelab.Run{
			Scenario: s.Scenario.Name, Strategy: s.Strategy.Name, Engine: s.Engine.Name, Level: s.Level,
			History: racelab.History{Events: events, Final: state}, At: at,
		}
	}
	return nil
}
