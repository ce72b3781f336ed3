package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/racelab/racelab"
)

// take lets a session's operation in, waits until the engine has settled, and
// hands over what is done.
func (d *Director) take(ctx context.Context, n decision, op racelab.Op) (err error) {
	s := n.seat
	mayWait, baton := op.Conn != "" && d.mayWait(s), d.passes(s, op)
	thaw, err := d.freeze(ctx, d.conns(waiting))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, thaw()) }()
	d.admit(n, op, baton)
	s.enter <- op
	if baton {
		if s, err = d.follow(ctx); s == nil || err != nil {
			return err
		}
	}
	if err := d.settle(ctx, s, mayWait); err != nil {
		return err
	}
	if err := d.victimised(s); err != nil {
		return err
	}
	// The order in which results are seen is ours, so that it is always the
	// same: first the one that made the step, then those it freed.
	return d.handOver(ctx, s)
}

// canceled waits for those whose wait their own contexts have ended, and hands
// over what came of it: else they would race with the next step.
func (d *Director) canceled(ctx context.Context) error {
	ended, began := false, time.Now()
	for _, s := range d.seats {
		for s.state == waiting && s.ctx.Err() != nil {
			ended = true
			if _, err := d.listen(ctx); err != nil {
				return err
			}
			if err := d.overdue(s, began, "has had its context ended at "+s.op.Name()); err != nil {
				return err
			}
		}
	}
	if ended { // it may have stood before others
		if err := d.settleWaiting(ctx); err != nil {
			return err
		}
	}
	return d.handOver(ctx, nil)
}

