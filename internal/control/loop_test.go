package control_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/memory"
	"github.com/racelab/racelab/internal/control"
	"github.com/racelab/racelab/mem"
)

// turns runs bodies that have nothing but shared memory, A first.
func turns(ctx context.Context, e *control.Engine, serial bool, bodies ...func(*racelab.Memory, *mem.Var[int])) ([]racelab.Event, error) {
	return turnsOf(ctx, control.NewDirector(e), serial, bodies...)
}

// turnsOf is turns for a director that has been told more.
func turnsOf(ctx context.Context, d *control.Director, serial bool, bodies ...func(*racelab.Memory, *mem.Var[int])) ([]racelab.Event, error) {
	m := &racelab.Memory{Gate: d}
	n := mem.NewVar(m, "n", 0)
	var scripts []control.Script
	for i, body := range bodies {
		id := racelab.Letter(i)
		scripts = append(scripts, control.Script{Session: id, Calls: []control.Call{{ID: id.Call(1), Run: control.Plain(func() { body(m, n) })}}})
		if serial {
			d.Serial = append(d.Serial, id.Call(1))
		}
	}
	return d.Run(ctx, scripts, nil)
}

func addOne(_ *racelab.Memory, n *mem.Var[int]) { n.Store(n.Load() + 1) }

// One that does not come back to the gate is left behind, and the next run is
// not its business.
func TestACoroutineThatDoesNotComeBackIsLeftBehind(t *testing.T) {
	for name, test := range map[string]struct {
		body func(stop chan struct{}, n *mem.Var[int])
		says string
	}{
		"a channel": {func(stop chan struct{}, n *mem.Var[int]) {
			n.Load()
			<-stop
			n.Store(7)
		}, "session B waits for a channel (chan receive) at loop_test.go:"},
		"a loop": {func(stop chan struct{}, n *mem.Var[int]) {
			var ended atomic.Bool
			go func() { <-stop; ended.Store(true) }()
			for !ended.Load() {
			}
			n.Store(7)
		}, "session B has run its own code for 100ms, and waits for nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			e := control.NewEngine(nil, memory.Engine.Dialect, racelab.SequentialConsistency)
			defer e.Close()
			e.StepLimit = 100 * time.Millisecond
			stop := make(chan struct{})
			back := make(chan struct{})
			events, err := turns(t.Context(), e, false, addOne, func(_ *racelab.Memory, n *mem.Var[int]) {
				defer close(back)
				test.body(stop, n)
			})
			if !errors.Is(err, control.ErrStalled) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want %q", err, test.says)
			}
			before := len(events)
			again, err := turns(t.Context(), e, false, addOne, addOne)
			if err != nil || len(again) != 12 {
				t.Errorf("the next run has %d events: %v", len(again), err)
			}
			close(stop)
			<-back // its Store panicked: the run is over
			if len(events) != before {
				t.Error("it has gone on in a run that is over")
			}
		})
	}
}

