package mem

import (
	"slices"
	"strings"

	"github.com/racelab/racelab"
)

// A Chan is a channel. In free running it is a chan T. A nil *Chan is a nil
// channel: to send to it or receive from it waits for ever, which under control
// is no deadlock but ends the exploration, and Select never takes it. It must
// not be copied.
//
// Under control what uses a buffer is one step. Without a buffer two sessions
// have to meet: the one that comes first waits, and goes on in a second step
// when the other has come. That is how Select waits, too.
type Chan[T any] struct {
	object
	free chan T

	receive, tryReceive, shut, look string // texts
	sees                            []racelab.Touch
	slots                           []string // names of the places of the buffer
	closing                         string   // the name of what Close releases

	capacity       int
	buffer         []T
	sent, received int // through the buffer
	closed         bool
	waits          int
	senders        []offer[T] // who waited longest is first
	receivers      []offer[T]
}

// NewChan makes a channel with a buffer of so many values; 0 is none. The values
// given are in it from the beginning. It panics if the buffer has less than no
// place, or too little for them.
func NewChan[T any](m *racelab.Memory, name string, capacity int, values ...T) *Chan[T] {
	if capacity < 0 || len(values) > capacity {
		panic("mem: the channel's buffer has no place for so many values")
	}
	c := &Chan[T]{capacity: capacity}
	c.init(m, name)
	if c.gate == nil {
		c.free = make(chan T, capacity)
		for _, v := range values {
			c.free <- v
		}
		return c
	}
	c.buffer, c.sent = slices.Clone(values), len(values)
	c.receive, c.tryReceive = "receive from "+c.name, "try to receive from "+c.name
	c.shut, c.look = "close "+c.name, "length of "+c.name
	c.sees, c.closing = c.touch(reads), racelab.PartOf(c.name, "closed")
	for i := range capacity {
		c.slots = append(c.slots, racelab.PartOf(c.name, "slot "+textOf(i)))
	}
	return c
}

// Send sends v, and waits until there is place for it or somebody receives it.
// To send to a closed channel panics, and under control ends the session.
func (c *Chan[T]) Send(v T) {
	if c == nil || c.gate == nil {
		c.real() <- v
		return
	}
	line, text, touches := caller(c.gate), c.sending(v), c.touches()
	var latch racelab.Latch
	if c.capacity > 0 {
		latch = (*hasPlace[T])(c)
	}
	c.passAt(line, racelab.Signal, text, latch, touches)
	if c.put(v, touches) {
		c.gate.Done(ok)
		return
	}
	w := c.newWait(false, c.name)
	c.senders = append(c.senders, offer[T]{wait: w, value: v})
	touches[3] = w.comes()
	c.wait(line, text, w)
	if w.by == c.closing {
		c.gate.Misused(sendOnClosed)
	}
	c.gate.Done(ok)
}

// TrySend sends v if that needs no waiting, and reports whether it has.
func (c *Chan[T]) TrySend(v T) (sent bool) {
	if c == nil || c.gate == nil {
		select {
		case c.real() <- v:
			return true
		default:
			return false
		}
	}
	touches := c.touches()
	c.pass(racelab.Try, "try to "+c.sending(v), nil, touches)
	sent = c.put(v, touches)
	c.gate.Done(saw(sent))
	return sent
}

// Recv receives a value and waits until there is one. When the channel is
// closed and nothing is left in it, it returns false and no value.
func (c *Chan[T]) Recv() (v T, open bool) {
	if c == nil || c.gate == nil {
		v, open = <-c.real()
		return v, open
	}
	line, touches := caller(c.gate), c.touches()
	var latch racelab.Latch
	if c.capacity > 0 {
		latch = (*hasValue[T])(c)
	}
	c.passAt(line, racelab.Acquire, c.receive, latch, touches)
	v, open, ready := c.take(touches)
	if !ready {
		w := c.newWait(false, c.name)
		c.receivers = append(c.receivers, offer[T]{wait: w, into: &v, open: &open})
		touches[3] = w.comes()
		c.wait(line, c.receive, w)
	}
	c.gate.Done(got(v, open))
	return v, open
}

