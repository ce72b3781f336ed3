package check_test

import (
	"context"
	"slices"
	"strings"
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
			script.Calls = []control.Call{{ID: id.Call(1), Run: func(context.Context) (r racelab.Result, why string) {
				defer func() {
					if x := recover(); x != nil {
						err := racelab.Recovered(x)
						r, why = racelab.Result{Class: racelab.ClassOf(err)}, err.Error()
					}
				}()
				body()
				return racelab.Result{Class: racelab.OK}, ""
			}}}
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

func (s *signal) Open(racelab.SessionID) bool                   { return s.given > 0 }
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
	return []func(){mu.Lock, func() { mu.Lock(); defer mu.Unlock() }}
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
	return []func(){func() { mu.Lock(); other.Lock(); mu.TryLock() }, func() { mu.Lock() }, func() { other.Lock(); other.Unlock() }}
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

func TestRunsOverSharedMemoryHaveTheirName(t *testing.T) {
	for name, test := range map[string]struct {
		program  program
		schedule string
		want     check.Name
		why      string // what is said of it
		prose    string // how it is explained
	}{
		"lost update": {add, "A1 B1 B2 A2", check.LostUpdate, "no serial order gives", "A loaded n (A1) before B stored it (B2), and then stored it from what it had loaded (A2). What B stored is gone."},
		"read skew":   {pair, "A1 B1 B2", check.ReadSkew, "no serial order gives", "B loaded y (B2) before A stored it (A2), and x (B1) after A stored it (A1)."},
		"two loads":   {twice, "B1 A1 B2", check.NonRepeatableRead, "no serial order gives", "B loaded x (B1), A stored it (A1), and B loaded it again (B2)."},
		"write skew":  {onCall, "A1 B1 A2 B2", check.WriteSkew, "no serial order gives", "A loaded b (A1) before B stored it (B2), and B loaded a (B1) before A stored it (A2)."},
		"halfway":     {halfway, "A1 B1 A2", check.DirtyRead, "no serial order gives", "B loaded x (B1) after A stored it (A1) and before A was done."},

		"a data race alone": {add, "A1 A2 B1 B2", check.DataRace, "A2 store n (shared_test.go:", "A stored n (A2, shared_test.go:"},

		"deadlock":           {opposite, "A1 B1", check.Deadlock, "A waits at A2 for B, which holds m2; B waits at B2 for A, which holds m1", "Nobody can go on."},
		"with itself":        {lockTwice, "", check.Deadlock, "A waits for itself at A2: it holds mu already", "Nobody can go on."},
		"nobody to give it":  {neverSignalled, "", check.Deadlock, "A waits at A2 for ready, and nobody is left who could give it", "Nobody can go on."},
		"lost wake-up":       {signalOnce, "B1 A1", check.LostWakeup, "A waits at A2 for ready, and B gave the signal (B1) before A began to wait", "nobody gives it again"},
		"another channel":    {sendElsewhere, "B1 A1", check.Deadlock, "A waits at A2 for c, and nobody is left who could give it", "Nobody can go on."},
		"a signal too few":   {signalTwo, "A1 C1 A2 B1", check.Deadlock, "B waits at B2 for ready, and nobody is left who could give it", "Nobody can go on."},
		"forgotten unlock":   {forget, "A1", check.ForgottenUnlock, "B waits at B1 for mu, which A has locked at A1 (shared_test.go:", "A has returned, and holds it for ever."},
		"forgotten by a try": {tryAndForget, "A1", check.ForgottenUnlock, "B waits at B1 for mu, which A has locked at A1 (shared_test.go:", "A has returned, and holds it for ever."},
		"not by that try":    {tryInVain, "A1 A2 A3", check.ForgottenUnlock, "B waits at B1 for mu, which A has locked at A1 (shared_test.go:", "A has returned, and holds it for ever."},
		"panic with lock":    {panicWithLock, "A1", check.ForgottenUnlock, "and never unlocked", "A has panicked, and holds it for ever."},
		"leaked":             {leak, "", check.LeakedSession, "Aa waits at Aa2 for ready and never ends; A started it at A1 (shared_test.go:", "Everybody else has ended"},

		"misuse":          {unlockTwice, "", check.Misuse, "A3 unlock mu (shared_test.go:", "sync: unlock of unlocked mutex"},
		"panic":           {divide, "A1 B1", check.DirtyRead, "B panics: divided by zero, which no serial order gives", "before A was done"},
		"started, panics": {startedPanics, "", check.Panic, "Aa panics: lost", "it ends the program"},

		"locked":               {addLocked, "A1 A2 A3 A4", "", "", ""},
		"locks in order":       {opposite, "A1 A2 A3 A4", "", "", ""},
		"signalled in time":    {signalOnce, "A1 B1 A2", "", "", ""},
		"unlocked in the end":  {forget, "B1 B2 A1", "", "", ""},
		"every order panics":   {alwaysPanic, "", "", "", ""},
		"nobody divides in it": {divide, "A1 A2 B1", check.DataRace, "", ""}, // and no panic
	} {
		t.Run(name, func(t *testing.T) {
			v, a, h := judged(t, test.program, test.schedule)
			if a.Name != test.want || !strings.Contains(v.Reason(), test.why) || !strings.Contains(a.Prose, test.prose) {
				t.Errorf("it is %q, because %s:\n%s", a.Name, v.Reason(), a.Prose)
			}
			if test.want == "" && (v.Violated || v.Reason() != "") {
				t.Errorf("violated, because %s", v.Reason())
			}
			if test.want != "" && v.Severity() == 0 {
				t.Error("it is no finding")
			}
			for at := range a.Marks {
				if at < 0 || at >= len(h.Events) {
					t.Errorf("a mark at %d of %d events", at, len(h.Events))
				}
			}
		})
	}
}

// What racelab calls the parts of a value is its own: people are told the name
// that the program has given.
func TestWhoIsStuckWaitsForWhatTheProgramNames(t *testing.T) {
	wait := func(of func(m *racelab.Memory) func()) program {
		return func(m *racelab.Memory) []func() { return []func(){of(m)} }
	}
	for name, program := range map[string]program{
		"c": wait(func(m *racelab.Memory) func() {
			c := mem.NewChan[int](m, "c", 0)
			return func() { c.Send(1) }
		}),
		"c 2": wait(func(m *racelab.Memory) func() {
			mem.NewChan[int](m, "c", 0)
			c := mem.NewChan[int](m, "c", 0)
			return func() { c.Recv() }
		}),
		"c or d": wait(func(m *racelab.Memory) func() {
			c, d := mem.NewChan[int](m, "c", 0), mem.NewChan[int](m, "d", 1)
			return func() { mem.Select(m, c.Receiving(nil, nil), d.Receiving(nil, nil), c.Sending(1)) }
		}),
		"everybody": wait(func(m *racelab.Memory) func() { return func() { mem.NewBarrier(m, "everybody", 2).Wait() } }),
		"cond": wait(func(m *racelab.Memory) func() {
			mu := mem.NewMutex(m, "mu")
			c := mem.NewCond(m, "cond", mu)
			return func() { mu.Lock(); c.Wait() }
		}),
		"group": wait(func(m *racelab.Memory) func() {
			g := mem.NewWaitGroup(m, "group")
			return func() { g.Add(1); g.Wait() }
		}),
	} {
		v, _, _ := judged(t, program, "")
		if !strings.Contains(v.Why, " for "+name+", and nobody is left who could give it") {
			t.Errorf("%s: %s", name, v.Why)
		}
	}
}

func TestALostUpdateInMemoryIsMarked(t *testing.T) {
	_, a, h := judged(t, add, "A1 B1 B2 A2")
	marks := map[string]string{}
	for at, mark := range a.Marks {
		marks[h.Events[at].Op.Name()] = mark
	}
	for op, want := range map[string]string{"A1": "stale at A2", "B2": "lost to A2", "A2": "overwrites B2"} {
		if marks[op] != want {
			t.Errorf("%s is marked %q, want %q", op, marks[op], want)
		}
	}
}

// A lock does not make a call out of two: what it orders is no race, and may
// still be lost.
func TestALockAroundEachStepLosesAnUpdateWithoutARace(t *testing.T) {
	v, a, _ := judged(t, func(m *racelab.Memory) []func() {
		n, mu := mem.NewVar(m, "n", 0), mem.NewMutex(m, "mu")
		one := func() {
			mu.Lock()
			x := n.Load()
			mu.Unlock()
			mu.Lock()
			n.Store(x + 1)
			mu.Unlock()
		}
		return []func(){one, one}
	}, "A1 A2 A3 B1 B2 B3 B4 B5 B6")
	if a.Name != check.LostUpdate || len(v.Races) > 0 {
		t.Errorf("it is %q, with races %v", a.Name, v.Races)
	}
}

// A select takes any of its cases in serial order, too, and so does each of
// several.
func TestASerialOrderTakesEachCaseOfEachSelect(t *testing.T) {
	for _, schedule := range []string{"A1 A2 A3", "A1(case 2) A2", "A1 A2(case 2)", "A1(case 2) A2(case 2)"} {
		v, _, _ := judged(t, func(m *racelab.Memory) []func() {
			c, d := mem.NewChan(m, "c", 2, 1, 1), mem.NewChan(m, "d", 2, 1, 1)
			taken := mem.NewVar(m, "taken", 0)
			next := func() int { return mem.Select(m, c.Receiving(nil, nil), d.Receiving(nil, nil)) }
			return []func(){func() { first := next(); taken.Store(10*first + next()) }}
		}, schedule)
		if v.Violated || !v.Serial {
			t.Errorf("%s: %s", schedule, v.Why)
		}
	}
}

// What serial orders that are stuck leave is no specification.
func TestASerialOrderThatIsStuckExplainsNothing(t *testing.T) {
	v, a, _ := judged(t, forget, "A1")
	if !v.Violated || v.Serial || a.Name != check.ForgottenUnlock {
		t.Errorf("violated %v, serial %v: %s", v.Violated, v.Serial, a.Name)
	}
}

func TestDataRaces(t *testing.T) {
	for name, test := range map[string]struct {
		program  program
		schedule string
		want     []string // "A2 B1": who races with whom
	}{
		"nothing orders":     {add, "A1 A2 B1 B2", []string{"A2 B1"}},
		"in another order":   {add, "A1 B1 B2 A2", []string{"A1 B2"}},
		"a lock":             {addLocked, "A1 A2 A3 A4", nil},
		"one does not lock":  {oneLocks, "A1 A2 A3 A4 B1", []string{"A3 B1"}},
		"different locks":    {ownLocks, "A1 A2 A3 B1", []string{"A2 B2"}},
		"handed over":        {handOver, "A1 A2 A3 B1 B2 B3", nil},
		"not yet handed":     {handOver, "B1 B2 B3 A1 A2 A3", []string{"B3 A1"}},
		"two read":           {readOnly, "A1 A2 A3 B1", nil},
		"a start":            {startAfter, "", nil},
		"after the start":    {startBefore, "A1 Aa1", []string{"Aa1 A2"}},
		"two are started":    {startTwo, "", []string{"Aa1 Ab1"}},
		"a signal":           {signalled, "A1 B1 B2 A2", nil},
		"a try that failed":  {tries, "A1 A2 A3 A4 B1 B2", []string{"A2 B2"}},
		"a try that did not": {tries, "A1 A2 A3 B1 B2 B3", nil},
		"a false is no try":  {receivesFalse, "A1 A2 B1 B2", nil},
		"a false received":   {sendsFalse, "A1 A2 B1 B2", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, r := range check.RacesIn(under(t, test.program, test.schedule, nil)) {
				got = append(got, r.First.Op+" "+r.Second.Op)
				if r.First.Pos == "" || r.Second.Pos == "" {
					t.Errorf("no line of code in %s", r)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("races %q, want %q", got, test.want)
			}
		})
	}
}

func oneLocks(m *racelab.Memory) []func() {
	bodies := addLocked(m)
	n := mem.NewVar(m, "other", 0)
	mu := mem.NewMutex(m, "guard")
	bodies[0] = func() { mu.Lock(); n.Load(); n.Store(1); mu.Unlock() }
	bodies[1] = func() { n.Load() }
	return bodies
}

func ownLocks(m *racelab.Memory) []func() {
	n := mem.NewVar(m, "n", 0)
	under := func(name string) func() {
		mu := mem.NewMutex(m, name)
		return func() { mu.Lock(); n.Store(1); mu.Unlock() }
	}
	return []func(){under("m1"), under("m2")}
}

// handOver stores without the lock, and passes through it before the other
// loads.
func handOver(m *racelab.Memory) []func() {
	n, mu := mem.NewVar(m, "n", 0), mem.NewMutex(m, "mu")
	pass := func() { mu.Lock(); defer mu.Unlock() }
	return []func(){func() { n.Store(1); pass() }, func() { pass(); n.Load() }}
}

// readOnly has a lock that many may hold, who only read.
func readOnly(m *racelab.Memory) []func() {
	n := mem.NewVar(m, "n", 0)
	do := func(kind racelab.OpKind, mode racelab.TouchMode) {
		m.Gate.Pass(racelab.Op{Kind: kind, Text: string(kind), Touches: []racelab.Touch{{Object: "rw", Mode: racelab.Writes | mode}}})
		m.Gate.Done(racelab.Result{Class: racelab.OK})
	}
	read := func() { do(racelab.Acquire, racelab.Acquires); n.Load(); do(racelab.Release, racelab.Releases) }
	return []func(){read, read}
}

func startAfter(m *racelab.Memory) []func() {
	n := mem.NewVar(m, "n", 0)
	return []func(){func() { n.Store(1); mem.Go(m, func() { n.Load() }) }}
}

func startBefore(m *racelab.Memory) []func() {
	n := mem.NewVar(m, "n", 0)
	return []func(){func() { mem.Go(m, func() { n.Load() }); n.Store(1) }}
}

func startTwo(m *racelab.Memory) []func() {
	n := mem.NewVar(m, "n", 0)
	return []func(){func() { mem.Go(m, func() { n.Store(1) }); mem.Go(m, func() { n.Store(2) }) }}
}

func signalled(m *racelab.Memory) []func() {
	n, s := mem.NewVar(m, "n", 0), &signal{memory: m}
	return []func(){func() { s.wait(); n.Load() }, func() { n.Store(1); s.signal() }}
}

func tries(m *racelab.Memory) []func() {
	n, mu := mem.NewVar(m, "n", 0), mem.NewMutex(m, "mu")
	return []func(){func() { mu.Lock(); n.Store(1); mu.Unlock(); mu.Lock(); defer mu.Unlock() }, func() {
		if mu.TryLock() {
			defer mu.Unlock()
		}
		n.Load()
	}}
}

// sendsFalse has a channel whose value is the same as that of a try that
// failed.
func sendsFalse(m *racelab.Memory) []func() {
	n, c := mem.NewVar(m, "n", 0), mem.NewChan[bool](m, "c", 1)
	return []func(){func() { n.Store(1); c.Send(false) }, func() {
		if _, _, done := c.TryRecv(); done {
			n.Load()
		}
	}}
}

// receivesFalse waits for its value: there is no try that could fail.
func receivesFalse(m *racelab.Memory) []func() {
	n, c := mem.NewVar(m, "n", 0), mem.NewChan[bool](m, "c", 1)
	return []func(){func() { n.Store(1); c.Send(false) }, func() { c.Recv(); n.Load() }}
}

// A judge reads one run after another in the same memory: what was released in
// one orders nothing in the next.
func TestTheRacesOfARunAreItsOwn(t *testing.T) {
	j := &check.Judge{Scenario: &racelab.Scenario{}, InvariantsOnly: true}
	for range 2 {
		for _, schedule := range []string{"B1 B2 A1 A2 A3 B3", "B1 B2 A1 B3"} {
			v, err := j.Judge(t.Context(), under(t, handOver, schedule, nil))
			if err != nil || len(v.Races) != 1 {
				t.Errorf("%s: races %v, %v", schedule, v.Races, err)
			}
		}
	}
}

func TestARaceIsOneForEachPairOfLines(t *testing.T) {
	races := check.RacesIn(under(t, func(m *racelab.Memory) []func() {
		n := mem.NewVar(m, "n", 0)
		many := func() {
			for range 3 {
				n.Store(1)
			}
		}
		return []func(){many, many, many}
	}, "A1 A2 A3 B1 B2 B3 C1 C2 C3", nil))
	if len(races) != 1 || races[0].Object != "n" || races[0].First.Op != "A3" || races[0].Second.Op != "B1" {
		t.Errorf("races %v", races)
	}
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
