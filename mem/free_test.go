package mem_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

// many runs f in as many goroutines as find each other at work.
func many(f func(i int)) {
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for range 50 {
				f(i)
			}
		})
	}
	all.Wait()
}

const total = 16 * 50

// The race detector says whether what is plain here is kept apart.
func TestInFreeRunningPrimitivesAreGoOwn(t *testing.T) {
	n := mem.NewVar(nil, "n", 0)
	add := func() { n.Store(n.Load() + 1) }
	mu, rw, r := mem.NewMutex(nil, "mu"), mem.NewRWMutex(nil, "rw"), mem.NewReentrantMutex(nil, "r")
	s, c := mem.NewSemaphore(nil, "s", 1), mem.NewChan[int](nil, "c", 1)
	for name, f := range map[string]func(int){
		"mutex": func(int) { mu.Lock(); add(); mu.Unlock() },
		"rw mutex": func(int) {
			rw.RLock()
			n.Load()
			rw.RUnlock()
			rw.Lock()
			add()
			rw.Unlock()
		},
		"reentrant mutex": func(i int) {
			r.Lock(i)
			r.Lock(i)
			add()
			r.Unlock(i)
			r.Unlock(i)
		},
		"semaphore":     func(int) { s.Acquire(1); add(); s.Release(1) },
		"channel":       func(i int) { c.Send(i); add(); c.Recv() },
		"what is tried": func(int) { spin(mu.TryLock); add(); mu.Unlock() },
		"permits tried": func(int) { spin(func() bool { return s.TryAcquire(1) }); add(); s.Release(1) },
		"writing tried": func(int) { spin(rw.TryLock); add(); rw.Unlock() },
		"reading tried": func(int) {
			spin(rw.TryRLock)
			n.Load()
			rw.RUnlock()
			rw.Lock()
			add()
			rw.Unlock()
		},
		"reentering":      func(i int) { spin(func() bool { return r.TryLock(i) }); add(); r.Unlock(i) },
		"sending tried":   func(i int) { spin(func() bool { return c.TrySend(i) }); add(); c.TryRecv() },
		"sending, select": func(i int) { mem.Select(nil, c.Sending(i)); add(); mem.Select(nil, c.Receiving(nil, nil)) },
	} {
		t.Run(name, func(t *testing.T) {
			n.Store(0)
			many(f)
			if n.Load() != total {
				t.Errorf("%d, want %d", n.Load(), total)
			}
		})
	}
}

func spin(try func() bool) {
	for !try() {
		mem.Gosched(nil)
	}
}

func TestInFreeRunningAtomicsLoseNothing(t *testing.T) {
	a := mem.NewAtomic(nil, "a", 0)
	sum := mem.NewAtomic(nil, "sum", 0)
	many(func(int) {
		mem.Add(a, 1)
		for {
			if is := a.Load(); a.CompareAndSwap(is, is+1) {
				break
			}
		}
		mem.Add(sum, a.Swap(0))
	})
	a.Store(a.Load() + 1)
	if got := sum.Load() + a.Load(); got != 2*total+1 {
		t.Errorf("%d, want %d", got, 2*total+1)
	}
}

func TestInFreeRunningAnEventLetsAllGoOn(t *testing.T) {
	ready, seen := mem.NewEvent(nil, "ready"), mem.NewVar(nil, "seen", 0)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			ready.Wait()
			if seen.Load() != 1 || !ready.IsSet() {
				t.Error("it went on too early")
			}
		})
	}
	seen.Store(1)
	ready.Set()
	all.Wait()
}

// Who waited goes on, also if the event is taken back at once.
func TestInFreeRunningASetIsSeenByWhoWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ready := mem.NewEvent(nil, "ready")
		gone := make(chan struct{})
		go func() {
			ready.Wait()
			close(gone)
		}()
		synctest.Wait()
		ready.Set()
		ready.Clear()
		<-gone
		if ready.IsSet() {
			t.Error("it is set")
		}
	})
}

func TestInFreeRunningABarrierKeepsRoundsApart(t *testing.T) {
	const parties, rounds = 4, 50
	b, counts := mem.NewBarrier(nil, "b", parties), mem.NewAtomic(nil, "counts", 0)
	var all sync.WaitGroup
	for range parties {
		all.Go(func() {
			for round := range rounds {
				mem.Add(counts, b.Wait())
				b.Wait()
				if got, want := counts.Load(), (round+1)*(0+1+2+3); got != want {
					t.Errorf("round %d: %d, want %d", round, got, want)
				}
				b.Wait()
			}
		})
	}
	all.Wait()
}

