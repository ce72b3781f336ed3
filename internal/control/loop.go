package control

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/racelab/racelab"
)

// A loop is a goroutine in which sessions that have nothing but shared memory
// take turns, as coroutines. It is not the caller's own, so that it can be left
// behind with a session that does not come back.
type loop struct {
	jobs  chan func() error
	ended chan ending
	stop  chan struct{}
	both  sync.WaitGroup // the loop and its watcher

	run  *Director        // that is on
	ctx  *context.Context // its own, which tells it from others
	last *Director        // whose run is over, and whose memory can be used again

	active atomic.Pointer[context.Context] // of the run that is on, while its end has not been told
	player atomic.Pointer[player]          // whose code runs
	turns  atomic.Int64
}

// An ending is how a job has ended.
type ending struct {
	err  error
	left bool // by its watcher: the loop and the director are of no more use
}

// Together calls do, which may direct one run after another. If their sessions
// have nothing but shared memory, it is called in another goroutine, to which
// each run would have to be handed over otherwise. That one is left behind if a
// session does not come back; then nothing of do goes on.
func (e *Engine) Together(do func() error) error {
	if !e.inTurn() || e.together {
		return do()
	}
	if e.loop == nil {
		l := &loop{jobs: make(chan func() error), ended: make(chan ending), stop: make(chan struct{})}
		limit := e.StepLimit
		l.both.Go(l.work)
		l.both.Go(func() { l.watch(limit) })
		e.loop = l
	}
	l := e.loop
	e.together = true
	l.jobs <- do
	end := <-l.ended
	e.together = false
	if end.left { // also if it has come to its end meanwhile
		d := l.run
		d.mu.Lock()
		d.ended.Store(true)
		d.mu.Unlock()
		e.loop = nil
		e.Forget()
		l.close()
	}
	return end.err
}

// close ends the loop when its job is over, if it ever is.
func (l *loop) close() {
	close(l.jobs)
	close(l.stop)
}

// work does one job after another.
func (l *loop) work() {
	exits := true
	defer func() {
		if exits {
			l.exit()
		}
	}()
	for do := range l.jobs {
		l.ended <- ending{err: do()}
	}
	exits = false
}

// takeTurns runs the sessions of a director as coroutines.
func (e *Engine) takeTurns(ctx context.Context, d *Director) error {
	switch err := ctx.Err(); {
	case err != nil:
		return err
	case !e.together:
		return e.Together(func() error { return e.takeTurns(ctx, d) })
	}
	l := e.loop
	d.loop, l.run, l.ctx, l.last = l, d, &ctx, nil
	l.active.Store(&ctx)
	err := d.takeTurns(ctx)
	d.dismissInTurn()
	if !l.active.CompareAndSwap(&ctx, nil) {
		runtime.Goexit() // nobody waits for this run any more
	}
	for _, s := range d.seats {
		if s.player != nil {
			e.idle = append(e.idle, s.player)
		}
	}
	l.last = d
	return err
}

// exit ends a run whose session has ended its goroutine, and so this one, too:
// that is what a coroutine passes on. Or the run was left, and its loop ends.
func (l *loop) exit() {
	d, s := l.run, l.player.Load().seat
	s.state = done
	if l.active.CompareAndSwap(l.ctx, nil) {
		defer func() { l.ended <- ending{exited(s), true} }()
	}
	d.dismissInTurn()
	for _, s := range d.seats {
		if s.player != nil {
			s.player.close()
		}
	}
}

// watch looks whether sessions come back to the gate.
func (l *loop) watch(limit time.Duration) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	before, quiet, where, began := int64(-1), 0, "", time.Now()
	for {
		select {
		case <-tick.C:
		case <-l.stop:
			return
		}
		ctx, p, now := l.active.Load(), l.player.Load(), l.turns.Load()
		if now != before || p == nil || ctx == nil {
			before, quiet, where, began = now, 0, "", time.Now()
			continue
		}
		quiet++
		err, stalled := (*ctx).Err(), ""
		if err == nil && quiet%stallBeats == 0 {
			at := p.code.waitsOutside()
			switch {
			case at != "" && at == where:
				stalled = at
			case time.Since(began) > limit:
				stalled = fmt.Sprintf("has run its own code for %v, and waits for nobody", limit)
			}
			where = at // what is only being passed on is not there twice
		}
		if (err == nil && stalled == "") || !l.active.CompareAndSwap(ctx, nil) {
			continue // or it has just ended
		}
		if err == nil { // the run is ours now, and with it its seats
			err = fmt.Errorf("%w: session %s %s", ErrStalled, p.seat.script.Session, stalled)
		}
		l.ended <- ending{err, true}
		return
	}
}

// takeTurns lets each session run to its first operation, and then one
// operation after another in.
func (d *Director) takeTurns(ctx context.Context) error {
	for i := 0; i < len(d.seats); i++ { // there may be more of them while they start
		if d.seats[i].player == nil {
			if !d.looks {
				d.seats[i].trail = d.engine.trail
			}
			d.enterStage(ctx, d.seats[i])
		}
	}
	for !d.isOver() {
		if d.at%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
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
		op := n.seat.op
		op.Case = n.choice.Case
		d.admit(n, op, false)
		d.resume(n.seat)
	}
	return nil
}

// checkEvery is after how many steps of a long run its context is looked at.
const checkEvery = 64

// enterStage starts a session as a coroutine.
func (d *Director) enterStage(ctx context.Context, s *seat) {
	s.ctx, s.player = ctx, d.engine.player()
	s.player.director, s.player.seat = d, s
	d.resume(s)
}

// resume lets a session run its own code until it comes to the gate or ends.
func (d *Director) resume(s *seat) {
	for {
		d.current = s
		d.loop.player.Store(s.player)
		d.loop.turns.Add(1)
		s.player.resume()
		child := d.born
		if child == nil {
			return
		}
		d.born = nil
		d.enterStage(s.ctx, child)
	}
}

// passInTurn returns when the operation of a coroutine is let in. The session
// decides itself who that is next, and so goes on at once if it is the one.
func (d *Director) passInTurn(s *seat, op racelab.Op) {
	s.step++
	op.Step, op.Call = s.step, s.call
	s.op, s.state, s.parkedAt = op, parked, d.at
	if s.step > 1 { // at its first, others may not have started yet
		n := d.next()
		if n.err == nil && n.seat == s {
			d.loop.turns.Add(1)
			op.Case = n.choice.Case
			d.admit(n, op, false)
			return
		}
		d.ahead, d.isAhead = n, true
	}
	s.player.suspend()
	if d.isOver() {
		panic(errOver)
	}
}

// dismissInTurn ends the sessions that have not ended: there is no other way
// out of a Lock than a panic.
func (d *Director) dismissInTurn() {
	d.ended.Store(true)
	for _, s := range d.seats {
		if s.player != nil && s.state != done {
			d.resume(s)
		}
	}
}
