package stage_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/memory"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/mem"
)

// ofMemory is a scenario of two sessions that share what process makes.
func ofMemory(t *testing.T, process func(*racelab.Memory) any, bodies ...racelab.Body) stage.Selection {
	t.Helper()
	s := &racelab.Scenario{Name: "shared"}
	st := racelab.Strategy{Name: "one", Process: process, Body: map[string]racelab.Body{}}
	for i, body := range bodies {
		name := string(racelab.Letter(i))
		s.Cast = append(s.Cast, racelab.Role{Name: name, Calls: []racelab.Args{{"n": int64(i)}}})
		st.Body[name] = body
	}
	s.Strategies = []racelab.Strategy{st}
	sel, _ := selectedInMemory(t, s)
	return sel
}

// selectedInMemory is the first strategy of a scenario without a database.
func selectedInMemory(t *testing.T, s *racelab.Scenario) (stage.Selection, racelab.Server) {
	t.Helper()
	server, err := memory.Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	sel, err := stage.Select(s, &s.Strategies[0], memory.Engine, "")
	if err != nil {
		t.Fatal(err)
	}
	return sel, server
}

func inMemory(t *testing.T, sel stage.Selection, x stage.Exploration) (stage.Explored, error) {
	t.Helper()
	server, err := memory.Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return sel.Explore(t.Context(), server, x)
}

func TestWhatIsDoneToMakeWhatIsSharedIsNoStep(t *testing.T) {
	send := func(_ context.Context, env *racelab.Env) (racelab.Value, error) {
		v, _ := env.Process.(*mem.Chan[int]).Recv()
		return v, nil
	}
	x, err := inMemory(t, ofMemory(t, func(m *racelab.Memory) any {
		c := mem.NewChan[int](m, "c", 2)
		c.Send(7)
		c.Send(7)
		return c
	}, send, send), stage.Exploration{Reduced: true})
	if err != nil || x.Steps != 1 || x.Violations > 0 || !x.Complete {
		t.Errorf("%d steps a call, %d violations, complete %v, %v", x.Steps, x.Violations, x.Complete, err)
	}
}

// A run whose calls were all refused is one of no call at all, and that has the
// same memory: in each process.
func TestWhatIsSharedIsThereWithoutACallThatUsesIt(t *testing.T) {
	refuse := func(context.Context, *racelab.Env) (racelab.Value, error) { return nil, racelab.ErrRefused }
	for _, processes := range []int{1, 2} {
		x, err := inMemory(t, ofMemory(t, func(m *racelab.Memory) any { return mem.NewVar(m, "n", 3) }, refuse, refuse),
			stage.Exploration{Controlled: stage.Controlled{Processes: processes}})
		if err != nil || x.Violations > 0 || x.Committed() || !strings.Contains(x.Outcomes[0].State, "n=3") {
			t.Errorf("%d processes: %d violations, committed %v, %+v, %v", processes, x.Violations, x.Committed(), x.Outcomes, err)
		}
	}
}

func TestWhatCannotBeMadeIsAnError(t *testing.T) {
	body := func(context.Context, *racelab.Env) (racelab.Value, error) { return nil, nil }
	for says, process := range map[string]func(m *racelab.Memory) any{
		"panic: no paper": func(*racelab.Memory) any { panic("no paper") },
		"receive from c has to wait": func(m *racelab.Memory) any {
			mem.NewChan[int](m, "c", 1).Recv()
			return nil
		},
		"a session is started": func(m *racelab.Memory) any {
			mem.Go(m, func() {})
			return nil
		},
		"misuse: sync: unlock of unlocked mutex": func(m *racelab.Memory) any {
			mem.NewMutex(m, "m").Unlock()
			return nil
		},
	} {
		if _, err := inMemory(t, ofMemory(t, process, body), stage.Exploration{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

// A session that was left behind goes on by itself, beside the runs that come
// after it: what it was given is its own.
func TestWhatALeftSessionWasGivenIsNotUsedAgain(t *testing.T) {
	var first atomic.Bool
	leave, left := make(chan struct{}), make(chan int64)
	sel := ofMemory(t, func(m *racelab.Memory) any { return mem.NewVar(m, "n", 0) }, func(_ context.Context, env *racelab.Env) (racelab.Value, error) {
		if first.CompareAndSwap(false, true) {
			<-leave
			left <- env.Args.Int("n") + int64(env.Tries)
		}
		return nil, nil
	})
	server, err := memory.Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	cell, err := sel.NewCell(t.Context(), server, stage.Controlled{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cell.Run(t.Context(), explore.Plan{}); !stage.LostControl(err) {
		t.Fatal(err)
	}
	close(leave)
	if _, err := cell.Run(t.Context(), explore.Plan{}); err != nil {
		t.Error(err)
	}
	<-left
	if err := errors.Join(cell.Close(), server.Close()); err != nil {
		t.Error(err)
	}
}
