package explore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
	"github.com/racelab/racelab/internal/explore"
)

// A machine is a world of sessions that only count their steps; those of the
// first "locked" ones exclude each other from the first step to the last.
type machine struct {
	steps  []int
	locked int
}

// run is an explore.Runner.
func (m machine) run(_ context.Context, p explore.Plan) (racelab.History, error) {
	var h racelab.History
	done := make([]int, len(m.steps))
	holder, last := -1, -1
	for i := 0; ; i++ {
		var ready []racelab.Choice
		for s := range m.steps {
			if done[s] < m.steps[s] && (s >= m.locked || holder < 0 || holder == s) {
				c := racelab.Choice{Session: racelab.Letter(s), Step: done[s] + 1}
				ready = append(ready, c)
				if c.Fault = racelab.DropAfter; p.Faults {
					ready = append(ready, c)
				}
			}
		}
		if len(ready) == 0 {
			return h, nil
		}
		next := ready[0]
		switch {
		case i < len(p.Schedule):
			next = p.Schedule[i]
		case p.Serial != nil:
			next = inTurn(p.Serial, ready)
		case p.Then != nil:
			next = p.Then(ready)
		default:
			for _, c := range ready {
				if last >= 0 && c.Session == racelab.Letter(last) {
					next = c
				}
			}
		}
		s := int(next.Session[0] - 'A')
		if done[s]++; done[s] != next.Step {
			return h, fmt.Errorf("step %s, and %s is at %d", next, next.Session, done[s])
		}
		if s < m.locked {
			holder = s
			if done[s] == m.steps[s] {
				holder = -1
			}
		}
		last = s
		op := racelab.Op{Session: next.Session, Call: next.Session.Call(1), Step: next.Step, Fault: next.Fault}
		h.Events = append(h.Events, racelab.Event{Kind: racelab.Entered, Op: op, Ready: ready}, racelab.Event{Kind: racelab.Left, Op: op})
		if done[s] == m.steps[s] {
			h.Events = append(h.Events, racelab.Event{Kind: racelab.Returned, Op: op, Result: racelab.Result{Class: racelab.OK}})
		}
	}
}

func inTurn(order []racelab.CallID, ready []racelab.Choice) racelab.Choice {
	for _, call := range order {
		for _, c := range ready {
			if c.Session.Call(1) == call {
				return c
			}
		}
	}
	return ready[0]
}

// count counts the schedules by trying them all.
func (m machine) count(done []int, holder int) int {
	n, ended := 0, true
	for s := range m.steps {
		if done[s] == m.steps[s] {
			continue
		}
		ended = false
		if s < m.locked && holder >= 0 && holder != s {
			continue
		}
		next := holder
		if s < m.locked {
			if next = s; done[s]+1 == m.steps[s] {
				next = -1
			}
		}
		done[s]++
		n += m.count(done, next)
		done[s]--
	}
	if ended {
		return 1
	}
	return n
}

func (m machine) search(seen map[string]int, workers int) *explore.Search {
	s := &explore.Search{Judge: &check.Judge{Scenario: &racelab.Scenario{}}}
	for i := range m.steps {
		s.Judge.Calls = append(s.Judge.Calls, []racelab.CallID{racelab.Letter(i).Call(1)})
	}
	// A serial run is one schedule too, and has to be run once only.
	s.Judge.Serial = func(ctx context.Context, order []racelab.CallID, start racelab.Schedule) (racelab.History, error) {
		return m.run(ctx, explore.Plan{Serial: order, Schedule: start})
	}
	for range workers {
		s.Runners = append(s.Runners, m.run)
	}
	s.Judged = func(h racelab.History) { seen[explore.ScheduleOf(h).String()]++ }
	return s
}

func TestEveryScheduleIsRunOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := machine{steps: rapid.SliceOfN(rapid.IntRange(1, 4), 1, 3).Draw(t, "steps")}
		m.locked = rapid.IntRange(0, len(m.steps)).Draw(t, "locked")
		seen := map[string]int{}
		r, err := m.search(seen, rapid.IntRange(1, 3).Draw(t, "workers")).Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := m.count(make([]int, len(m.steps)), -1)
		if !r.Complete || r.Schedules != want || len(seen) != want {
			t.Fatalf("%d schedules, %d different, of %d; complete %v", r.Schedules, len(seen), want, r.Complete)
		}
		for s, n := range seen {
			if n != 1 {
				t.Fatalf("%s was run %d times", s, n)
			}
		}
	})
}

