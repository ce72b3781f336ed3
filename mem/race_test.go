//go:build race

package mem_test

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
	"github.com/racelab/racelab/mem"
)

// A paced program does each operation at its place among all, counted from 0.
type paced func(m *racelab.Memory, at func(int, func())) program

// raced are programs that have a data race in the order of their operations, or
// have none there, as Go's race detector sees it.
var raced = map[string]struct {
	program  paced
	schedule string
	races    bool
}{
	"plain": {func(m *racelab.Memory, at func(int, func())) program {
		x := mem.NewVar(m, "x", 0)
		return program{func() { at(0, func() { x.Store(1) }) }, func() { at(1, func() { x.Load() }) }}
	}, "A1 B1", true},
	"a store that is seen": {func(m *racelab.Memory, at func(int, func())) program {
		x, f := mem.NewVar(m, "x", 0), mem.NewAtomic(m, "f", 0)
		return program{func() { at(0, func() { x.Store(1) }); at(1, func() { f.Store(1) }) }, func() { at(2, func() { f.Load() }); at(3, func() { x.Load() }) }}
	}, "A1 A2 B1 B2", false},
	"a store that another one hides": {func(m *racelab.Memory, at func(int, func())) program {
		x, f := mem.NewVar(m, "x", 0), mem.NewAtomic(m, "f", 0)
		return program{
			func() { at(0, func() { x.Store(1) }); at(1, func() { f.Store(1) }) },
			func() { at(2, func() { f.Store(2) }) },
			func() { at(3, func() { f.Load() }); at(4, func() { x.Load() }) },
		}
	}, "A1 A2 B1 C1 C2", true},
	"a store that is swapped": {func(m *racelab.Memory, at func(int, func())) program {
		x, f := mem.NewVar(m, "x", 0), mem.NewAtomic(m, "f", 0)
		return program{
			func() { at(0, func() { x.Store(1) }); at(1, func() { f.Store(1) }) },
			func() { at(2, func() { f.Swap(2) }) },
			func() { at(3, func() { f.Load() }); at(4, func() { x.Load() }) },
		}
	}, "A1 A2 B1 C1 C2", false},
	"a swap that fails": {func(m *racelab.Memory, at func(int, func())) program {
		x, f := mem.NewVar(m, "x", 0), mem.NewAtomic(m, "f", 0)
		return program{
			func() { at(0, func() { x.Store(1) }); at(1, func() { f.CompareAndSwap(5, 6) }) },
			func() { at(2, func() { f.Load() }); at(3, func() { x.Load() }) },
		}
	}, "A1 A2 B1 B2", true},
	"a lock that is handed on": {func(m *racelab.Memory, at func(int, func())) program {
		x, mu := mem.NewVar(m, "x", 0), mem.NewMutex(m, "mu")
		return program{
			func() { at(0, func() { x.Store(1) }); at(1, func() { mu.Lock() }); at(2, func() { mu.Unlock() }) },
			func() { at(3, func() { mu.Lock() }); at(4, func() { mu.Unlock() }) },
			func() { at(5, func() { mu.Lock() }); at(6, func() { x.Load() }) },
		}
	}, "A1 A2 A3 B1 B2 C1 C2", false},
	"a try that fails": {func(m *racelab.Memory, at func(int, func())) program {
		x, mu := mem.NewVar(m, "x", 0), mem.NewMutex(m, "mu")
		return program{
			func() { at(0, func() { x.Store(1) }); at(1, func() { mu.Lock() }) },
			func() { at(2, func() { mu.TryLock() }); at(3, func() { x.Load() }) },
		}
	}, "A1 A2 B1 B2", true},
	"readers": {func(m *racelab.Memory, at func(int, func())) program {
		x, rw := mem.NewVar(m, "x", 0), mem.NewRWMutex(m, "rw")
		return program{
			func() { at(0, func() { rw.RLock() }); at(1, func() { x.Store(1) }); at(2, func() { rw.RUnlock() }) },
			func() { at(3, func() { rw.RLock() }); at(4, func() { x.Load() }); at(5, func() { rw.RUnlock() }) },
		}
	}, "A1 A2 A3 B1 B2 B3", true},
	"a reader and a writer": {func(m *racelab.Memory, at func(int, func())) program {
		x, rw := mem.NewVar(m, "x", 0), mem.NewRWMutex(m, "rw")
		return program{
			func() { at(0, func() { rw.RLock() }); at(1, func() { x.Store(1) }); at(2, func() { rw.RUnlock() }) },
			func() { at(3, func() { rw.Lock() }); at(4, func() { x.Load() }); at(5, func() { rw.Unlock() }) },
		}
	}, "A1 A2 A3 B1 B2 B3", false},
	"a channel's value": {func(m *racelab.Memory, at func(int, func())) program {
		x, c := mem.NewVar(m, "x", 0), mem.NewChan[int](m, "c", 1)
		return program{
			func() { at(0, func() { x.Store(1) }); at(1, func() { c.Send(1) }) },
			func() { at(2, func() { c.Recv() }); at(3, func() { x.Load() }) },
		}
	}, "A1 A2 B1 B2", false},
	"after the value was sent": {func(m *racelab.Memory, at func(int, func())) program {
		x, c := mem.NewVar(m, "x", 0), mem.NewChan[int](m, "c", 1)
		return program{
			func() { at(0, func() { c.Send(1) }); at(1, func() { x.Store(1) }) },
			func() { at(2, func() { c.Recv() }); at(3, func() { x.Load() }) },
		}
	}, "A1 A2 B1 B2", true},
	"a group": {func(m *racelab.Memory, at func(int, func())) program {
		x, g := mem.NewVar(m, "x", 0), mem.NewWaitGroup(m, "g")
		return program{
			func() { at(0, func() { g.Add(2) }); at(5, func() { g.Wait() }); at(6, func() { x.Load() }) },
			func() { at(1, func() { x.Store(1) }); at(2, func() { g.Done() }) },
			func() { at(4, func() { g.Done() }) },
			func() { at(3, func() {}) },
		}
	}, "A1 B1 B2 C1 A2 A3", false},
	"a once that is done": {func(m *racelab.Memory, at func(int, func())) program {
		x, o := mem.NewVar(m, "x", 0), mem.NewOnce(m, "o")
		return program{
			func() { at(0, func() { o.Do(func() { x.Store(1) }) }) },
			func() { at(1, func() { o.Do(func() {}) }); at(2, func() { x.Load() }) },
		}
	}, "A1 A2 A3 B1 B2", false},
}

