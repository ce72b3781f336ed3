package control

import (
	"context"
	"fmt"
	"time"

	"github.com/racelab/racelab"
)

// Only one at a time decides what happens next: whoever has the baton. It is
// the director's goroutine, until an operation goes in that can neither wait
// nor free anybody. Then the baton goes along: the session that comes to the
// gate after it decides itself, and either goes on or hands over to the next
// one. So most steps cost no change of goroutine, and the others one. It comes
// back when there is something to wait for, or an end.

// A decision is what is next.
type decision struct {
	seat   *seat // nil: nobody; time passes, or all is done
	choice racelab.Choice
	ready  []racelab.Choice // what there was to choose from
	err    error
}

// next decides, once for each position of the schedule.
func (d *Director) next() decision {
	if d.isAhead {
		d.isAhead = false
		return d.ahead
	}
	switch {
	case d.stray.Load() || d.engine.stray.Load():
		return decision{err: fmt.Errorf("%w: a goroutine that is no session used shared memory (start it with mem.Go)", ErrStalled)}
	case d.exited.Load() != nil:
		return decision{err: exited(d.exited.Load())}
	}
	ready := d.ready()
	if len(ready) > 0 && d.at >= d.engine.Steps {
		return decision{err: d.endless()}
	}
	for {
		s, c, err := d.choose(ready)
		if d.Loose && err != nil && d.at < len(d.schedule) {
			d.at++
			continue
		}
		return decision{s, c, ready, err}
	}
}

// exited is the error that a session has ended its goroutine.
func exited(s *seat) error {
	return fmt.Errorf("%w: session %s has ended its goroutine (runtime.Goexit, which FailNow and Fatal of package testing call, too)", ErrStalled, s.script.Session)
}

// A lent is an operation that the baton went along with.
type lent struct {
	seat *seat
	conn racelab.ConnID
	name string
}

// passes reports whether an operation can neither wait nor free anybody.
func (d *Director) passes(s *seat, op racelab.Op) bool {
	for _, other := range d.seats {
		if other.state == waiting {
			return false
		}
	}
	return op.Fault == racelab.NoFault && op.Victim == "" && (op.Conn == "" || !d.mayWait(s))
}

// admit notes that a session's operation goes in, with the baton or without.
func (d *Director) admit(n decision, op racelab.Op, baton bool) {
	s := n.seat
	s.at = d.log(racelab.Event{Kind: racelab.Entered, Op: op, Ready: n.ready})
	d.at++
	d.last, d.current = s, s
	s.op, s.state, s.freed = op, inEngine, false
	if baton {
		d.running.Store(&lent{s, op.Conn, op.Text})
	}
	s.pass.Store(baton)
}

// goOn decides for the director. It returns who goes on, nil if that is for
// the director to see to.
func (d *Director) goOn() *seat {
	if d.isOver() {
		return nil
	}
	n := d.next()
	if n.err == nil && n.seat != nil {
		if op := d.ordered(n.seat, n.choice); d.passes(n.seat, op) {
			d.admit(n, op, true)
			return n.seat
		}
	}
	d.ahead, d.isAhead = n, true
	return nil
}

// hand lets the operation of a session in.
func (d *Director) hand(s *seat) {
	select {
	case s.enter <- s.op:
	case <-d.over:
	}
}

// follow waits until the baton is back. It returns whose operation is still to
// be settled: nil if there is none.
func (d *Director) follow(ctx context.Context) (*seat, error) {
	run, quiet, before, began := d.running.Load(), 0, "", time.Now()
	for {
		select {
		case g := <-d.signals:
			d.hear(g)
			if g.seat.state == held {
				return g.seat, nil
			}
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-d.engine.beat.C:
		}
		if now := d.running.Load(); now != run {
			run, quiet, before, began = now, 0, "", time.Now()
			continue
		}
		if err := d.overdue(run.seat, began, "has been at its step "+run.name); err != nil {
			return nil, err
		}
		quiet++
		switch {
		case quiet < askLater:
		case run.seat.pass.Load():
			if run.conn == "" {
				continue
			}
			blocked, err := d.engine.World.Blocked(ctx, []racelab.ConnID{run.conn})
			if err != nil {
				return nil, fmt.Errorf("ask whether session %s waits: %w", run.seat.script.Session, err)
			}
			if len(blocked) > 0 && run.seat.pass.CompareAndSwap(true, false) {
				d.waits(run.seat)
				return run.seat, nil
			}
		case quiet%stallBeats == 0:
			where := run.seat.player.code.waitsOutside()
			if where != "" && where == before {
				return nil, fmt.Errorf("%w: session %s %s", ErrStalled, run.seat.script.Session, where)
			}
			before = where
		}
	}
}
