package control

import (
	"context"
	"iter"

	"github.com/racelab/racelab"
)

// A player plays sessions, one after another: a new goroutine for each would
// have to grow its stack each time. It plays on a goroutine that runs beside
// the director's, because an operation may wait in the engine; where shared
// memory is all there is, nothing does, and it plays as a coroutine of the
// director, which costs a fifth.
type player struct {
	code routine
	jobs chan func() // of a goroutine
	gone bool        // what it played has ended its goroutine

	// Of a coroutine:
	director *Director
	seat     *seat  // that it plays
	resume   func() // goes on with it until it suspends itself
	yield    func(struct{}) bool
	stop     func()
}

// player returns an idle player.
func (e *Engine) player() *player {
	if n := len(e.idle); n > 0 {
		p := e.idle[n-1]
		e.idle = e.idle[:n-1]
		return p
	}
	if e.inTurn() {
		return newCoroutine()
	}
	p := &player{jobs: make(chan func())}
	known := make(chan struct{})
	go func() {
		p.code = thisRoutine()
		close(known)
		for job := range p.jobs {
			job()
		}
	}()
	<-known
	return p
}

func newCoroutine() *player {
	p := &player{}
	next, stop := iter.Pull(func(yield func(struct{}) bool) {
		p.code, p.yield = thisRoutine(), yield
		for yield(struct{}{}) {
			p.director.play(p.seat.ctx, p.seat)
			p.seat.state = done
		}
	})
	next()
	p.resume, p.stop = func() { next() }, stop
	return p
}

// suspend is called by a coroutine: it gives the director back its turn.
func (p *player) suspend() { p.yield(struct{}{}) }

func (p *player) close() {
	if p.jobs != nil {
		close(p.jobs) // it ends when its session does
	} else {
		p.stop()
	}
}

// play plays a session's script.
func (d *Director) play(ctx context.Context, s *seat) {
	for _, c := range s.script.Calls {
		if d.isOver() { // what a call finds may be another run's by now
			return
		}
		s.call = c.ID
		s.trail.begins(c.ID)
		op := racelab.Op{Session: s.script.Session, Call: c.ID}
		d.log(racelab.Event{Kind: racelab.Called, Op: op})
		r, why := c.Run(ctx)
		if s.misused != "" { // also if its own code has recovered
			r, why = racelab.Result{Class: racelab.Misuse}, misuse(s.misused).Error()
		}
		d.log(racelab.Event{Kind: racelab.Returned, Op: op, Result: r, What: why})
	}
}
