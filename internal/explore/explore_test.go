package explore_test

import (
	"context"
	"fmt"
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
				ready = append(ready, racelab.Choice{Session: racelab.Letter(s), Step: done[s] + 1})
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
		op := racelab.Op{Session: next.Session, Call: next.Session.Call(1), Step: next.Step}
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
	s.Judge.Serial = func(ctx context.Context, order []racelab.CallID) (racelab.History, error) {
		return m.run(ctx, explore.Plan{Serial: order})
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

func TestAnErrorEndsTheSearch(t *testing.T) {
	m := machine{steps: []int{3, 3}}
	s := m.search(map[string]int{}, 2)
	broken := fmt.Errorf("the server is gone")
	s.Runners = []explore.Runner{func(context.Context, explore.Plan) (racelab.History, error) { return racelab.History{}, broken }}
	if _, err := s.Run(t.Context()); err != broken {
		t.Errorf("the search ended with %v", err)
	}
}
