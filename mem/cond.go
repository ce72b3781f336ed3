package mem

import (
	"sync"

	"github.com/racelab/racelab"
)

// A Cond is where sessions wait until another one tells them that something
// they look at under a mutex may have changed. In free running it is a
// sync.Cond. It must not be copied.
type Cond struct {
	object
	free  sync.Cond
	mutex *Mutex

	wait, signal, broadcast string // texts
	waits                   []racelab.Touch
	waiting                 []*wakeup // who waited longest is first
	signals                 int
}

// NewCond makes a Cond for what mutex guards, which is of the same memory.
func NewCond(m *racelab.Memory, name string, mutex *Mutex) *Cond {
	c := &Cond{mutex: mutex}
	c.free.L = &mutex.free
	c.init(m, name)
	c.wait, c.signal, c.broadcast = "wait for "+c.name, "signal "+c.name, "broadcast "+c.name
	c.waits = append(c.touch(takes), racelab.Touch{Object: mutex.name, Mode: releases})
	return c
}

// Wait unlocks the mutex, waits until Signal or Broadcast wakes the session,
// and locks it again. It returns for no other reason; but what was waited for
// may be gone by then, so it belongs in a loop. To wait without having locked
// the mutex ends the program, and under control the session.
//
// Under control these are two steps: the mutex is given up and the wait begun;
// and the mutex is taken by a session that was woken.
func (c *Cond) Wait() {
	if c.gate == nil {
		c.free.Wait()
		return
	}
	line := caller(c.gate)
	c.passAt(line, racelab.Acquire, c.wait, nil, c.waits)
	if !c.mutex.taken {
		c.gate.Misused("sync: unlock of unlocked mutex")
	}
	c.mutex.taken, c.mutex.holder = false, ""
	w := &wakeup{mutex: c.mutex}
	c.waiting = append(c.waiting, w)
	c.gate.Done(ok)

	touches := []racelab.Touch{{Object: c.name, Mode: reads}, {Object: c.mutex.name, Mode: takes}}
	s := c.passAt(line, racelab.Acquire, c.wait+goOn, w, touches)
	touches[0].Object = w.by // it comes after who woke it, and not after who wakes others
	c.mutex.taken, c.mutex.holder = true, s
	c.gate.Done(ok)
}

// Signal wakes the session that has waited longest, if one waits.
func (c *Cond) Signal() {
	if c.gate == nil {
		c.free.Signal()
		return
	}
	touches := c.waker()
	c.pass(racelab.Signal, c.signal, nil, touches)
	c.wake(touches, min(1, len(c.waiting)))
}

// Broadcast wakes all sessions that wait.
func (c *Cond) Broadcast() {
	if c.gate == nil {
		c.free.Broadcast()
		return
	}
	touches := c.waker()
	c.pass(racelab.Signal, c.broadcast, nil, touches)
	c.wake(touches, len(c.waiting))
}

// waker is what an operation touches that wakes others: see wake.
func (c *Cond) waker() []racelab.Touch {
	return append(c.touch(takes), racelab.Touch{Object: c.name, Mode: racelab.Reads})
}

// wake wakes the first n who wait.
func (c *Cond) wake(touches []racelab.Touch, n int) {
	c.signals++
	by := c.numbered(c.signals)
	touches[1] = racelab.Touch{Object: by, Mode: releases}
	for _, w := range c.waiting[:n] {
		w.by = by
	}
	c.waiting = c.waiting[n:]
	c.gate.Done(racelab.Result{Class: racelab.OK, Value: int64(n)})
}

// A wakeup is what a session waits for that is to have a mutex then.
type wakeup struct {
	mutex *Mutex
	by    string // what woke it: "" is nothing
}

// Open implements racelab.Latch.
func (w *wakeup) Open(s racelab.SessionID) bool { return w.by != "" && w.mutex.Open(s) }

// Holders implements racelab.Latch: nobody is known who will wake it.
func (w *wakeup) Holders(s racelab.SessionID) []racelab.SessionID {
	if w.by == "" {
		return nil
	}
	return w.mutex.Holders(s)
}
