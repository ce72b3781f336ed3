package mem

import "github.com/racelab/racelab"

// An Event is set or not, and sessions can wait until it is: Python's
// threading.Event. It must not be copied.
type Event struct {
	object
	free monitor

	set, clear, wait, look string // texts
	sets, clears, lets     []racelab.Touch
	isSet                  bool
	times                  int // it has been set
}

// NewEvent makes an event that is not set.
func NewEvent(m *racelab.Memory, name string) *Event {
	e := &Event{}
	e.free.init()
	e.init(m, name)
	e.set, e.clear, e.wait, e.look = "set "+e.name, "clear "+e.name, "wait for "+e.name, "look at "+e.name
	e.sets, e.clears, e.lets = e.touch(releases), e.touch(takes), e.touch(reads)
	return e
}

// Set sets the event and lets everybody go on who waits for it.
func (e *Event) Set() {
	if e.gate == nil {
		e.free.now(func() {
			e.isSet = true
			e.times++
		})
		return
	}
	e.pass(racelab.Signal, e.set, nil, e.sets)
	e.isSet = true
	e.gate.Done(ok)
}

// Clear takes the event back. Those who waited for it go on all the same.
func (e *Event) Clear() {
	if e.gate == nil {
		e.free.now(func() { e.isSet = false })
		return
	}
	e.pass(racelab.Store, e.clear, nil, e.clears)
	e.isSet = false
	e.gate.Done(ok)
}

// Wait waits until the event is set.
func (e *Event) Wait() {
	if e.gate == nil {
		before := -1
		e.free.when(func() bool {
			if before < 0 {
				before = e.times
			}
			return e.isSet || e.times > before
		}, func() {})
		return
	}
	e.pass(racelab.Acquire, e.wait, e, e.lets)
	e.gate.Done(ok)
}

// IsSet reports whether the event is set.
func (e *Event) IsSet() bool {
	if e.gate == nil {
		e.free.mu.Lock()
		defer e.free.mu.Unlock()
		return e.isSet
	}
	e.pass(racelab.Load, e.look, nil, e.lets)
	is := e.isSet
	e.gate.Done(saw(is))
	return is
}

// Open implements racelab.Latch.
func (e *Event) Open(racelab.SessionID) bool { return e.isSet }

// Holders implements racelab.Latch: nobody is known who will set it.
func (e *Event) Holders(racelab.SessionID) []racelab.SessionID { return nil }
