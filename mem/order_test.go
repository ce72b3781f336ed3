package mem_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

// comesAfter reads from what operations acquire and release which of those
// before it an operation comes after, as Go's memory model has it.
func comesAfter(events []racelab.Event) func(later, earlier string) bool {
	type set = map[string]bool
	sessions, objects, after := map[racelab.SessionID]set{}, map[string]set{}, map[string]set{}
	for _, e := range events {
		if e.Kind != racelab.Left {
			continue
		}
		own := sessions[e.Op.Session]
		if own == nil {
			own = set{}
			sessions[e.Op.Session] = own
		}
		for _, touch := range e.Op.Touches {
			if touch.Mode&racelab.Acquires != 0 {
				maps.Copy(own, objects[touch.Object])
			}
		}
		after[e.Op.Name()] = maps.Clone(own)
		own[e.Op.Name()] = true
		for _, touch := range e.Op.Touches {
			if touch.Mode&racelab.Releases != 0 {
				if objects[touch.Object] == nil || e.Op.Kind == racelab.Store {
					objects[touch.Object] = set{}
				}
				maps.Copy(objects[touch.Object], own)
			}
		}
	}
	return func(later, earlier string) bool { return after[later][earlier] }
}

func TestOrderIsWhatGoPromises(t *testing.T) {
	for name, c := range map[string]struct {
		build    func(*racelab.Memory) program
		schedule string
		orders   string // A1<B1: B1 comes after A1; A1|B1: it does not, although it is later
	}{
		"plain": {func(m *racelab.Memory) program {
			n := mem.NewVar(m, "n", 0)
			return program{func() { n.Store(1) }, func() { n.Load() }}
		}, "A1 B1", "A1|B1"},
		"atomic": {func(m *racelab.Memory) program {
			n := mem.NewAtomic(m, "n", 0)
			return program{func() { n.Store(1); n.Load() }, func() { n.Load(); n.Swap(1) }, func() { n.Load() }}
		}, "A1 B1 A2 C1 B2", "A1<B1 B1|A2 A1<C1 A2|B2"},
		"a store that another one hides": {func(m *racelab.Memory) program {
			n := mem.NewAtomic(m, "n", 0)
			return program{func() { n.Store(1) }, func() { n.Store(2) }, func() { n.Load() }}
		}, "A1 B1 C1", "A1|C1 B1<C1"},
		"a compare that fails": {func(m *racelab.Memory) program {
			n := mem.NewAtomic(m, "n", 0)
			return program{func() { n.CompareAndSwap(1, 2); n.CompareAndSwap(0, 1) }, func() { n.Load() }, func() { n.Load() }}
		}, "A1 B1 A2 C1", "A1|B1 A2<C1"},
		"mutex": {func(m *racelab.Memory) program {
			mu := mem.NewMutex(m, "mu")
			return program{both(mu.Lock, mu.Unlock), mu.Lock}
		}, "A1 A2 B1", "A1<B1 A2<B1"},
		"readers": {func(m *racelab.Memory) program {
			rw := mem.NewRWMutex(m, "rw")
			return program{both(rw.RLock, rw.RUnlock), both(rw.RLock, rw.RUnlock), both(rw.Lock, rw.Unlock), rw.RLock}
		}, "A1 A2 B1 B2 C1 C2 D1", "A2|B1 A2<C1 B2<C1 C2<D1 A2<D1"},
		"a writer that waited": {func(m *racelab.Memory) program {
			rw := mem.NewRWMutex(m, "rw")
			return program{both(rw.RLock, rw.RUnlock), rw.Lock}
		}, "A1 B1 A2 B2", "A2<B2"},
		"once": {func(m *racelab.Memory) program {
			o, n := mem.NewOnce(m, "o"), mem.NewVar(m, "n", 0)
			do := func() { o.Do(func() { n.Store(1) }) }
			return program{do, do, do}
		}, "A1 A2 A3 B1 C1", "A2<B1 A2<C1 B1|C1"},
		"group": {func(m *racelab.Memory) program {
			g := mem.NewWaitGroup(m, "g")
			return program{func() { g.Add(2); g.Wait() }, g.Done, g.Done}
		}, "A1 B1 C1 A2", "B1<A2 C1<A2 B1|C1"},
		"event": {func(m *racelab.Memory) program {
			e := mem.NewEvent(m, "e")
			return program{e.Set, e.Wait, e.Wait}
		}, "A1 B1 C1", "A1<B1 A1<C1 B1|C1"},
		"a signal is for who it wakes": {func(m *racelab.Memory) program {
			mu := mem.NewMutex(m, "mu")
			c := mem.NewCond(m, "c", mu)
			return program{both(mu.Lock, c.Wait), c.Signal, c.Signal}
		}, "A1 A2 B1 C1 A3", "B1<A3 C1|A3 A2|B1"},
		"barrier": {func(m *racelab.Memory) program {
			b := mem.NewBarrier(m, "b", 2)
			wait := func() { b.Wait() }
			return program{wait, wait, wait, wait}
		}, "A1 B1 C1 D1 A2 C2", "A1<B1 B1<A2 D1<C2 B1|D1 D1|A2 A1|C1"},
		"a full buffer": {func(m *racelab.Memory) program {
			c := mem.NewChan[int](m, "c", 2)
			return program{func() { c.Send(1); c.Send(2); c.Send(3) }, func() { c.Recv() }, func() { c.Recv() }}
		}, "A1 A2 B1 A3 C1", "A1<B1 A2|B1 B1<A3 A2<C1 A3|C1 B1|C1"},
		"without a buffer": {func(m *racelab.Memory) program {
			c := mem.NewChan[int](m, "c", 0)
			return program{func() { c.Send(1) }, func() { c.Recv() }}
		}, "A1 B1 A2", "A1<B1 B1<A2"},
		"without a buffer, the receiver first": {func(m *racelab.Memory) program {
			c := mem.NewChan[int](m, "c", 0)
			return program{func() { c.Send(1) }, func() { c.Recv() }}
		}, "B1 A1 B2", "B1<A1 A1<B2"},
		"close": {func(m *racelab.Memory) program {
			c := mem.NewChan[int](m, "c", 1)
			return program{c.Close, func() { c.Recv() }, func() { c.Len() }}
		}, "A1 C1 B1", "A1<B1 A1|C1"},
		"close of what is waited for": {func(m *racelab.Memory) program {
			c := mem.NewChan[int](m, "c", 0)
			return program{c.Close, func() { c.Recv() }}
		}, "B1 A1 B2", "A1<B2"},
		"select": {func(m *racelab.Memory) program {
			a, b := mem.NewChan[int](m, "a", 0), mem.NewChan[int](m, "b", 0)
			return program{
				func() { mem.Select(m, a.Receiving(nil, nil), b.Receiving(nil, nil)) },
				func() { a.TrySend(1) }, func() { b.TrySend(1) },
			}
		}, "A1 C1 B1 A2", "C1<A2 B1|A2 A1<C1 C1|B1"},
		"semaphore": {func(m *racelab.Memory) program {
			s := mem.NewSemaphore(m, "s", 1)
			return program{func() { s.Acquire(1); s.Release(1) }, func() { s.Acquire(1) }}
		}, "A1 A2 B1", "A2<B1"},
		"reentrant mutex": {func(m *racelab.Memory) program {
			r := mem.NewReentrantMutex(m, "r")
			return program{func() { r.Lock(1); r.Unlock(1) }, func() { r.Lock(2) }}
		}, "A1 A2 B1", "A2<B1"},
	} {
		t.Run(name, func(t *testing.T) {
			events := play(t, c.schedule, c.build)
			after := comesAfter(events)
			var done []string
			for _, e := range events {
				if e.Kind == racelab.Left {
					done = append(done, e.Op.Name())
				}
			}
			for _, order := range strings.Fields(c.orders) {
				earlier, later, ordered := strings.Cut(order, "<")
				if !ordered {
					earlier, later, _ = strings.Cut(order, "|")
				}
				if i, j := slices.Index(done, earlier), slices.Index(done, later); i < 0 || j < i {
					t.Fatalf("%s: %v", order, done)
				}
				if after(later, earlier) != ordered {
					t.Errorf("%s: %v\n%s", order, !ordered, told(events))
				}
			}
		})
	}
}
