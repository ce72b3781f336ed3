package check_test

import (
	"strings"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
	"github.com/racelab/racelab/mem"
)

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