// handOver lets the results be seen that are there, that of first before the
// others.
func (d *Director) handOver(ctx context.Context, first *seat) error {
	finished := []*seat{}
	if first != nil && first.state == held {
		finished = append(finished, first)
	}
	for _, other := range d.seats {
		if other != first && other.state == held {
			finished = append(finished, other)
		}
	}
	for _, f := range finished {
		d.log(racelab.Event{Kind: racelab.Left, Op: f.op, Result: f.result, What: f.why})
		if f.result.Class == racelab.ConnectionLost && f.op.Fault == racelab.NoFault {
			return d.lost(ctx, f)
		}
	}
	for _, f := range finished {
		f.state, d.current = ownCode, f
		f.leave <- struct{}{}
		if err := d.await(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// lost says what has gone with a session's connection: whether the server has,
// too, is asked on another one.
func (d *Director) lost(ctx context.Context, s *seat) error {
	if _, err := d.engine.World.Waits(ctx, []racelab.ConnID{s.op.Conn}); err != nil {
		return fmt.Errorf("%w at %s (%s)", ErrServerLost, s.op.Name(), s.op.Text)
	}
	return fmt.Errorf("%w of session %s at %s (%s), and the server is still there", ErrConnectionEnded, s.script.Session, s.op.Name(), s.op.Text)
}

// freeze keeps those who wait from going on by themselves when several could at
// once, and says how to let them: the engine might have them race.
func (d *Director) freeze(ctx context.Context, conns []racelab.ConnID) (thaw func() error, err error) {
	if len(conns) < 2 {
		return func() error { return nil }, nil
	}
	if err := d.engine.World.Freeze(ctx, conns); err != nil {
		return nil, fmt.Errorf("hold those who wait: %w", err)
	}
	return func() error { return d.engine.World.Thaw(conns...) }, nil
}

// settle waits until the operation of s is done or waits, and until everybody
// whom that has freed has moved as far as they get.
func (d *Director) settle(ctx context.Context, s *seat, mayWait bool) error {
	if err := d.watch(ctx, s, mayWait); err != nil {
		return err
	}
	if s.state == held {
		if s.result.Class == racelab.Deadlock && s.op.Loses > 0 && d.engine.World.Victims() && !d.waited(s) {
			return ErrLate // too fast to see who was in it
		}
		// Where it might have waited, it may also have closed a deadlock that
		// the engine has ended by failing somebody else.
		if s.freed || mayWait {
			return d.settleWaiting(ctx)
		}
		return nil
	}
	asked := d.conns(waiting)
	waits, err := d.engine.World.Waits(ctx, asked)
	if err != nil {
		return fmt.Errorf("ask who waits for whom: %w", err)
	}
	of := slices.IndexFunc(waits, func(w racelab.Wait) bool { return w.Conn == s.op.Conn })
	if d.drain(); s.state == held || of < 0 || len(waits[of].On) == 0 && waits[of].Outside == "" {
		// It was asking for its lock just then, and need not wait for it.
		if s.state == waiting {
			s.state = inEngine
		}
		return d.settle(ctx, s, mayWait)
	}
	w := waits[of]
	itself := slices.Contains(d.sessions(w.On), s.script.Session)
	cycle := d.cycle(s, waits)
	if !d.engine.World.Victims() && !itself && (len(cycle) > 0 || len(waits) < len(asked)) {
		// The engine has ended a deadlock as it was closed. How much of it is
		// still to be seen is chance, and so no history.
		err := d.deadlocked(ctx, s, cycle)
		switch {
		case errors.Is(err, errNobodyEnds): // the engine sees none, and so they wait
			cycle = nil
		case err != nil || s.state != waiting:
			return err
		default:
			return d.settle(ctx, s, mayWait)
		}
	}
	d.log(racelab.Event{Kind: racelab.Waiting, Op: s.op, On: d.sessions(w.On), What: w.What, Outside: w.Outside})
	switch {
	case w.Outside != "":
		return fmt.Errorf("%w: %s waits: %s", ErrStalled, s.op.Name(), w.Outside)
	case itself:
		return fmt.Errorf("%w: session %s waits for itself at %s (%s): another connection of its own is in the way", ErrStalled, s.script.Session, s.op.Name(), s.op.Text)
	case len(cycle) == 0:
		return nil
	}
	if d.engine.World.Victims() {
		d.offer(s, cycle)
	}
	return d.deadlocked(ctx, s, cycle)
}

// watch waits until an operation in the engine is done, or waits for another
// session. If it can wait, the engine is asked at once and again; if it cannot,
// only when it takes its time.
func (d *Director) watch(ctx context.Context, s *seat, mayWait bool) error {
	pause := 0 // in beats
	if !mayWait {
		pause = askLater
	}
	began := time.Now()
	for s.state == inEngine {
		for quiet := 0; quiet < pause && s.state == inEngine; {
			heard, err := d.listen(ctx)
			if err != nil {
				return err
			}
			if !heard {
				quiet++
			}
		}
		if s.state != inEngine {
			return nil
		}
		if s.op.Conn == "" {
			continue // shared memory does not wait once it is let in
		}
		blocked, err := d.engine.World.Blocked(ctx, []racelab.ConnID{s.op.Conn})
		if err != nil {
			return fmt.Errorf("ask whether %s waits: %w", s.op.Name(), err)
		}
		d.drain()
		switch {
		case s.state != inEngine:
			return nil
		case len(blocked) > 0:
			d.waits(s)
			return nil
		}
		if err := d.overdue(s, began, fmt.Sprintf("has been at %s (%s)", s.op.Name(), s.op.Text)); err != nil {
			return err
		}
		if pause > 0 || time.Since(began) > askHard {
			pause = min(askLater+pause, askSeldom)
		} else {
			runtime.Gosched() // where the engine is in this process, so that it gets on
		}
	}
	return nil
}

const (
	askHard   = time.Millisecond // how long the engine is asked again at once
	askLater  = 2                // beats: then with pauses that grow
	askSeldom = 25
)

// waits notes that a session has begun to wait.
func (d *Director) waits(s *seat) {
	d.arrived++
	s.state, s.turn = waiting, d.arrived
}

// settleWaiting asks after those who waited, in the order in which they began
// to, until nothing changes any more.
func (d *Director) settleWaiting(ctx context.Context) error {
	for moved := true; moved; {
		moved = false
		for _, s := range d.inTurnOfArrival() {
			if s.state != waiting { // it ended while another was watched
				moved = true
				continue
			}
			if err := d.engine.World.Thaw(s.op.Conn); err != nil {
				return err
			}
			blocked, err := d.engine.World.Blocked(ctx, []racelab.ConnID{s.op.Conn})
			if err != nil {
				return fmt.Errorf("ask who still waits: %w", err)
			}
			if len(blocked) > 0 {
				continue
			}
			moved = true
			if d.drain(); s.state == waiting {
				s.state = inEngine
			}
			if err := d.watch(ctx, s, true); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Director) inTurnOfArrival() []*seat {
	var all []*seat
	for _, s := range d.seats {
		if s.state == waiting {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *seat) int { return cmp.Compare(a.turn, b.turn) })
	return all
}

// conns lists the connections of the sessions in a state.
func (d *Director) conns(in state) []racelab.ConnID {
	var conns []racelab.ConnID
	for _, s := range d.seats {
		if s.state == in {
			conns = append(conns, s.op.Conn)
		}
	}
	return conns
}

// sessions names the sessions of connections, in order.
func (d *Director) sessions(conns []racelab.ConnID) []racelab.SessionID {
	var ids []racelab.SessionID
	for _, s := range d.seats {
		for _, c := range conns {
			if _, own := s.began[c]; own || s.op.Conn == c {
				ids = append(ids, s.script.Session)
				break
			}
		}
	}
	return ids
}