func TestFewPreemptionsComeFirst(t *testing.T) {
	m := machine{steps: []int{3, 3, 2}}
	var order []int
	s := m.search(map[string]int{}, 1)
	s.Judged = func(h racelab.History) { order = append(order, preemptions(h)) }
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	most := 0
	for i, n := range order {
		if n < min(most, 3) {
			t.Fatalf("run %d has %d preemptions, after one with %d", i+1, n, most)
		}
		most = max(most, n)
	}
}

// preemptions counts the switches away from a session that could go on.
func preemptions(h racelab.History) (n int) {
	last := racelab.SessionID("")
	for _, e := range h.Events {
		if e.Kind != racelab.Entered {
			continue
		}
		for _, c := range e.Ready {
			if c.Session == last && e.Op.Session != last {
				n++
			}
		}
		last = e.Op.Session
	}
	return n
}

func TestABudgetIsKeptAndIsNotComplete(t *testing.T) {
	m := machine{steps: []int{4, 4}}
	var reports []explore.Report
	for _, workers := range []int{1, 3} {
		seen := map[string]int{}
		s := m.search(seen, workers)
		s.Budget = 40
		r, err := s.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.Complete || r.Schedules != 40 || len(seen) != 40 {
			t.Errorf("%d schedules, complete %v", r.Schedules, r.Complete)
		}
		reports = append(reports, r)
	}
	if diff := cmp.Diff(reports[0], reports[1]); diff != "" {
		t.Errorf("1 and 3 workers (-1 +3):\n%s", diff)
	}
}

// With eight sessions there are 40,320 serial orders.
func TestABudgetBoundsTheSerialRuns(t *testing.T) {
	m := machine{steps: []int{1, 1, 1, 1, 1, 1, 1, 1}}
	seen := map[string]int{}
	s := m.search(seen, 1)
	s.Budget = 500
	r, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Complete || r.Schedules != 500 || r.Serial != 500 || s.Judge.Runs() != 500 || s.Left == nil || s.Left.Begun {
		t.Errorf("%d schedules, %d serial, by %d serial runs; complete %v, left %+v", r.Schedules, r.Serial, s.Judge.Runs(), r.Complete, s.Left)
	}
	s = m.search(seen, 1)
	ended := 0
	s.Stop = func() bool { ended++; return ended > 20 }
	if r, err := s.Run(t.Context()); err != nil || r.Complete || r.Schedules != 20 {
		t.Errorf("%d schedules before the end of the time, and %v", r.Schedules, err)
	}
}

// aborting are two sessions of some steps. Where the first ones alternate A's
// call is aborted, and B's returns what it also returns alone, or, if it is odd,
// never.
func aborting(steps int, odd bool) *explore.Search {
	m := machine{steps: []int{steps, steps}}
	s := m.search(map[string]int{}, 1)
	run := func(ctx context.Context, p explore.Plan) (racelab.History, error) {
		h, err := m.run(ctx, p)
		alternates := strings.HasPrefix(explore.ScheduleOf(h).String(), "A1 B1 A2 B2")
		alone := len(p.Serial) == 1
		for i := range h.Events {
			e := &h.Events[i]
			switch {
			case e.Kind != racelab.Returned:
			case alternates && e.Op.Session == "A":
				e.Result.Class = racelab.Deadlock
			case alternates && odd:
				e.Result.Value = "odd"
			case alternates || alone:
				e.Result.Value = "alone"
			}
		}
		return h, err
	}
	s.Runners = []explore.Runner{run}
	s.Judge.Serial = func(ctx context.Context, order []racelab.CallID, start racelab.Schedule) (racelab.History, error) {
		return run(ctx, explore.Plan{Serial: order, Schedule: start})
	}
	return s
}

