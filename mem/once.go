package mem

import (
	"sync"

	"github.com/racelab/racelab"
)

// A Once does something once. In free running it is a sync.Once. It must not be
// copied.
type Once struct {
	object
	free sync.Once

	begin, end            string // texts
	begins, ends, settled []racelab.Touch
	running, done         bool
	holder                racelab.SessionID
}

// NewOnce makes a Once that has done nothing.
func NewOnce(m *racelab.Memory, name string) *Once {
	o := &Once{}
	o.init(m, name)
	o.begin, o.end = "do "+o.name+" once", o.name+" is done"
	o.begins, o.ends, o.settled = o.touch(takes), o.touch(releases), o.touch(reads)
	return o
}

// Do calls f if it is the first call, and otherwise returns when the first has
// ended. A panic of f counts as its end. If f calls Do it waits for itself.
//
// Under control a call is a step, and the end of f is another one.
func (o *Once) Do(f func()) {
	if o.gate == nil {
		o.free.Do(f)
		return
	}
	touches := o.begins
	if o.done { // and always will be: there is nothing to take
		touches = o.settled
	}
	line := caller(o.gate)
	s := o.passAt(line, racelab.Acquire, o.begin, o, touches)
	if o.done {
		o.gate.Done(saw(false))
		return
	}
	o.running, o.holder = true, s
	o.gate.Done(saw(true))
	defer func() {
		o.passAt(line, racelab.Release, o.end, nil, o.ends)
		o.running, o.done = false, true
		o.gate.Done(ok)
	}()
	f()
}

// Open implements racelab.Latch.
func (o *Once) Open(racelab.SessionID) bool { return !o.running }

// Holders implements racelab.Latch.
func (o *Once) Holders(racelab.SessionID) []racelab.SessionID {
	if o.running {
		return []racelab.SessionID{o.holder}
	}
	return nil
}