// turn counts the operations that are done, in a process that runs freely.
// Nobody who looks at it comes after anybody else by that.
var turn int

//go:norace
func awaitTurn(n int) {
	for turn != n {
		runtime.Gosched()
	}
}

//go:norace
func endTurn() { turn++ }

// raceInChild runs a program freely, in its order, if this is a process that is
// to.
func raceInChild() {
	c, ok := raced[os.Getenv("MEM_TEST_RACE")]
	if !ok {
		return
	}
	var all sync.WaitGroup
	for _, code := range c.program(nil, func(n int, do func()) {
		awaitTurn(n)
		do()
		endTurn()
	}) {
		all.Go(code)
	}
	all.Wait()
	os.Exit(0)
}

func TestTheRaceDetectorSeesTheSame(t *testing.T) {
	for name, c := range raced {
		t.Run(name, func(t *testing.T) {
			events := play(t, c.schedule, func(m *racelab.Memory) program { return c.program(m, func(_ int, do func()) { do() }) })
			if races := check.RacesIn(racelab.History{Events: events}); (len(races) > 0) != c.races {
				t.Errorf("under control: %v", races)
			}
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), "MEM_TEST_RACE="+name, "GORACE=exitcode=66 atexit_sleep_ms=0")
			said, err := child.CombinedOutput()
			var exit *exec.ExitError
			found := errors.As(err, &exit) && exit.ExitCode() == 66 && strings.Contains(string(said), "DATA RACE")
			if found != c.races || !found && err != nil {
				t.Errorf("Go's race detector: %v, %s", err, said)
			}
		})
	}
}