// Serial runs of some of the calls are runs too, and a run that only they could
// explain is no violation before they have been made: it is left, and judged
// when the search goes on.
func TestWhatTheBudgetLeavesUnjudgedIsNoViolation(t *testing.T) {
	whole := aborting(2, false)
	r, err := whole.Run(t.Context())
	if err != nil || !r.Complete || r.Violations != 0 || r.Schedules != 6 || r.Beside != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, odd := range []bool{false, true} {
		undecided := 0
		for budget := 1; budget < 7; budget++ {
			s := aborting(2, odd)
			s.Budget = budget
			r, err := s.Run(t.Context())
			if err != nil || r.Complete || r.Violations > 0 && !(odd && r.Beside == 1) || r.Schedules+r.Beside > budget {
				t.Errorf("with a budget of %d: %+v, %v", budget, r, err)
			}
			if r.Undecided {
				undecided++
			}
			rest := aborting(2, odd)
			rest.Resume = s.Left
			r, err = rest.Run(t.Context())
			if err != nil || !r.Complete || r.Violations > 0 != odd || r.Schedules != 6 {
				t.Errorf("resumed after a budget of %d: %+v, %v", budget, r, err)
			}
		}
		if undecided == 0 {
			t.Error("no budget ended where a run was to be judged")
		}
	}
}

// Whose time ends before it has come to anything new leaves what it was given.
func TestAResumedSearchWithoutTimeLosesNothing(t *testing.T) {
	s := aborting(3, true)
	s.Budget = 19
	before, err := s.Run(t.Context())
	if err != nil || before.Complete || before.Violations == 0 {
		t.Fatalf("%+v, %v", before, err)
	}
	for asked := range 4 { // at a serial run, at the finding's, or before the first new one
		late := aborting(3, true)
		late.Resume = s.Left
		late.Stop = func() bool { asked--; return asked < 0 }
		r, err := late.Run(t.Context())
		if err != nil || r.Complete || r.Schedules != before.Schedules || r.Violations != before.Violations {
			t.Errorf("%+v, %v", r, err)
		}
		if diff := cmp.Diff(s.Left.Items, late.Left.Items); diff != "" {
			t.Errorf("what is left (-before +after):\n%s", diff)
		}
	}
}

// Random schedules are reproducible, whoever runs them, and of no others is the
// report.
func TestASampleDependsOnItsSeedOnly(t *testing.T) {
	m := machine{steps: []int{3, 3, 2}, locked: 1}
	draw := func(seed uint64, workers, faults int) (explore.Report, []string) {
		var drawn []string
		s := m.search(nil, workers)
		s.Random, s.Seed, s.Faults = 100, seed, faults
		s.Judged = func(h racelab.History) { drawn = append(drawn, explore.ScheduleOf(h).String()) }
		r, err := s.Run(t.Context())
		if err != nil || r.Schedules != 100 || len(drawn) != 100 || r.Serial != 0 || r.Beside == 0 || r.Complete {
			t.Fatalf("%+v, %v", r, err)
		}
		return r, drawn
	}
	for _, faults := range []int{0, 2} {
		one, schedules := draw(7, 1, faults)
		many, same := draw(7, 3, faults)
		if diff := cmp.Diff(one, many); diff != "" {
			t.Errorf("1 and 3 workers (-1 +3):\n%s", diff)
		}
		if diff := cmp.Diff(schedules, same); diff != "" {
			t.Errorf("1 and 3 workers (-1 +3):\n%s", diff)
		}
		if _, others := draw(8, 1, faults); cmp.Equal(schedules, others) {
			t.Error("another seed draws the same")
		}
	}
}

// A fault is among the choices everywhere, not only at the first steps, and
// there are no more than were asked for.
func TestASampleHasFaultsAtEveryStep(t *testing.T) {
	m := machine{steps: []int{4, 4}}
	s := m.search(nil, 2)
	s.Random, s.Faults = 400, 1
	at := map[int]int{}
	s.Judged = func(h racelab.History) {
		faults := 0
		for i, c := range explore.ScheduleOf(h) {
			if c.Fault != racelab.NoFault {
				faults++
				at[i]++
			}
		}
		if faults > 1 {
			t.Errorf("%d faults in %s", faults, explore.ScheduleOf(h))
		}
		if faults == 0 {
			at[-1]++
		}
	}
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := -1; i < 8; i++ {
		if at[i] == 0 {
			t.Errorf("no schedule has a fault at step %d: %v", i+1, at)
		}
	}
}

func TestAnErrorEndsTheSearch(t *testing.T) {
	m := machine{steps: []int{3, 3}}
	s := m.search(map[string]int{}, 2)
	broken := fmt.Errorf("the server is gone")
	s.Runners = []explore.Runner{func(context.Context, explore.Plan) (racelab.History, error) { return racelab.History{}, broken }}
	if _, err := s.Run(t.Context()); err != broken {
		t.Errorf("the search ended with %v", err)
	}
}
