package mem

import (
	"reflect"
	"slices"
	"strings"

	"github.com/racelab/racelab"
)

// A Case is a way on for Select: see Chan.Sending and Chan.Receiving.
type Case struct{ way way }

// A way is a case of a channel that is not nil.
type way interface {
	// real is Go's own case, and received what came of it.
	real() reflect.SelectCase
	received(v reflect.Value, open bool)

	channel() string // its name
	text() string
	touches() []racelab.Touch
	// ready reports whether it needs no waiting, and try takes it then.
	ready() bool
	try(touches []racelab.Touch) bool
	newWait(several bool, channels ...string) *wait
	offer(w *wait, at int)
	// broken reports whether what has ended the wait makes it misuse.
	broken(w *wait) bool
	// did ends the case, and says what has been done.
	did() string
}

// Sending is the case that v is sent.
func (c *Chan[T]) Sending(v T) Case {
	if c == nil {
		return Case{}
	}
	return Case{&sendWay[T]{c, v}}
}

// Receiving is the case that something is received. What Recv would return is
// in v and open then; either may be nil.
func (c *Chan[T]) Receiving(v *T, open *bool) Case {
	if c == nil {
		return Case{}
	}
	return Case{&receiveWay[T]{Chan: c, v: v, open: open}}
}

// Select waits until one of the cases can be done, does it, and returns which,
// counted from 0. A case of a nil channel never can.
//
// If several can be done at once it is any of them, as Go has it: under control
// the schedule says which, A3(case 2).
//
// Under control it is one step if a case can be done at once, and otherwise
// two: the session waits, and goes on when another has come to one of the
// channels. A case that sends to a closed channel can be done, and ends the
// session if it is the one that is taken: see the package.
func Select(m *racelab.Memory, cases ...Case) int {
	if m == nil || m.Gate == nil {
		return chooseFreely(true, cases)
	}
	return choose(m.Gate, caller(m.Gate), true, cases)
}

// TrySelect is Select if that needs no waiting; otherwise it returns -1: it is
// Go's select with a default.
func TrySelect(m *racelab.Memory, cases ...Case) int {
	if m == nil || m.Gate == nil {
		return chooseFreely(false, cases)
	}
	return choose(m.Gate, caller(m.Gate), false, cases)
}

func choose(gate racelab.MemoryGate, line string, waits bool, cases []Case) int {
	o := object{gate: gate}
	var texts []string
	var touches []racelab.Touch
	var first way
	for _, c := range cases {
		if c.way == nil {
			continue
		}
		if first == nil {
			first = c.way
		}
		texts, touches = append(texts, c.way.text()), append(touches, c.way.touches()...)
	}
	text, kind := "select: "+strings.Join(texts, ", "), racelab.Acquire
	if !waits {
		text, kind = "try to "+text, racelab.Try
	}
	var latch racelab.Latch
	if waits && first == nil {
		text, latch = "select nothing", never{}
	}
	op := racelab.Op{Kind: kind, Text: text, Latch: latch, Touches: touches, Pos: line}
	if len(texts) > 1 {
		op.Cases = func() int { return len(readyAmong(cases)) }
	}
	_, nth := o.gate.Pass(op)
	if ready := readyAmong(cases); len(ready) > 0 {
		i := ready[nth]
		before := 0 // cases of channels, whose touches stand first
		for _, c := range cases[:i] {
			if c.way != nil {
				before++
			}
		}
		cases[i].way.try(touches[4*before:][:4])
		o.gate.Done(saw(cases[i].way.did()))
		return i
	}
	if !waits {
		o.gate.Done(saw(false))
		return -1
	}
	var channels []string
	for _, c := range cases {
		if c.way != nil && !slices.Contains(channels, c.way.channel()) {
			channels = append(channels, c.way.channel())
		}
	}
	w := first.newWait(len(texts) > 1, channels...)
	touches[3] = w.comes()
	for i, c := range cases {
		if c.way != nil {
			c.way.offer(w, i)
		}
	}
	o.wait(line, text, w)
	met := cases[w.chosen].way
	if met.broken(w) {
		o.gate.Misused(sendOnClosed)
	}
	o.gate.Done(saw(met.did()))
	return w.chosen
}

