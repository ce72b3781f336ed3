package mem_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

func TestStepsUnderControl(t *testing.T) {
	for name, c := range map[string]struct {
		build    func(*racelab.Memory) program
		schedule string
		want     string
	}{
		"an atomic adds at once": {func(m *racelab.Memory) program {
			n := mem.NewAtomic(m, "n", 1)
			return program{func() { mem.Add(n, 2) }, func() { n.CompareAndSwap(3, 7); n.Swap(8); n.Store(n.Load() + 1) }}
		}, "A1 B1", `
A1 add to n → 3
B1 compare and swap n → true
B2 swap n → 7
B3 load n → 8
B4 store n → 9
`},
		"a mutex keeps out": {func(m *racelab.Memory) program {
			mu := mem.NewMutex(m, "mu")
			return program{mu.Lock, func() { mu.TryLock(); mu.Lock() }}
		}, "A1 B1", `
A1 lock mu
B1 try to lock mu → false
B2 lock mu, waits for [A]
`},
		"readers read together": {func(m *racelab.Memory) program {
			rw := mem.NewRWMutex(m, "rw")
			return program{both(rw.RLock, rw.RUnlock), both(rw.RLock, rw.RUnlock), rw.Lock}
		}, "A1 B1 C1 A2 B2 C2", `
A1 read-lock rw
B1 read-lock rw
C1 lock rw
A2 read-unlock rw
B2 read-unlock rw
C2 lock rw: go on
`},
		"a writer that waits keeps new readers out": {func(m *racelab.Memory) program {
			rw := mem.NewRWMutex(m, "rw")
			return program{both(rw.RLock, rw.RLock), func() { rw.Lock() }, func() { rw.TryRLock(); rw.TryLock(); rw.Lock() }}
		}, "A1 B1 C1 C2", `
A1 read-lock rw
B1 lock rw
C1 try to read-lock rw → false
C2 try to lock rw → false
A2 read-lock rw, waits for [B]
B2 lock rw: go on, waits for [A]
C3 lock rw, waits for [B]
`},
		"one who writes is alone": {func(m *racelab.Memory) program {
			rw := mem.NewRWMutex(m, "rw")
			return program{func() { rw.TryLock(); rw.Unlock(); rw.RLock() }, func() { rw.RLock(); rw.TryLock() }}
		}, "A1 A2 B1 A3", `
A1 try to lock rw → true
A2 unlock rw
B1 read-lock rw
A3 read-lock rw
B2 try to lock rw → false
`},
		"the owner locks again": {func(m *racelab.Memory) program {
			r := mem.NewReentrantMutex(m, "r")
			return program{
				func() { r.Lock("a"); r.Lock("a"); r.Unlock("a"); r.Unlock("a") },
				func() { r.TryLock("b"); r.Lock("b") },
			}
		}, "A1 A2 B1 A3 A4 B2", `
A1 lock r
A2 lock r
B1 try to lock r → false
A3 unlock r
A4 unlock r
B2 lock r
`},
		"a reentrant mutex is its owner's": {func(m *racelab.Memory) program {
			r := mem.NewReentrantMutex(m, "r")
			return program{func() { r.Lock("a"); r.Lock("a"); r.Unlock("a") }, func() { r.Lock("b") }}
		}, "A1 A2 A3", `
A1 lock r
A2 lock r
A3 unlock r
B1 lock r, waits for [A]
`},
		"permits are counted": {func(m *racelab.Memory) program {
			s := mem.NewSemaphore(m, "pool", 3)
			return program{func() { s.Acquire(2) }, func() { s.TryAcquire(2); s.Acquire(1) }, func() { s.Acquire(1) }, func() { s.Acquire(4) }}
		}, "A1 B1 B2", `
A1 acquire 2 of pool
B1 try to acquire 2 of pool → false
B2 acquire pool
C1 acquire pool, waits for [A B]
D1 acquire 4 of pool, waits for [A B]
`},
		"anybody may give permits back": {func(m *racelab.Memory) program {
			s := mem.NewSemaphore(m, "pool", 2)
			return program{func() { s.Acquire(2) }, func() { s.Release(1) }, func() { s.Acquire(1); s.Acquire(1) }}
		}, "A1 B1 C1", `
A1 acquire 2 of pool
B1 release pool
C1 acquire pool
C2 acquire pool, waits for [A]
`},
		"an event lets everybody go on until it is cleared": {func(m *racelab.Memory) program {
			e := mem.NewEvent(m, "ready")
			return program{both(e.Set, e.Clear), e.Wait, func() { e.IsSet(); e.Wait() }}
		}, "C1 A1 B1 A2", `
C1 look at ready → false
A1 set ready
B1 wait for ready
A2 clear ready
C2 wait for ready, waits for []
`},
		"a signal wakes who waited longest": {func(m *racelab.Memory) program {
			mu := mem.NewMutex(m, "mu")
			c := mem.NewCond(m, "ready", mu)
			return program{both(mu.Lock, c.Wait, mu.Unlock), both(mu.Lock, c.Wait, mu.Unlock), both(mu.Lock, c.Signal, mu.Unlock)}
		}, "B1 B2 A1 A2 C1 C2 C3", `
B1 lock mu
B2 wait for ready
A1 lock mu
A2 wait for ready
C1 lock mu
C2 signal ready → 1
C3 unlock mu
B3 wait for ready: go on
B4 unlock mu
A3 wait for ready: go on, waits for []
`},
		"who is woken takes the mutex again": {func(m *racelab.Memory) program {
			mu := mem.NewMutex(m, "mu")
			c := mem.NewCond(m, "ready", mu)
			return program{both(mu.Lock, c.Wait), both(mu.Lock, c.Wait), both(mu.Lock, c.Broadcast)}
		}, "A1 A2 B1 B2 C1 C2", `
A1 lock mu
A2 wait for ready
B1 lock mu
B2 wait for ready
C1 lock mu
C2 broadcast ready → 2
A3 wait for ready: go on, waits for [C]
B3 wait for ready: go on, waits for [C]
`},
		"a signal that nobody waits for is gone": {func(m *racelab.Memory) program {
			mu := mem.NewMutex(m, "mu")
			c := mem.NewCond(m, "ready", mu)
			return program{c.Signal, both(mu.Lock, c.Wait)}
		}, "A1", `
A1 signal ready → 0
B1 lock mu
B2 wait for ready
B3 wait for ready: go on, waits for []
`},
		"a barrier is passed together, again and again": {func(m *racelab.Memory) program {
			b := mem.NewBarrier(m, "b", 2)
			twice := func() { b.Wait(); b.Wait() }
			return program{twice, twice}
		}, "A1 B1 B2 A2 A3", `
A1 wait at b → 0
B1 wait at b → 1
B2 wait at b → 0
A2 wait at b: go on
A3 wait at b → 1
B3 wait at b: go on
`},
		"once is done by one, and waited for by the others": {func(m *racelab.Memory) program {
			o, n := mem.NewOnce(m, "o"), mem.NewVar(m, "n", 0)
			do := func() { o.Do(func() { n.Store(1) }) }
			return program{do, both(do, do)}
		}, "A1 A2 A3 B1 B2", `
A1 do o once → true
A2 store n → 1
A3 o is done
B1 do o once → false
B2 do o once → false
`},
		"once waits for itself": {func(m *racelab.Memory) program {
			o := mem.NewOnce(m, "o")
			return program{func() { o.Do(func() { o.Do(func() {}) }) }}
		}, "", `
A1 do o once → true
A2 do o once, waits for [A]
`},
		"a panic is the end of once": {func(m *racelab.Memory) program {
			o := mem.NewOnce(m, "o")
			return program{func() { o.Do(func() { panic("no") }) }, func() { o.Do(func() { panic("again") }) }}
		}, "", `
A1 do o once → true
A2 o is done
B1 do o once → false
`},
		"a group waits for all": {func(m *racelab.Memory) program {
			g := mem.NewWaitGroup(m, "g")
			return program{func() { g.Add(2); g.Wait(); g.Wait() }, g.Done, g.Done}
		}, "A1 A2 B1 C1", `
A1 add 2 to g → 2
A2 wait for g
B1 done with g → 1
C1 done with g → 0
A3 wait for g: go on
A4 wait for g
`},
		"a group waits for what it has started": {func(m *racelab.Memory) program {
			g, n := mem.NewWaitGroup(m, "g"), mem.NewVar(m, "n", 0)
			return program{func() { g.Go(func() { n.Store(1) }); g.Wait(); n.Load() }}
		}, "A1 A2 A3", `
A1 add 1 to g → 1
A2 go with g → Aa
A3 wait for g
Aa1 store n → 1
Aa2 done with g → 0
A4 wait for g: go on
A5 load n → 1
`},
		"who has got a lock by trying is who writes": {func(m *racelab.Memory) program {
			rw := mem.NewRWMutex(m, "rw")
			return program{func() { rw.TryLock() }, rw.RLock}
		}, "A1", `
A1 try to lock rw → true
B1 read-lock rw, waits for [A]
`},
		"select takes the case that the schedule says": {func(m *racelab.Memory) program {
			a, b := mem.NewChan(m, "a", 1, 1), mem.NewChan(m, "b", 1, 2)
			return program{func() { mem.Select(m, a.Receiving(nil, nil), b.Receiving(nil, nil)); a.Len() }}
		}, "A1(case 2)", `
A1 select: receive from a, receive from b → receive 2 from b
A2 length of a → 1
`},
		"a group is not done when one of two is": {func(m *racelab.Memory) program {
			g := mem.NewWaitGroup(m, "g")
			return program{func() { g.Add(2); g.Wait() }, g.Done}
		}, "A1 A2 B1", `
A1 add 2 to g → 2
A2 wait for g
B1 done with g → 1
A3 wait for g: go on, waits for []
`},
		"a panic is no end of what a group waits for": {func(m *racelab.Memory) program {
			g := mem.NewWaitGroup(m, "g")
			return program{func() { g.Go(func() { panic("lost") }); g.Wait() }}
		}, "A1 A2", `
A1 add 1 to g → 1
A2 go with g → Aa
A3 wait for g
A4 wait for g: go on, waits for []
`},
		"whose permits were given back has none": {func(m *racelab.Memory) program {
			s := mem.NewSemaphore(m, "s", 1)
			acquire := func() { s.Acquire(1) }
			return program{acquire, both(func() { s.Release(1) }, acquire), acquire}
		}, "A1 B1 B2", `
A1 acquire s
B1 release s
B2 acquire s
C1 acquire s, waits for [B]
`},
		"a select sends to what is closed": {func(m *racelab.Memory) program {
			full, empty := mem.NewChan(m, "full", 1, 1), mem.NewChan[int](m, "empty", 0)
			return program{full.Close, func() { mem.Select(m, empty.Receiving(nil, nil), full.Sending(2)) }}
		}, "A1 B1", `
A1 close full
B1 select: receive from empty, send 2 to full: send on closed channel
`},
		"without a buffer two meet, the receiver first": {func(m *racelab.Memory) program {
			c := mem.NewChan[int](m, "c", 0)
			return program{func() { c.TrySend(1); c.Send(3) }, func() { c.TryRecv(); c.Recv() }}
		}, "A1 B1 B2 A2 B3", `
A1 try to send 1 to c → false
B1 try to receive from c → false
B2 receive from c
A2 send 3 to c
B3 receive from c: go on → 3
`},
		"without a buffer two meet, the sender first": {func(m *racelab.Memory) program {
			c := mem.NewChan[string](m, "c", 0)
			return program{func() { c.Send("x"); c.Send("y") }, func() { c.Recv(); c.TryRecv() }}
		}, "A1 B1 B2 A2", `
A1 send "x" to c
B1 receive from c → x
B2 try to receive from c → false
A2 send "x" to c: go on
A3 send "y" to c
A4 send "y" to c: go on, waits for []
`},
		"whoever tries meets who waits": {func(m *racelab.Memory) program {
			c := mem.NewChan[int](m, "c", 0)
			return program{func() { c.Recv() }, func() { c.TrySend(1); c.TrySend(2) }}
		}, "A1 B1 B2", `
A1 receive from c
B1 try to send 1 to c → true
B2 try to send 2 to c → false
A2 receive from c: go on → 1
`},
		"a buffer keeps values in order": {func(m *racelab.Memory) program {
			c := mem.NewChan[int](m, "c", 2)
			return program{func() { c.Send(1); c.Send(2); c.TrySend(3); c.Len(); c.Send(4) }, func() { c.Recv(); c.Recv(); c.Recv(); c.Recv() }}
		}, "A1 A2 A3 A4 B1", `
A1 send 1 to c
A2 send 2 to c
A3 try to send 3 to c → false
A4 length of c → 2
B1 receive from c → 1
B2 receive from c → 2
A5 send 4 to c
B3 receive from c → 4
B4 receive from c, waits for []
`},
		"a buffer has values from the beginning": {func(m *racelab.Memory) program {
			c := mem.NewChan(m, "c", 2, 7, 8)
			return program{func() { c.TrySend(9); c.Recv(); c.Send(9) }, func() { c.Recv(); c.Recv() }}
		}, "A1 A2 A3 B1 B2", `
A1 try to send 9 to c → false
A2 receive from c → 7
A3 send 9 to c
B1 receive from c → 8
B2 receive from c → 9
`},
		"what is closed is received to its end": {func(m *racelab.Memory) program {
			c := mem.NewChan[int](m, "c", 1)
			return program{func() { c.Send(1); c.Close() }, func() { c.Recv(); c.Recv(); c.TryRecv() }}
		}, "A1 A2", `
A1 send 1 to c
A2 close c
B1 receive from c → 1
B2 receive from c → closed
B3 try to receive from c → closed
`},
		"a receiver that waits is told of the end": {func(m *racelab.Memory) program {
			c := mem.NewChan[int](m, "c", 0)
			return program{func() { c.Recv() }, c.Close}
		}, "A1 B1", `
A1 receive from c
B1 close c
A2 receive from c: go on → closed
`},
		"select takes the first that can be done": {func(m *racelab.Memory) program {
			a, b := mem.NewChan[int](m, "a", 1), mem.NewChan[int](m, "b", 1)
			return program{func() {
				b.Send(1)
				mem.Select(m, a.Receiving(nil, nil), b.Receiving(nil, nil))
				mem.Select(m, a.Sending(2), b.Sending(3))
				mem.TrySelect(m, b.Receiving(nil, nil), (*mem.Chan[int])(nil).Receiving(nil, nil))
				mem.Select(m)
			}}
		}, "", `
A1 send 1 to b
A2 select: receive from a, receive from b → receive 1 from b
A3 select: send 2 to a, send 3 to b → send 2 to a
A4 try to select: receive from b → false
A5 select nothing, waits for []
`},
		"select waits for one of several": {func(m *racelab.Memory) program {
			a, b := mem.NewChan[int](m, "a", 0), mem.NewChan[int](m, "b", 1)
			return program{
				func() {
					var v int
					i := mem.Select(m, a.Receiving(&v, nil), b.Receiving(&v, nil))
					mem.NewVar(m, "got", 0).Store(100*i + v)
				},
				func() { b.Send(7) },
				func() { a.TrySend(8) },
			}
		}, "A1 B1 C1 A2", `
A1 select: receive from a, receive from b
B1 send 7 to b
C1 try to send 8 to a → false
A2 select: receive from a, receive from b: go on → receive 7 from b
A3 store got → 107
`},
		"a full buffer takes the value of a select when there is place": {func(m *racelab.Memory) program {
			a, b := mem.NewChan[int](m, "a", 0), mem.NewChan[int](m, "b", 1)
			return program{
				func() { b.Send(1); mem.Select(m, a.Sending(2), b.Sending(3)) },
				func() { b.Recv(); b.Recv(); a.TryRecv() },
			}
		}, "A1 A2 B1 B2 B3", `
A1 send 1 to b
A2 select: send 2 to a, send 3 to b
B1 receive from b → 1
B2 receive from b → 3
B3 try to receive from a → false
A3 select: send 2 to a, send 3 to b: go on → send 3 to b
`},
		"select is told of the end": {func(m *racelab.Memory) program {
			a, b := mem.NewChan[int](m, "a", 0), mem.NewChan[int](m, "b", 0)
			return program{
				func() { mem.Select(m, a.Receiving(nil, nil), b.Receiving(nil, nil)) },
				b.Close,
			}
		}, "A1 B1", `
A1 select: receive from a, receive from b
B1 close b
A2 select: receive from a, receive from b: go on → receive from b, which is closed
`},
		"others print between the parts": {func(m *racelab.Memory) program {
			o := mem.NewOutput(m, "out")
			return program{func() { o.Print("from A", "\n") }, func() { o.Print("from B", "\n"); _ = o.String() }}
		}, "A1 B1 A2", `
A1 write "from A" to out
B1 write "from B" to out
A2 write "\n" to out
B2 write "\n" to out
` + "B3 read out → from Afrom B\n\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got := told(play(t, c.schedule, c.build))
			if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
