package control

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/racelab/racelab"
)

// Pass implements racelab.MemoryGate.
func (d *Director) Pass(op racelab.Op) (id racelab.SessionID, nth int) {
	s := d.caller()
	if s == nil {
		if op.Latch != nil && !op.Latch.Open("") {
			panic(op.Text + " has to wait, and no session has begun that could end that")
		}
		return "", 0
	}
	if s.misused != "" {
		panic(misuse(s.misused))
	}
	op.Session = s.script.Session
	if s.player.jobs == nil {
		d.passInTurn(s, op)
		return s.script.Session, s.op.Case
	} else if op, err := d.Enter(context.Background(), op); err != nil {
		panic(err) // the run is over, and there is no other way out of a Lock
	} else {
		s.passed = op
	}
	return s.script.Session, s.passed.Case
}

// Line implements racelab.MemoryGate.
func (d *Director) Line() *string {
	if !d.isOver() { // then sessions end beside each other
		if s := d.current; s != nil && s.trail.at != nil {
			return &s.trail.at.line
		}
	}
	return new(string)
}

// caller is the session whose own code runs; nil is whoever makes what they
// share, before the run: what that does is no step.
func (d *Director) caller() *seat {
	if d.isOver() {
		d.tooLate()
	}
	s := d.current
	if len(d.seats) == 0 {
		return nil
	}
	if s == nil || s.player == nil || d.looks && s.player.code != thisRoutine() {
		// Only looked at in serial runs, the first one and those that ask for it, because it takes so long.
		d.stray.Store(true)
		runtime.Goexit()
	}
	return s
}

// tooLate ends who comes to the gate when the run is over: a session by a panic,
// for which somebody waits, and a goroutine that is none by itself, because a
// panic would end the program.
func (d *Director) tooLate() {
	code := thisRoutine()
	if !slices.ContainsFunc(d.seats, func(s *seat) bool { return s.player != nil && s.player.code == code }) {
		d.engine.stray.Store(true)
		runtime.Goexit()
	}
	panic(errOver)
}

// Done implements racelab.MemoryGate.
func (d *Director) Done(r racelab.Result) { d.done(r, "") }

func (d *Director) done(r racelab.Result, why string) {
	s := d.current
	if s == nil {
		return
	}
	if s.player.jobs == nil {
		d.log(racelab.Event{Kind: racelab.Left, Op: s.op, Result: r, What: why})
		s.state = ownCode
		s.trail.saw(s.op.Text, r.Value)
		return
	}
	s.why = why
	if err := d.Leave(context.Background(), s.passed, r); err != nil {
		panic(err)
	}
}

// Misused implements racelab.MemoryGate.
func (d *Director) Misused(message string) {
	if d.current == nil {
		panic(misuse(message))
	}
	d.current.misused = message
	d.done(racelab.Result{Class: racelab.Misuse}, message)
	panic(misuse(message))
}

func misuse(message string) error { return errors.New("misuse: " + message) }

// Go implements racelab.MemoryGate.
func (d *Director) Go(op racelab.Op, body func()) {
	d.Pass(op)
	s := d.current
	if s == nil {
		panic("a session is started, and none has begun that could start it")
	}
	child := d.bear(s, body)
	if s.player.jobs == nil {
		d.born = child
		s.player.suspend()
	} else {
		started := make(chan struct{})
		child.started = started
		d.begin(s.ctx, child)
		select {
		case <-started:
		case <-d.over:
		}
		d.current = s
	}
	here := s.trail
	d.Done(racelab.Result{Class: racelab.OK, Value: string(child.script.Session)})
	s.trail = here
	s.trail.saw(op.Text, nil) // and not that name
}

// bear makes the seat of a session that another starts: its first is Aa, and
// that one's first Aaa, so that a name does not depend on the order in which
// different sessions start others.
func (d *Director) bear(parent *seat, body func()) *seat {
	id := parent.script.Session + racelab.SessionID(strings.ToLower(string(racelab.Letter(parent.children))))
	parent.children++
	child := &seat{script: Script{Session: id, Calls: []Call{{ID: id.Call(1), Run: Plain(body)}}}, parent: parent, root: parent.rootCall(), trail: parent.trail}
	at := slices.Index(d.seats, parent) + 1
	for at < len(d.seats) && d.seats[at].descends(parent) {
		at++
	}
	d.seats = slices.Insert(d.seats, at, child)
	return child
}

// Now implements racelab.MemoryGate.
func (d *Director) Now() time.Duration {
	if s := d.current; s != nil {
		s.trail.saw("now", int64(d.now))
	}
	return d.now
}
