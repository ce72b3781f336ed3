package stage_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/mem"
)

// luck runs sessions freely that share a number, a mutex and the memory itself.
func luck(t *testing.T, f stage.Free, bodies ...func(ctx context.Context, env *racelab.Env, s shared) error) (stage.FreeReport, error) {
	t.Helper()
	st := racelab.Strategy{Name: "one", Body: map[string]racelab.Body{}, Process: func(m *racelab.Memory) any {
		return shared{m, mem.NewVar(m, "n", 0), mem.NewMutex(m, "mu")}
	}}
	s := &racelab.Scenario{Name: "luck"}
	for i, body := range bodies {
		role := string(racelab.Letter(i))
		s.Cast = append(s.Cast, racelab.Role{Name: role, Calls: []racelab.Args{{}}})
		st.Body[role] = func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
			return nil, body(ctx, env, env.Process.(shared))
		}
	}
	s.Strategies = []racelab.Strategy{st}
	sel, server := selectedInMemory(t, s)
	return sel.RunFree(t.Context(), server, f)
}

type shared struct {
	memory *racelab.Memory
	n      *mem.Var[int]
	mu     *mem.Mutex
}

// What is lost in a window of time is seen, and judged by the serial outcomes:
// the scenario has no invariant.
func TestAFreeRunOfMemoryIsHeldAgainstSerialOrder(t *testing.T) {
	add := func(ctx context.Context, env *racelab.Env, s shared) error {
		s.mu.Lock()
		n := s.n.Load()
		s.mu.Unlock()
		if err := env.Window(ctx); err != nil {
			return err
		}
		s.mu.Lock()
		s.n.Store(n + 1)
		s.mu.Unlock()
		return nil
	}
	f := stage.Free{Runs: 3, Window: stage.Span{Min: 300 * time.Millisecond, Max: 300 * time.Millisecond}}
	r, err := luck(t, f, add, add)
	if err != nil {
		t.Fatal(err)
	}
	if r.Runs != 3 || r.Losses != 3 || r.Undecided != 0 || len(r.Outcomes) != 1 || r.Outcomes[0].Serial || !strings.Contains(r.Outcomes[0].State, "n=1") || r.Witness != nil {
		t.Errorf("%+v", r)
	}
	if x := r.Explored; !x.Complete || x.Violations == 0 || x.Violations == x.Schedules {
		t.Errorf("%+v", *x)
	}
	f.Processes, f.Window = 2, stage.Span{} // each has a number of its own
	r, err = luck(t, f, add, add)
	if err != nil || r.Losses != 0 || len(r.Outcomes) != 1 || !r.Outcomes[0].Serial || !strings.Contains(r.Outcomes[0].State, "n of process 2=1") {
		t.Errorf("%+v, %v", r, err)
	}
	f.Processes, f.InTurn = 1, true
	if r, err = luck(t, f, add, add); err != nil || r.Losses != 0 || !strings.Contains(r.Outcomes[0].State, "n=2") {
		t.Errorf("one after another: %+v, %v", r, err)
	}
}

// What a call has started is part of the run, also if the call does not wait.
func TestAFreeRunWaitsForWhatItsCallsHaveStarted(t *testing.T) {
	r, err := luck(t, stage.Free{Runs: 2}, func(_ context.Context, _ *racelab.Env, s shared) error {
		mem.Go(s.memory, func() {
			mem.Sleep(s.memory, 20*time.Millisecond)
			mem.NewWaitGroup(s.memory, "g").Go(func() {
				mem.Sleep(s.memory, 20*time.Millisecond)
				s.n.Store(5)
			})
		})
		return nil
	})
	if err != nil || r.Losses != 0 || len(r.Outcomes) != 1 || !strings.Contains(r.Outcomes[0].State, "n=5") {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAFreeRunThatIsStuckSaysWhere(t *testing.T) {
	r, err := luck(t, stage.Free{Runs: 3, Timeout: 50 * time.Millisecond}, func(_ context.Context, _ *racelab.Env, s shared) error {
		s.mu.Lock()
		s.mu.Lock()
		return nil
	}, func(context.Context, *racelab.Env, shared) error { return nil })
	if err != nil || r.Stalled == nil || r.Runs != 0 || r.OK != 1 || r.Unknown != 1 || r.NotMade() != 4 {
		t.Fatalf("%+v, %v", r, err)
	}
	if who := r.Stalled.Who; len(who) != 1 || !strings.HasPrefix(who[0], "A waits for a sync.Mutex at luck_test.go:") {
		t.Errorf("%q", who)
	}
	if r.Explored.Deadlocked == 0 {
		t.Errorf("%+v", *r.Explored)
	}
	r, err = luck(t, stage.Free{Runs: 1, Timeout: 50 * time.Millisecond}, func(_ context.Context, _ *racelab.Env, s shared) error {
		s.mu.Lock()
		mem.Go(s.memory, s.mu.Lock)
		return nil
	})
	if err != nil || r.Stalled == nil || !strings.Contains(strings.Join(r.Stalled.Who, ""), "something that they have started") {
		t.Errorf("%+v, %v", r, err)
	}
}

// Nothing can recover from it, and racelab is the program.
func TestWhatEndsAGoProgramIsNotRunFreely(t *testing.T) {
	_, err := luck(t, stage.Free{Runs: 1}, func(_ context.Context, _ *racelab.Env, s shared) error { s.mu.Unlock(); return nil })
	if !errors.Is(err, stage.ErrEnds) {
		t.Errorf("unlocked twice: %v", err)
	}
	_, err = luck(t, stage.Free{Runs: 1}, func(_ context.Context, _ *racelab.Env, s shared) error {
		mem.Go(s.memory, func() { panic("nobody recovers") })
		return nil
	})
	if !errors.Is(err, stage.ErrEnds) {
		t.Errorf("a started session: %v", err)
	}
	r, err := luck(t, stage.Free{Runs: 1}, func(context.Context, *racelab.Env, shared) error { panic("the call does") })
	if err != nil || r.Failed[racelab.Panicked] != 1 {
		t.Errorf("a call: %+v, %v", r, err)
	}
}

// The bounds are those of a table: 0 of 10, 1 of 10, 10 of 10.
func TestARateHasBounds(t *testing.T) {
	for seen, want := range map[int][2]float64{0: {0, 0.2775}, 1: {0.0179, 0.4042}, 5: {0.2366, 0.7634}, 10: {0.7225, 1}} {
		r := stage.RateOf(seen, 10)
		if math.Abs(r.Low-want[0]) > 1e-4 || math.Abs(r.High-want[1]) > 1e-4 || r.Seen != float64(seen)/10 {
			t.Errorf("%d of 10: %+v, want %v", seen, r, want)
		}
	}
}
