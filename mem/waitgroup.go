package mem

import (
	"sync"

	"github.com/racelab/racelab"
)

// A WaitGroup counts what is to be waited for. In free running it is a
// sync.WaitGroup. It must not be copied.
//
// Under control each method is one step. Only a Wait that finds something to
// wait for is two: it begins to wait, and goes on when the count has come to 0.
// As in Go it is misuse if the count is another one again by then.
type WaitGroup struct {
	object
	free   sync.WaitGroup
	memory *racelab.Memory

	done, wait, spawn string // texts
	adds, waits       []racelab.Touch
	count             int
	added             int    // of the count, what Add and Done have made of it: the rest is what Go has started
	waiting           *round // of those who wait; nil is nobody
}

// NewWaitGroup makes a group whose count is 0.
func NewWaitGroup(m *racelab.Memory, name string) *WaitGroup {
	g := &WaitGroup{memory: m}
	g.init(m, name)
	g.done, g.wait, g.spawn = "done with "+g.name, "wait for "+g.name, "go with "+g.name
	g.adds, g.waits = g.touch(releases), g.touch(takes)
	return g
}

// Add adds to the count. A count below 0 panics, and under control ends the
// session.
func (g *WaitGroup) Add(delta int) {
	if g.gate == nil {
		g.free.Add(delta)
		return
	}
	g.pass(racelab.Signal, "add "+textOf(delta)+" to "+g.name, nil, g.adds)
	g.added += delta
	g.add(delta)
}

// Done takes 1 from the count.
func (g *WaitGroup) Done() {
	if g.gate == nil {
		g.free.Done()
		return
	}
	g.pass(racelab.Signal, g.done, nil, g.adds)
	g.added--
	g.add(-1)
}

// add changes the count at an operation that has passed.
func (g *WaitGroup) add(delta int) {
	g.count += delta
	if g.count < 0 {
		g.gate.Misused("sync: negative WaitGroup counter")
	}
	if g.count == 0 && g.waiting != nil {
		g.waiting.over, g.waiting = true, nil
	}
	g.gate.Done(racelab.Result{Class: racelab.OK, Value: int64(g.count)})
}

// Go adds 1 to the count, runs f beside the session, as the function Go does,
// and takes 1 from the count when f has returned. These are three steps. A
// panic of f is not the end of what is waited for.
func (g *WaitGroup) Go(f func()) {
	if g.gate == nil {
		g.free.Add(1)
		Go(g.memory, func() {
			defer g.free.Done()
			f()
		})
		return
	}
	line := caller(g.gate)
	g.passAt(line, racelab.Signal, "add 1 to "+g.name, nil, g.adds)
	g.add(1)
	g.gate.Go(racelab.Op{Kind: racelab.Spawn, Text: g.spawn, Pos: line}, func() {
		f()
		touches := g.touch(racelab.Reads | racelab.Releases)
		g.passAt(line, racelab.Signal, g.done, nil, touches)
		// What Go starts ends in any order, and the count comes to the same. But if
		// Add and Done have taken more than they have given, the last end is
		// misuse, and it matters whose that is.
		if g.added < 0 {
			touches[0].Mode = releases
		}
		g.add(-1)
	})
}

// Wait waits until the count is 0.
func (g *WaitGroup) Wait() {
	if g.gate == nil {
		g.free.Wait()
		return
	}
	line := caller(g.gate)
	g.passAt(line, racelab.Acquire, g.wait, nil, g.waits)
	if g.count != 0 {
		if g.waiting == nil {
			g.waiting = &round{}
		}
		mine := g.waiting
		g.gate.Done(ok)
		g.passAt(line, racelab.Acquire, g.wait+goOn, mine, g.waits)
		if g.count != 0 {
			g.gate.Misused("sync: WaitGroup is reused before previous Wait has returned")
		}
	}
	g.gate.Done(ok)
}

// A round is what several wait for at once.
type round struct {
	name string // nothing else has it
	over bool
}

// Open implements racelab.Latch.
func (r *round) Open(racelab.SessionID) bool { return r.over }

// Holders implements racelab.Latch: nobody is known who will end it.
func (r *round) Holders(racelab.SessionID) []racelab.SessionID { return nil }