// TryRecv is Recv if that needs no waiting; otherwise done is false.
func (c *Chan[T]) TryRecv() (v T, open, done bool) {
	if c == nil || c.gate == nil {
		select {
		case v, open = <-c.real():
			return v, open, true
		default:
			return v, false, false
		}
	}
	touches := c.touches()
	c.pass(racelab.Try, c.tryReceive, nil, touches)
	r := saw(false)
	if v, open, done = c.take(touches); done {
		if r = got(v, open); r.Value == false {
			r.Value = "false" // false itself says that there was nothing
		}
	}
	c.gate.Done(r)
	return v, open, done
}

// Close says that nothing more will be sent. To close what is closed, or nil,
// panics, and under control ends the session.
func (c *Chan[T]) Close() {
	if c == nil || c.gate == nil {
		close(c.real())
		return
	}
	// Who waits here may have waited elsewhere, too.
	c.pass(racelab.Release, c.shut, nil, []racelab.Touch{{Object: c.name, Mode: takes}, {Object: selects, Mode: takes}, {Object: c.closing, Mode: releases}})
	if c.closed {
		c.gate.Misused("close of closed channel")
	}
	c.closed = true
	for r, waits := next(&c.receivers); waits; r, waits = next(&c.receivers) {
		r.met(c.closing)
	}
	for s, waits := next(&c.senders); waits; s, waits = next(&c.senders) {
		s.met(c.closing)
	}
	c.gate.Done(ok)
}

// Len returns how many values are in the buffer.
func (c *Chan[T]) Len() int {
	if c == nil || c.gate == nil {
		return len(c.real())
	}
	c.pass(racelab.Load, c.look, nil, c.sees)
	n := len(c.buffer)
	c.gate.Done(saw(n))
	return n
}

// Cap returns how many values the buffer can have. It is no step: it never
// changes.
func (c *Chan[T]) Cap() int {
	if c == nil {
		return 0
	}
	return c.capacity
}

// real is Go's own channel.
func (c *Chan[T]) real() chan T {
	if c == nil {
		return nil
	}
	return c.free
}

const sendOnClosed = "send on closed channel"

func (c *Chan[T]) sending(v T) string { return "send " + textOf(v) + " to " + c.name }

// got is the result of receiving: nothing from a closed channel.
func got[T any](v T, open bool) racelab.Result {
	if !open {
		return racelab.Result{Class: racelab.OK, Value: "closed"}
	}
	return saw(v)
}

// selects is touched by whatever uses channels. What meets a Select that waits
// for several of them changes it, because it takes the Select away from the
// others.
var selects = racelab.PartOf("", "selects")

// touches are what an operation touches that sends or receives: the channel,
// what is waited for elsewhere, a place in the buffer or the end, and who is
// met. The last two are filled in when they are known.
func (c *Chan[T]) touches() []racelab.Touch {
	itself := racelab.Touch{Object: c.name, Mode: takes}
	return []racelab.Touch{itself, {Object: selects, Mode: reads}, itself, itself}
}

// put sends a value if it can, at an operation that has passed.
func (c *Chan[T]) put(v T, touches []racelab.Touch) bool {
	if c.closed {
		c.gate.Misused(sendOnClosed)
	}
	if r, waits := next(&c.receivers); waits {
		*r.into, *r.open = v, true
		r.meets(touches)
		return true
	}
	if len(c.buffer) == c.capacity {
		return false
	}
	c.push(v, touches)
	return true
}

// take receives a value, or that there will be none, if it can.
func (c *Chan[T]) take(touches []racelab.Touch) (v T, open, ready bool) {
	if len(c.buffer) > 0 {
		v, c.buffer = c.buffer[0], c.buffer[1:]
		touches[2] = c.slot(c.received)
		c.received++
		if s, waits := next(&c.senders); waits {
			c.push(s.value, touches) // the same place
			s.meets(touches)
		}
		return v, true, true
	}
	if s, waits := next(&c.senders); waits {
		s.meets(touches)
		return s.value, true, true
	}
	if c.closed {
		touches[2] = racelab.Touch{Object: c.closing, Mode: reads}
	}
	return v, false, c.closed
}

