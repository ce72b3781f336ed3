package check_test

import (
	"context"
	"slices"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
	"github.com/racelab/racelab/internal/control"
	"github.com/racelab/racelab/mem"
)

// A program makes what its sessions share, and gives what they do: A, B, ...
type program func(m *racelab.Memory) []func()

// under runs a program: under a schedule, or, with serial, its calls one after
// another in that order.
func under(t *testing.T, p program, schedule string, serial []racelab.CallID) racelab.History {
	t.Helper()
	engine := control.NewEngine(nil, racelab.Dialect{}, racelab.SequentialConsistency)
	defer engine.Close()
	d := control.NewDirector(engine)
	d.Serial = serial
	m := racelab.Memory{Gate: d}
	var scripts []control.Script
	for i, body := range p(&m) {
		id := racelab.Letter(i)
		script := control.Script{Session: id}
		if serial == nil || slices.Contains(serial, id.Call(1)) {
			script.Calls = []control.Call{{ID: id.Call(1), Run: control.Plain(body)}}
		}
		scripts = append(scripts, script)
	}
	choices, err := racelab.ParseSchedule(schedule)
	if err != nil {
		t.Fatal(err)
	}
	events, err := d.Run(t.Context(), scripts, choices)
	if err != nil {
		t.Fatal(err)
	}
	return racelab.History{Events: events, Final: m.State()}
}

