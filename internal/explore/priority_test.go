package explore_test

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/mem"
)

// Whatever the program, what is chosen can be chosen, and the seed decides it,
// not who runs it.
func TestRandomPrioritiesChooseWhatIsReady(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := machine{steps: rapid.SliceOfN(rapid.IntRange(1, 4), 1, 4).Draw(t, "steps")}
		m.locked = rapid.IntRange(0, len(m.steps)).Draw(t, "locked")
		depth, seed := rapid.IntRange(1, 10).Draw(t, "depth"), rapid.Uint64().Draw(t, "seed")
		draw := func(workers int) (explore.Report, []string) {
			var drawn []string
			s := m.search(nil, workers)
			s.Random, s.Depth, s.Seed = 40, depth, seed
			for i, run := range s.Runners {
				s.Runners[i] = func(ctx context.Context, p explore.Plan) (racelab.History, error) {
					then := p.Then
					p.Then = func(ready []racelab.Choice) racelab.Choice {
						c := then(slices.Clone(ready))
						if !slices.Contains(ready, c) {
							t.Errorf("%s of %v", c, ready)
						}
						return c
					}
					return run(ctx, p)
				}
			}
			s.Judged = func(h racelab.History) { drawn = append(drawn, explore.ScheduleOf(h).String()) }
			r, err := s.Run(context.Background())
			if err != nil || r.Schedules != 40 || len(drawn) != 40 {
				t.Fatalf("%+v, %v", r, err)
			}
			return r, drawn
		}
		one, schedules := draw(1)
		many, same := draw(3)
		if diff := cmp.Diff(one, many) + cmp.Diff(schedules, same); diff != "" {
			t.Errorf("1 and 3 workers (-1 +3):\n%s", diff)
		}
	})
}

// With a depth of 1 nothing falls: sessions go one after another, in each
// order. Each unit above allows for one preemption more.
func TestTheDepthBoundsThePreemptions(t *testing.T) {
	m := machine{steps: []int{3, 3, 3}}
	for depth := 1; depth <= 4; depth++ {
		most, seen := 0, map[string]int{}
		s := m.search(seen, 1)
		count := s.Judged
		s.Random, s.Depth = 300, depth
		s.Judged = func(h racelab.History) {
			count(h)
			most = max(most, preemptions(h))
		}
		if _, err := s.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if most != depth-1 || depth == 1 && len(seen) != 6 {
			t.Errorf("depth %d: %d preemptions, %d schedules", depth, most, len(seen))
		}
	}
}

// Of two that have fallen either may go first.
func TestThoseWhoHaveFallenGoInEachOrder(t *testing.T) {
	seen := map[string]int{}
	s := machine{steps: []int{2, 2, 2}}.search(seen, 1)
	s.Random, s.Depth = 3000, 3 // one in 216 is either of these
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, schedule := range []string{"A1 B1 C1 C2 A2 B2", "A1 B1 C1 C2 B2 A2"} {
		if seen[schedule] == 0 {
			t.Errorf("%s is none of %d schedules", schedule, len(seen))
		}
	}
}

func addBoth(m *racelab.Memory) []func() {
	n := mem.NewVar(m, "n", 0)
	add := func() { n.Store(n.Load() + 1) }
	return []func(){add, add}
}

// A lost update is of depth 2: the other one loads before this one stores, and
// after it has loaded. It is found at least as often as is promised.
func TestRandomPrioritiesFindALostUpdateAsOftenAsPromised(t *testing.T) {
	s := search(t, addBoth, false)
	s.Random, s.Depth = 1000, 2
	r, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := (explore.Guarantee{Depth: 2, Sessions: 2, Steps: 4, Longest: 4}); *r.Guarantee != want || !want.Holds() {
		t.Errorf("%+v, want %+v", *r.Guarantee, want)
	}
	// Of 1000 with a probability of 1/8, fewer than 80 come once in 10 million times.
	if one := r.Guarantee.Probability(1); math.Abs(one-1.0/8) > 1e-9 || r.Violations < 80 || r.FirstFound > 20 {
		t.Errorf("%g promised; %d of 1000 violate, the first is %d", one, r.Violations, r.FirstFound)
	}
	if two := r.Guarantee.Probability(2); math.Abs(two-(1-49.0/64)) > 1e-9 {
		t.Errorf("%g in two schedules", two)
	}
	s = search(t, addBoth, false)
	s.Random, s.Depth = 300, 1
	if r, err := s.Run(t.Context()); err != nil || r.Violations != 0 {
		t.Errorf("nothing falls, and %d violate: %v", r.Violations, err)
	}
}

// Who looks again and again, or lets time pass, does not keep the others out;
// and time may pass early.
func TestRandomPrioritiesLetTimePass(t *testing.T) {
	s := search(t, func(m *racelab.Memory) []func() {
		done := mem.NewAtomic(m, "done", 0)
		return []func(){
			func() {
				for tries := 0; done.Load() == 0; tries++ {
					if mem.Sleep(m, time.Second); tries > 20 {
						panic("nobody else goes")
					}
				}
			},
			func() { done.Store(1) },
			func() {
				for done.Load() == 0 {
					mem.Gosched(m)
				}
			},
		}
	}, false)
	s.Random, s.Depth = 200, 4
	early := 0
	s.Judged = func(h racelab.History) {
		// In serial order it is so: no violation.
		if why, panicked := check.PanicIn(h); panicked {
			t.Errorf("%s: %s", explore.ScheduleOf(h), why)
		}
		for i, c := range explore.ScheduleOf(h) {
			if c.Tick && i > 0 && i < len(explore.ScheduleOf(h))-3 {
				early++
				break
			}
		}
	}
	r, err := s.Run(t.Context())
	if err != nil || r.Violations > 0 || r.Schedules != 200 || early == 0 {
		t.Errorf("%d schedules, %d violate, time passes early in %d: %v", r.Schedules, r.Violations, early, err)
	}
	if !r.Guarantee.Sleeps || r.Guarantee.Holds() {
		t.Errorf("%+v", *r.Guarantee)
	}
}

// Which case a select takes has no priority: any of them is as likely.
func TestRandomPrioritiesTakeAnyCase(t *testing.T) {
	s := search(t, func(m *racelab.Memory) []func() {
		c, d := mem.NewChan(m, "c", 1, 1), mem.NewChan(m, "d", 1, 1)
		return []func(){func() { mem.Select(m, c.Receiving(nil, nil), d.Receiving(nil, nil), d.Receiving(nil, nil)) }}
	}, false)
	s.Random, s.Depth = 60, 1
	taken := map[string]int{}
	s.Judged = func(h racelab.History) { taken[explore.ScheduleOf(h).String()]++ }
	if r, err := s.Run(t.Context()); err != nil || r.Violations > 0 || len(taken) != 3 {
		t.Errorf("%v, %d violate: %v", taken, r.Violations, err)
	}
}