func TestCtrlCEndsACoroutine(t *testing.T) {
	e := control.NewEngine(nil, memory.Engine.Dialect, racelab.SequentialConsistency)
	defer e.Close()
	ctx, cancel := context.WithCancel(t.Context())
	stop := make(chan struct{})
	_, err := turns(ctx, e, false, func(*racelab.Memory, *mem.Var[int]) { cancel(); <-stop })
	close(stop)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

// Sessions that come back to the gate again and again are not waited for.
func TestCtrlCEndsALongRun(t *testing.T) {
	e := control.NewEngine(nil, memory.Engine.Dialect, racelab.SequentialConsistency)
	defer e.Close()
	e.Steps = 100_000
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	forever := func(m *racelab.Memory, _ *mem.Var[int]) {
		for n := 0; ; n++ {
			if n == 100 {
				cancel()
			}
			mem.Gosched(m)
		}
	}
	events, err := turns(ctx, e, false, forever, forever)
	if !errors.Is(err, context.Canceled) || len(events) > 800 {
		t.Errorf("it ended with %v after %d events", err, len(events))
	}
}

// Another goroutine would be taken for the session that runs.
func TestAGoroutineThatIsNoSessionIsNamed(t *testing.T) {
	for name, serial := range map[string]bool{"first": false, "serial": true} {
		t.Run(name, func(t *testing.T) {
			e := control.NewEngine(nil, memory.Engine.Dialect, racelab.SequentialConsistency)
			defer e.Close()
			if serial {
				if _, err := turns(t.Context(), e, false, addOne); err != nil {
					t.Fatal(err)
				}
			}
			_, err := turns(t.Context(), e, serial, func(_ *racelab.Memory, n *mem.Var[int]) {
				n.Load()
				done := make(chan struct{})
				go func() {
					defer close(done)
					n.Store(1)
				}()
				<-done
				n.Load()
			})
			if !errors.Is(err, control.ErrStalled) || !strings.Contains(err.Error(), "start it with mem.Go") {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

// A session that ends its goroutine is said so at once, and the next run is as
// good as any.
func TestASessionThatEndsItsGoroutineIsSaidSo(t *testing.T) {
	for name, body := range map[string]func(m *racelab.Memory, n *mem.Var[int]){
		"at once":   func(*racelab.Memory, *mem.Var[int]) { runtime.Goexit() },
		"in a step": func(_ *racelab.Memory, n *mem.Var[int]) { n.Load(); runtime.Goexit() },
		"when it is stuck": func(m *racelab.Memory, _ *mem.Var[int]) {
			defer runtime.Goexit()
			mem.NewChan[int](m, "c", 0).Recv()
		},
	} {
		t.Run(name, func(t *testing.T) {
			leaks := goleak.IgnoreCurrent()
			e := control.NewEngine(nil, memory.Engine.Dialect, racelab.SequentialConsistency)
			for range 2 {
				began := time.Now()
				_, err := turns(t.Context(), e, false, addOne, body, addOne)
				if !errors.Is(err, control.ErrStalled) || !strings.Contains(err.Error(), "session B has ended its goroutine") {
					t.Errorf("it ended with %v", err)
				}
				if took := time.Since(began); took > e.StepLimit/2 {
					t.Errorf("it took %v", took)
				}
			}
			if _, err := turns(t.Context(), e, false, addOne, addOne); err != nil {
				t.Error(err)
			}
			e.Close()
			goleak.VerifyNone(t, leaks)
		})
	}
}

// A goroutine that is no session and comes when the run is over ends itself,
// not the program, and the next run says that there was one.
func TestAGoroutineThatComesAfterTheRunIsSaidSo(t *testing.T) {
	e := control.NewEngine(nil, memory.Engine.Dialect, racelab.SequentialConsistency)
	defer e.Close()
	var late sync.WaitGroup
	over := make(chan struct{})
	if _, err := turns(t.Context(), e, true, func(_ *racelab.Memory, n *mem.Var[int]) {
		late.Go(func() { <-over; n.Store(7) })
		n.Load()
	}); err != nil {
		t.Fatal(err)
	}
	close(over)
	late.Wait()
	if _, err := turns(t.Context(), e, false, addOne); !errors.Is(err, control.ErrStalled) || !strings.Contains(err.Error(), "is no session") {
		t.Errorf("it ended with %v", err)
	}
}

// Any run can be asked to look who comes to the gate: a goroutine that is not
// in the serial runs is seen when a finding is run again.
func TestARunLooksForGoroutinesIfItIsAskedTo(t *testing.T) {
	e := control.NewEngine(nil, memory.Engine.Dialect, racelab.SequentialConsistency)
	defer e.Close()
	if _, err := turns(t.Context(), e, true, addOne); err != nil { // the first looks in any case
		t.Fatal(err)
	}
	d := control.NewDirector(e)
	d.Look = true
	_, err := turnsOf(t.Context(), d, false, func(_ *racelab.Memory, n *mem.Var[int]) {
		var done sync.WaitGroup
		done.Go(func() { n.Store(7) })
		done.Wait()
		n.Load()
	})
	if !errors.Is(err, control.ErrStalled) || !strings.Contains(err.Error(), "is no session") {
		t.Errorf("it ended with %v", err)
	}
}