// judged judges a program's run.
func judged(t *testing.T, p program, schedule string) (check.Judgement, check.Anomaly, racelab.History) {
	t.Helper()
	j := &check.Judge{
		Scenario: &racelab.Scenario{},
		Serial: func(_ context.Context, order []racelab.CallID, start racelab.Schedule) (racelab.History, error) {
			return under(t, p, start.String(), order), nil
		},
	}
	for i := range p(&racelab.Memory{}) {
		j.Calls = append(j.Calls, []racelab.CallID{racelab.Letter(i).Call(1)})
	}
	h := under(t, p, schedule, nil)
	v, err := j.Judge(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := v.Explain(h, racelab.SequentialConsistency)
	return v, a, h
}

// A signal lets those go on that wait for it when it is given, like a
// condition variable.
type signal struct {
	memory  *racelab.Memory
	waiting int
	given   int
}

func (s *signal) touch() []racelab.Touch {
	return []racelab.Touch{{Object: "ready", Mode: racelab.Writes | racelab.Acquires | racelab.Releases}}
}

func (s *signal) Open(racelab.SessionID) bool { return s.given > 0 }

func (s *signal) Holders(racelab.SessionID) []racelab.SessionID { return nil }

func (s *signal) wait() {
	s.memory.Gate.Pass(racelab.Op{Kind: racelab.Release, Text: "begin to wait for ready", Touches: s.touch()})
	s.waiting++
	s.memory.Gate.Done(racelab.Result{Class: racelab.OK})
	s.memory.Gate.Pass(racelab.Op{Kind: racelab.Acquire, Text: "wait for ready", Touches: s.touch(), Latch: s})
	s.given--
	s.memory.Gate.Done(racelab.Result{Class: racelab.OK})
}

func (s *signal) signal() {
	s.memory.Gate.Pass(racelab.Op{Kind: racelab.Signal, Text: "signal ready", Touches: s.touch()})
	if s.waiting > 0 {
		s.waiting, s.given = s.waiting-1, s.given+1
	}
	s.memory.Gate.Done(racelab.Result{Class: racelab.OK})
}

func add(m *racelab.Memory) []func() {
	n := mem.NewVar(m, "n", 0)
	one := func() { n.Store(n.Load() + 1) }
	return []func(){one, one}
}

func addLocked(m *racelab.Memory) []func() {
	n, mu := mem.NewVar(m, "n", 0), mem.NewMutex(m, "mu")
	one := func() {
		mu.Lock()
		n.Store(n.Load() + 1)
		mu.Unlock()
	}
	return []func(){one, one}
}

func opposite(m *racelab.Memory) []func() {
	one, two := mem.NewMutex(m, "m1"), mem.NewMutex(m, "m2")
	both := func(first, second *mem.Mutex) func() {
		return func() {
			first.Lock()
			defer first.Unlock()
			second.Lock()
			defer second.Unlock()
		}
	}
	return []func(){both(one, two), both(two, one)}
}

func lockTwice(m *racelab.Memory) []func() {
	mu := mem.NewMutex(m, "mu")
	return []func(){func() { mu.Lock(); mu.Lock() }}
}

func forget(m *racelab.Memory) []func() {
	mu := mem.NewMutex(m, "mu")
	return []func(){func() { mu.Lock() }, func() { mu.Lock(); defer mu.Unlock() }}
}

func panicWithLock(m *racelab.Memory) []func() {
	mu := mem.NewMutex(m, "mu")
	return []func(){func() { mu.Lock(); panic("no money") }, func() { mu.Lock(); defer mu.Unlock() }}
}

func signalOnce(m *racelab.Memory) []func() {
	s := &signal{memory: m}
	return []func(){s.wait, s.signal}
}

// sendElsewhere sends to another channel than the one that somebody waits at.
func sendElsewhere(m *racelab.Memory) []func() {
	n, c, d := mem.NewVar(m, "n", 0), mem.NewChan[int](m, "c", 1), mem.NewChan[int](m, "d", 1)
	return []func(){func() { n.Load(); c.Recv() }, func() { d.Send(1) }}
}

// tryAndForget takes the lock by a try; and tryInVain has one that fails before
// the lock is taken by another, who forgets it.
func tryAndForget(m *racelab.Memory) []func() {
	mu := mem.NewMutex(m, "mu")
	return []func(){func() { mu.TryLock() }, func() { mu.Lock() }}
}

func tryInVain(m *racelab.Memory) []func() {
	mu, other := mem.NewMutex(m, "mu"), mem.NewMutex(m, "other")
	return []func(){func() { mu.Lock(); other.Lock(); mu.TryLock() }, func() { mu.Lock() }, func() { other.Lock() }}
}

// signalTwo has two who wait, and one signal for them.
func signalTwo(m *racelab.Memory) []func() {
	s := &signal{memory: m}
	return []func(){s.wait, s.wait, s.signal}
}

func neverSignalled(m *racelab.Memory) []func() {
	s := &signal{memory: m}
	return []func(){s.wait}
}

func leak(m *racelab.Memory) []func() {
	s := &signal{memory: m}
	return []func(){func() { mem.Go(m, s.wait) }}
}

func unlockTwice(m *racelab.Memory) []func() {
	mu := mem.NewMutex(m, "mu")
	return []func(){func() { mu.Lock(); defer mu.Unlock(); mu.Unlock() }}
}

// divide panics if it runs before, or in, what the other does.
func divide(m *racelab.Memory) []func() {
	by := mem.NewVar(m, "by", 1)
	return []func(){func() { by.Store(0); by.Store(1) }, func() {
		if by.Load() == 0 {
			panic("divided by zero")
		}
	}}
}

func alwaysPanic(m *racelab.Memory) []func() {
	return []func(){func() { panic("always") }}
}

func startedPanics(m *racelab.Memory) []func() {
	return []func(){func() { mem.Go(m, func() { panic("lost") }) }}
}

// pair sees x == y in every serial order.
func pair(m *racelab.Memory) []func() {
	x, y, equal := mem.NewVar(m, "x", 0), mem.NewVar(m, "y", 0), mem.NewVar(m, "equal", true)
	return []func(){func() { x.Store(1); y.Store(1) }, func() { equal.Store(x.Load() == y.Load()) }}
}

func twice(m *racelab.Memory) []func() {
	x, same := mem.NewVar(m, "x", 0), mem.NewVar(m, "same", true)
	return []func(){func() { x.Store(1) }, func() { before := x.Load(); same.Store(before == x.Load()) }}
}

func onCall(m *racelab.Memory) []func() {
	a, b := mem.NewVar(m, "a", true), mem.NewVar(m, "b", true)
	leave := func(own, other *mem.Var[bool]) func() {
		return func() {
			if other.Load() {
				own.Store(false)
			}
		}
	}
	return []func(){leave(a, b), leave(b, a)}
}

func halfway(m *racelab.Memory) []func() {
	x, seen := mem.NewVar(m, "x", 0), mem.NewVar(m, "seen", 0)
	return []func(){func() { x.Store(1); x.Store(2) }, func() { seen.Store(x.Load()) }}
}

func TestConflictsOfSharedMemoryAreCounted(t *testing.T) {
	for name, test := range map[string]struct {
		program program
		want    int // both serial orders
	}{
		"variables":            {add, 3},       // not the two loads
		"locks, by who takes":  {addLocked, 4}, // and what is done under them
		"locks of two":         {opposite, 2},
		"nothing is in common": {neverSignalled, 0},
	} {
		var c check.Conflicts
		c.Add(under(t, test.program, "", []racelab.CallID{"A.1", "B.1"}))
		c.Add(under(t, test.program, "", []racelab.CallID{"B.1", "A.1"}))
		if n := c.BothOrders(); n != test.want {
			t.Errorf("%s: %d pairs ran in both orders, want %d", name, n, test.want)
		}
	}
}