// readyAmong lists the cases that need no waiting, by position.
func readyAmong(cases []Case) (ready []int) {
	for i, c := range cases {
		if c.way != nil && c.way.ready() {
			ready = append(ready, i)
		}
	}
	return ready
}

func chooseFreely(waits bool, cases []Case) int {
	real := make([]reflect.SelectCase, 0, len(cases)+1)
	for _, c := range cases {
		if c.way == nil {
			real = append(real, reflect.SelectCase{Dir: reflect.SelectRecv}) // of nil
		} else {
			real = append(real, c.way.real())
		}
	}
	if !waits {
		real = append(real, reflect.SelectCase{Dir: reflect.SelectDefault})
	}
	i, v, open := reflect.Select(real)
	if i == len(cases) {
		return -1
	}
	cases[i].way.received(v, open)
	return i
}

// never is a latch that does not open.
type never struct{}

// Open implements racelab.Latch.
func (never) Open(racelab.SessionID) bool { return false }

// Holders implements racelab.Latch.
func (never) Holders(racelab.SessionID) []racelab.SessionID { return nil }

type sendWay[T any] struct {
	*Chan[T]
	v T
}

func (s *sendWay[T]) real() reflect.SelectCase {
	return reflect.SelectCase{Dir: reflect.SelectSend, Chan: reflect.ValueOf(s.free), Send: reflect.ValueOf(&s.v).Elem()}
}
func (s *sendWay[T]) received(reflect.Value, bool) {}
func (s *sendWay[T]) text() string                 { return s.sending(s.v) }
func (s *sendWay[T]) ready() bool {
	return s.closed || len(s.buffer) < s.capacity || someWait(s.receivers)
}
func (s *sendWay[T]) try(touches []racelab.Touch) bool { return s.put(s.v, touches) }
func (s *sendWay[T]) broken(w *wait) bool              { return w.by == s.closing }
func (s *sendWay[T]) did() string                      { return s.text() }
func (s *sendWay[T]) offer(w *wait, at int) {
	s.senders = append(s.senders, offer[T]{wait: w, value: s.v, at: at})
}

type receiveWay[T any] struct {
	*Chan[T]
	v    *T
	open *bool

	value  T
	isOpen bool
}

func (r *receiveWay[T]) real() reflect.SelectCase {
	return reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(r.free)}
}
func (r *receiveWay[T]) received(v reflect.Value, open bool) {
	reflect.ValueOf(&r.value).Elem().Set(v)
	r.isOpen = open
	r.hand()
}
func (r *receiveWay[T]) text() string { return r.receive }
func (r *receiveWay[T]) ready() bool {
	return r.closed || len(r.buffer) > 0 || someWait(r.senders)
}
func (r *receiveWay[T]) try(touches []racelab.Touch) (ready bool) {
	r.value, r.isOpen, ready = r.take(touches)
	return ready
}
func (r *receiveWay[T]) offer(w *wait, at int) {
	r.receivers = append(r.receivers, offer[T]{wait: w, into: &r.value, open: &r.isOpen, at: at})
}
func (r *receiveWay[T]) broken(*wait) bool { return false }
func (r *receiveWay[T]) did() string {
	r.hand()
	if !r.isOpen {
		return r.receive + ", which is closed"
	}
	return "receive " + textOf(r.value) + " from " + r.name
}

// hand gives what was received to whoever asked for it.
func (r *receiveWay[T]) hand() {
	if r.v != nil {
		*r.v = r.value
	}
	if r.open != nil {
		*r.open = r.isOpen
	}
}
