package control

import (
	"context"
	"errors"

	"github.com/racelab/racelab"
)

// Enter implements racelab.Gate.
func (d *Director) Enter(ctx context.Context, op racelab.Op) (racelab.Op, error) {
	s := d.seat(op.Session)
	s.gate.Lock()
	s.step++
	s.ctx = ctx
	op.Step, op.Call = s.step, s.call
	var next *seat
	if s.baton {
		s.baton = false
		if d.isOver() { // what it knows of the engine is another run's by now
			s.gate.Unlock()
			return op, errOver
		}
		d.note(s)
		s.op, s.state, s.parkedAt = op, parked, d.at
		next = d.goOn()
	}
	switch {
	case next == s:
		return s.op, nil
	case next != nil:
		d.hand(next)
	case !d.tell(signal{seat: s, event: racelab.Entered, op: op}):
		s.gate.Unlock()
		return op, errOver
	}
	select {
	case op = <-s.enter:
		return op, nil
	case <-d.over:
		s.gate.Unlock()
		return op, errOver
	}
}

// Leave implements racelab.Gate.
func (d *Director) Leave(_ context.Context, op racelab.Op, r racelab.Result) error {
	s := d.seat(op.Session)
	defer s.gate.Unlock()
	s.result = r
	if r.Class != racelab.ConnectionLost && s.pass.CompareAndSwap(true, false) {
		s.baton = true
		d.log(racelab.Event{Kind: racelab.Left, Op: op, Result: r, What: s.why})
		return nil
	}
	if !d.tell(signal{seat: s, event: racelab.Left}) {
		return errOver
	}
	select {
	case <-s.leave:
		return nil
	case <-d.over:
		return errOver
	}
}

// errOver ends the operations of a run that is over.
var errOver = errors.New("the run is over")

// A signal is what a session tells the director.
type signal struct {
	seat  *seat
	event racelab.EventKind // Entered asks to be let in; Left holds a result
	op    racelab.Op        // that asks
	end   bool              // the script has ended
}

// tell gives the director a signal, and reports whether the run still goes on.
func (d *Director) tell(g signal) bool {
	if first := g.seat.started; first != nil {
		// Who has started it waits for it, and may go on with the baton.
		g.seat.started = nil
		d.hear(g)
		close(first)
		return true
	}
	select {
	case d.signals <- g:
		return true
	case <-d.over:
		return false
	}
}

// hear takes in what a session tells.
func (d *Director) hear(g signal) {
	s := g.seat
	if g.event == racelab.Left {
		s.state = held
		d.note(s)
		return
	}
	if g.end {
		s.state = done
	} else {
		s.state, s.op, s.parkedAt = parked, g.op, d.at
	}
}
