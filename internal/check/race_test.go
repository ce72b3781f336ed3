package check_test

import (
	"slices"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
	"github.com/racelab/racelab/mem"
)

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
