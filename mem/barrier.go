package mem

import "github.com/racelab/racelab"

// A Barrier is where sessions wait for each other, again and again. It must not
// be copied.
type Barrier struct {
	object
	free monitor

	wait    string // text
	parties int
	arrived int // in this round
	rounds  int
	current *round
}

// NewBarrier makes a barrier at which so many sessions wait for each other. It
// panics if that is less than 1.
func NewBarrier(m *racelab.Memory, name string, parties int) *Barrier {
	if parties < 1 {
		panic("mem: a barrier for less than one session")
	}
	b := &Barrier{parties: parties}
	b.free.init()
	b.init(m, name)
	b.wait = "wait at " + b.name
	b.next()
	return b
}

// next begins a round.
func (b *Barrier) next() {
	b.arrived, b.rounds = 0, b.rounds+1
	b.current = &round{name: b.numbered(b.rounds)}
}

// Wait waits until all have come, and says how many had come before: 0 is the
// first of a round.
//
// Under control it is two steps: the session comes, and goes on when all have
// come. For the last one that is the same step.
func (b *Barrier) Wait() (before int) {
	if b.gate == nil {
		return b.waitFreely()
	}
	touches := append(b.touch(takes), racelab.Touch{Object: b.current.name, Mode: releases})
	line := caller(b.gate)
	b.passAt(line, racelab.Signal, b.wait, nil, touches)
	mine := b.current
	touches[1].Object = mine.name
	before, last := b.arrive()
	if last {
		touches[1].Mode = updates
		b.gate.Done(saw(before))
		return before
	}
	b.gate.Done(saw(before))
	b.passAt(line, racelab.Acquire, b.wait+goOn, mine, []racelab.Touch{{Object: mine.name, Mode: reads}})
	b.gate.Done(ok)
	return before
}

// arrive counts a session, and lets all go on if it is the last.
func (b *Barrier) arrive() (before int, last bool) {
	before = b.arrived
	b.arrived++
	if last = b.arrived == b.parties; last {
		b.current.over = true
		b.next()
	}
	return before, last
}

func (b *Barrier) waitFreely() (before int) {
	var mine *round
	b.free.now(func() {
		mine = b.current
		before, _ = b.arrive()
	})
	b.free.when(func() bool { return mine.over }, func() {})
	return before
}