func (c *Chan[T]) push(v T, touches []racelab.Touch) {
	c.buffer = append(c.buffer, v)
	touches[2] = c.slot(c.sent)
	c.sent++
}

// slot is the place of the n-th value: what is received there comes after what
// was sent, and what is sent there next comes after both.
func (c *Chan[T]) slot(n int) racelab.Touch {
	return racelab.Touch{Object: c.slots[n%c.capacity], Mode: updates}
}

// A wait is for others to come to channels.
type wait struct {
	name    string
	several bool   // channels may be
	by      string // the name of what has ended it: its own, or what closed the channel; "" is nothing
	chosen  int    // of several offers
}

// channel is the channel's name.
func (c *Chan[T]) channel() string { return c.name }

// newWait begins a wait for the channels of these names, of which this one is
// the first. A Select may offer several things to one.
func (c *Chan[T]) newWait(several bool, channels ...string) *wait {
	c.waits++
	return &wait{name: racelab.PartOf(strings.Join(channels, " or "), c.numbered(c.waits)), several: several}
}

// comes is how a session touches what it is met at.
func (w *wait) comes() racelab.Touch { return racelab.Touch{Object: w.name, Mode: releases} }

// wait ends a first step and returns when the second may be done.
func (o *object) wait(line, text string, w *wait) {
	o.gate.Done(ok)
	touches := []racelab.Touch{{Object: w.name, Mode: reads}}
	o.passAt(line, racelab.Acquire, text+goOn, w, touches)
	touches[0].Object = w.by
}

// Open implements racelab.Latch.
func (w *wait) Open(racelab.SessionID) bool { return w.by != "" }

// Holders implements racelab.Latch: nobody is known who will come.
func (w *wait) Holders(racelab.SessionID) []racelab.SessionID { return nil }

// An offer is to send a value or to receive one.
type offer[T any] struct {
	*wait
	value T // to send
	into  *T
	open  *bool // to receive: into these
	at    int   // which of several it is
}

// met ends the wait.
func (o offer[T]) met(by string) { o.by, o.chosen = by, o.at }

// meets ends the wait by an operation that the touches are of.
func (o offer[T]) meets(touches []racelab.Touch) {
	o.met(o.name)
	touches[3] = racelab.Touch{Object: o.name, Mode: updates}
	if o.several {
		touches[1].Mode = takes
	}
}

// someWait reports whether somebody in a queue still waits.
func someWait[T any](queue []offer[T]) bool {
	return slices.ContainsFunc(queue, func(o offer[T]) bool { return o.by == "" })
}

// next takes the first who still waits out of a queue.
func next[T any](queue *[]offer[T]) (first offer[T], waits bool) {
	for len(*queue) > 0 && !waits {
		first, *queue = (*queue)[0], (*queue)[1:]
		waits = first.by == "" // or it has been met at another channel
	}
	return first, waits
}

// hasPlace is open while a channel's buffer has place.
type hasPlace[T any] Chan[T]

// Open implements racelab.Latch.
func (c *hasPlace[T]) Open(racelab.SessionID) bool { return c.closed || len(c.buffer) < c.capacity }

// Holders implements racelab.Latch: nobody is known who will receive.
func (c *hasPlace[T]) Holders(racelab.SessionID) []racelab.SessionID { return nil }

// hasValue is open while there is something to receive, or will never be.
type hasValue[T any] Chan[T]

// Open implements racelab.Latch.
func (c *hasValue[T]) Open(racelab.SessionID) bool { return c.closed || len(c.buffer) > 0 }

// Holders implements racelab.Latch: nobody is known who will send.
func (c *hasValue[T]) Holders(racelab.SessionID) []racelab.SessionID { return nil }