func TestInFreeRunningACondHandsOn(t *testing.T) {
	mu := mem.NewMutex(nil, "mu")
	c, n := mem.NewCond(nil, "c", mu), mem.NewVar(nil, "n", 0)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			mu.Lock()
			defer mu.Unlock()
			for n.Load() != i {
				c.Wait()
			}
			n.Store(i + 1)
			c.Broadcast()
		})
	}
	all.Wait()
	c.Signal()
	if n.Load() != 16 {
		t.Error(n.Load())
	}
}

func TestInFreeRunningOnceAndGroup(t *testing.T) {
	o, g, n := mem.NewOnce(nil, "o"), mem.NewWaitGroup(nil, "g"), mem.NewVar(nil, "n", 0)
	for range 16 {
		g.Go(func() {
			o.Do(func() { n.Store(n.Load() + 1) })
			if n.Load() != 1 {
				t.Error("it is not done")
			}
		})
	}
	g.Add(1)
	mem.Go(nil, g.Done)
	g.Wait()
}

func TestInFreeRunningChannels(t *testing.T) {
	jobs, done := mem.NewChan[int](nil, "jobs", 0), mem.NewChan[int](nil, "done", 2)
	sum := 0
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				var v int
				var open bool
				if mem.Select(nil, (*mem.Chan[int])(nil).Receiving(nil, nil), jobs.Receiving(&v, &open)); !open {
					return
				}
				done.Send(v)
			}
		})
	}
	all.Go(func() {
		for range 100 {
			v, _ := done.Recv()
			sum += v
		}
	})
	for i := range 100 {
		jobs.Send(i)
	}
	jobs.Close()
	all.Wait()
	if sum != 99*100/2 {
		t.Error(sum)
	}
	if i := mem.TrySelect(nil, done.Receiving(nil, nil)); i != -1 || done.Cap() != 2 || done.Len() != 0 {
		t.Error(i, done.Cap(), done.Len())
	}
}

func TestInFreeRunningPartsOfMessagesMix(t *testing.T) {
	o := mem.NewOutput(nil, "out")
	many(func(int) { o.Print("a", "b") })
	if s := o.String(); strings.Count(s, "a") != total || strings.Count(s, "b") != total || len(s) != 2*total {
		t.Errorf("%d bytes", len(s))
	}
	if n, err := o.Write([]byte("c")); n != 1 || err != nil {
		t.Error(n, err)
	}
}

func TestInFreeRunningSleepIsReal(t *testing.T) {
	before := time.Now()
	if mem.Sleep(nil, time.Millisecond); time.Since(before) < time.Millisecond {
		t.Error("no time has passed")
	}
}

func TestAChannelHasItsValuesFromTheBeginning(t *testing.T) {
	c := mem.NewChan(nil, "c", 2, 7, 8)
	if v, _ := c.Recv(); v != 7 || c.Len() != 1 {
		t.Errorf("received %d, and %d are left", v, c.Len())
	}
	defer func() {
		if recover() == nil {
			t.Error("there was place for more values than the buffer has")
		}
	}()
	mem.NewChan(nil, "c", 1, 7, 8)
}

func TestSessionsMakeValuesAtTheSameTime(t *testing.T) {
	m := &racelab.Memory{}
	var making sync.WaitGroup
	for i := range 8 {
		making.Go(func() { mem.NewVar(m, "n", i) })
	}
	making.Wait()
	if columns := m.State()[0].Columns; len(columns) != 8 {
		t.Errorf("8 were made, and the state has %d", len(columns))
	}
}

func TestWhatCannotBeIsRefusedAtOnce(t *testing.T) {
	for name, made := range map[string]func(){
		"a barrier":   func() { mem.NewBarrier(nil, "b", 0) },
		"a semaphore": func() { mem.NewSemaphore(nil, "s", -1) },
		"a channel":   func() { mem.NewChan[int](nil, "c", -1) },
		"acquire":     func() { mem.NewSemaphore(nil, "s", 1).Acquire(-1) },
		"try":         func() { mem.NewSemaphore(nil, "s", 1).TryAcquire(-1) },
		"release":     func() { mem.NewSemaphore(nil, "s", 1).Release(-1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			made()
		}()
	}
}
