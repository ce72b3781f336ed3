package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/racelab/racelab"
)

// runBeside runs the sessions beside the director, each on a goroutine.
func (d *Director) runBeside(ctx context.Context) error {
	d.signals = make(chan signal, 4*len(d.seats))
	ctx, cancel := context.WithCancel(ctx)
	cause := d.direct(ctx)
	cancel()
	d.ended.Store(true)
	close(d.over)
	d.end()
	if err := d.dismiss(); err != nil {
		// Not to be tried again: what is left of it may hold locks.
		if cause != nil {
			err = fmt.Errorf("%w, after: %v", err, cause)
		}
		return err
	}
	return cause
}

func (d *Director) direct(ctx context.Context) error {
	for _, s := range d.seats {
		d.begin(ctx, s)
		if err := d.await(ctx, s); err != nil {
			return err
		}
	}
	for {
		if err := d.canceled(ctx); err != nil {
			return err
		}
		n := d.next()
		switch {
		case n.err != nil:
			return n.err
		case n.choice.Tick:
			d.tick(n)
			continue
		case n.seat == nil:
			return nil
		}
		if err := d.take(ctx, n, d.ordered(n.seat, n.choice)); err != nil {
			return err
		}
	}
}

// begin starts a session on a goroutine of its own.
func (d *Director) begin(ctx context.Context, s *seat) {
	s.enter, s.leave = make(chan racelab.Op), make(chan struct{})
	s.began, s.holds = map[racelab.ConnID]bool{}, map[racelab.ConnID][]Held{}
	s.ctx, d.current = ctx, s
	s.player = d.engine.player()
	d.players.Add(1)
	s.player.jobs <- func() {
		defer d.players.Done()
		played := false
		defer func() {
			if !played {
				s.player.gone = true
				d.exited.Store(s)
			}
			d.leaveStage(s)
		}()
		d.play(ctx, s)
		played = true
	}
}

// leaveStage ends a session that has played its script.
func (d *Director) leaveStage(s *seat) {
	s.gate.Lock()
	baton := s.baton
	s.baton = false
	s.gate.Unlock()
	if baton && !d.isOver() {
		d.note(s)
		s.state = done
		if next := d.goOn(); next != nil {
			d.hand(next)
			return
		}
	}
	d.tell(signal{seat: s, end: true})
}

// await lets a session run its own code until it comes to the gate or ends.
func (d *Director) await(ctx context.Context, s *seat) error {
	before, began := "", time.Now()
	for beats := 1; s.state == ownCode; beats++ {
		heard, err := d.listen(ctx)
		if err != nil {
			return err
		}
		if heard || beats%stallBeats != 0 {
			continue
		}
		if err := d.overdue(s, began, "has run its own code"); err != nil {
			return err
		}
		where := s.player.code.waitsOutside()
		if where != "" && where == before {
			return fmt.Errorf("%w: session %s %s", ErrStalled, s.script.Session, where)
		}
		before = where // a lock that is only being passed on is not there twice
	}
	return nil
}

// overdue is the error that a session has taken longer than the step limit, if
// it has.
func (d *Director) overdue(s *seat, began time.Time, doing string) error {
	if limit := d.engine.StepLimit; time.Since(began) > limit {
		return fmt.Errorf("%w: session %s %s for %v, and waits for nobody", ErrStalled, s.script.Session, doing, limit)
	}
	return nil
}

// stallBeats is after how many beats the runtime is asked what a session is
// doing that does not come to the gate. What it says decides, not the time.
const stallBeats = 15

// listen takes in the next thing told, or reports false when a beat passes
// without any.
func (d *Director) listen(ctx context.Context) (heard bool, err error) {
	select {
	case g := <-d.signals:
		d.hear(g)
		return true, nil
	case <-d.engine.beat.C:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// drain takes in what has been told already.
func (d *Director) drain() {
	for {
		select {
		case g := <-d.signals:
			d.hear(g)
		default:
			return
		}
	}
}

// dismiss waits for the sessions of a run that is over. One that waits for
// something outside the gate cannot be ended: it is left behind, and said.
func (d *Director) dismiss() error {
	gone := make(chan struct{})
	go func() {
		d.players.Wait()
		close(gone)
	}()
	patience := time.NewTimer(dismissal)
	defer patience.Stop()
	select {
	case <-gone:
		for _, s := range d.seats {
			if s.player != nil && !s.player.gone {
				d.engine.idle = append(d.engine.idle, s.player)
			}
		}
		return nil
	case <-patience.C:
		for _, s := range d.seats {
			if s.player != nil {
				close(s.player.jobs) // it ends when its session does
			}
		}
		return errors.New("a session does not end")
	}
}

// dismissal is how long sessions have to end when their run is over and their
// contexts have ended.
const dismissal = 5 * time.Second
