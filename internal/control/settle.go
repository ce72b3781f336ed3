package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/racelab/racelab"
)

// ErrServerLost says that the engine went away in the middle of a run.
var ErrServerLost = errors.New("the server was lost")

// take lets a session's operation in, waits until the engine has settled, and
// hands over what is done.
func (d *Director) take(ctx context.Context, s *seat, c racelab.Choice) error {
	d.events = append(d.events, racelab.Event{Kind: racelab.Entered, Op: s.op, Ready: d.ready()})
	s.state = inEngine
	// Only where somebody waits already can it close a deadlock.
	s.enter <- len(d.conns(waiting)) > 0
	if err := d.settle(ctx, s); err != nil {
		return err
	}
	// The order in which results are seen is ours, so that it is always the
	// same: first the one that made the step, then those it freed.
	finished := []*seat{}
	if s.state == held {
		finished = append(finished, s)
	}
	for _, other := range d.seats {
		if other != s && other.state == held {
			finished = append(finished, other)
		}
	}
	for _, f := range finished {
		d.events = append(d.events, racelab.Event{Kind: racelab.Left, Op: f.op, Result: f.result})
		if f.result.Class == racelab.ConnectionLost {
			return fmt.Errorf("%w at %s (%s)", ErrServerLost, f.op.Name(), f.op.Text)
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

// settle waits until the operation of s is done or waits, and until everybody
// whom that has freed has moved as far as they get.
func (d *Director) settle(ctx context.Context, s *seat) error {
	if s.op.Conn == "" { // shared memory does not wait once it is let in
		for s.state == inEngine {
			if err := d.next(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	mayWait := d.mayWait(s)
	if err := d.watch(ctx, s, mayWait); err != nil {
		return err
	}
	if s.state == held {
		// Where it might have waited, it may also have closed a deadlock that
		// the engine has ended by failing somebody else.
		if freed := d.note(s); freed || mayWait {
			return d.settleWaiting(ctx)
		}
		return nil
	}
	waits, err := d.engine.World.Waits(ctx, d.conns(waiting))
	if err != nil {
		return fmt.Errorf("ask who waits for whom: %w", err)
	}
	at := slices.IndexFunc(waits, func(w racelab.Wait) bool { return w.Conn == s.op.Conn })
	if d.drain(); s.state == held || at < 0 || len(waits[at].On) == 0 && waits[at].Outside == "" {
		// It was asking for its lock just then, and need not wait for it.
		if s.state == waiting {
			s.state = inEngine
		}
		return d.settle(ctx, s)
	}
	w := waits[at]
	d.events = append(d.events, racelab.Event{Kind: racelab.Waiting, Op: s.op, On: d.sessions(w.On), What: w.What, Outside: w.Outside})
	if w.Outside != "" {
		return fmt.Errorf("%w: %s waits: %s", ErrStalled, s.op.Name(), w.Outside)
	}
	if !d.closesCycle(s, waits) {
		return nil
	}
	// The engine ends a deadlock by failing somebody's operation.
	if err := d.next(ctx); err != nil {
		return err
	}
	return d.settleWaiting(ctx)
}

// watch waits until an operation in the engine is done, or waits for another
// session. If it can wait, the engine is asked at once and again; if it cannot,
// only when it takes its time.
func (d *Director) watch(ctx context.Context, s *seat, mayWait bool) error {
	pause := askLater
	if mayWait {
		pause = 0
	}
	for asked := 0; s.state == inEngine; asked++ {
		if pause > 0 {
			if err := d.listen(ctx, pause); err != nil || s.state != inEngine {
				return err
			}
		}
		blocked, err := d.engine.World.Blocked(ctx, []racelab.ConnID{s.op.Conn})
		if err != nil {
			return fmt.Errorf("ask whether %s waits: %w", s.op.Name(), err)
		}
		d.drain()
		if s.state == inEngine && len(blocked) > 0 {
			s.state = waiting
		}
		if asked > askHard {
			pause = min(askLater*time.Duration(asked-askHard), 50*time.Millisecond)
		}
	}
	return nil
}

const (
	askHard  = 30                   // times that the engine is asked in a row: about 1 ms
	askLater = 2 * time.Millisecond // then with pauses that grow
)

// settleWaiting asks after those who waited until nothing changes any more.
func (d *Director) settleWaiting(ctx context.Context) error {
	for {
		conns := d.conns(waiting)
		if len(conns) == 0 {
			return nil
		}
		blocked, err := d.engine.World.Blocked(ctx, conns)
		if err != nil {
			return fmt.Errorf("ask who still waits: %w", err)
		}
		moved := false
		for _, s := range d.seats {
			if s.state != waiting || slices.Contains(blocked, s.op.Conn) {
				continue
			}
			moved = true
			s.state = inEngine
		}
		d.drain()
		for _, s := range d.seats {
			switch s.state {
			case inEngine:
				if err := d.watch(ctx, s, true); err != nil {
					return err
				}
				fallthrough
			case held:
				if s.state == held {
					d.note(s)
				}
			}
		}
		if !moved {
			return nil
		}
	}
}

// note keeps what an operation that is done has done to locks, and reports
// whether it may have freed any.
func (d *Director) note(s *seat) (freed bool) {
	conn, l := s.op.Conn, d.locking(s.op)
	s.keeps = s.keeps || l&racelab.MayKeep != 0
	switch s.op.Kind {
	case racelab.Begin:
		s.began[conn] = s.result.Class == racelab.OK
	case racelab.Commit, racelab.Rollback:
		s.began[conn], s.holds[conn] = false, false
		return true
	}
	if !s.began[conn] {
		return true // a transaction of its own has ended
	}
	s.holds[conn] = s.holds[conn] || l&racelab.MayHold != 0
	return s.result.Class != racelab.OK || l&racelab.MayFree != 0
}

// mayWait reports whether an operation may have to wait for what others hold.
func (d *Director) mayWait(s *seat) bool {
	if d.locking(s.op)&racelab.MayWait == 0 {
		return false
	}
	for _, other := range d.seats {
		if other.keeps {
			return true
		}
		for conn, holds := range other.holds {
			if holds && conn != s.op.Conn {
				return true
			}
		}
		if other != s && other.state == waiting {
			return true
		}
	}
	return false
}

func (d *Director) locking(op racelab.Op) racelab.Locking {
	l, ok := d.engine.locking[op.Text]
	if !ok {
		l = d.engine.Dialect.Locking(op.Text, d.engine.Level)
		if d.engine.locking == nil {
			d.engine.locking = map[string]racelab.Locking{}
		}
		d.engine.locking[op.Text] = l
	}
	return l
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

// closesCycle reports whether s waits, through others, for itself.
func (d *Director) closesCycle(s *seat, waits []racelab.Wait) bool {
	on := map[racelab.SessionID][]racelab.SessionID{}
	for _, w := range waits {
		for _, who := range d.sessions([]racelab.ConnID{w.Conn}) {
			on[who] = append(on[who], d.sessions(w.On)...)
		}
	}
	seen := map[racelab.SessionID]bool{}
	var reaches func(from racelab.SessionID) bool
	reaches = func(from racelab.SessionID) bool {
		for _, next := range on[from] {
			if next == s.script.Session || !seen[next] && func() bool { seen[next] = true; return reaches(next) }() {
				return true
			}
		}
		return false
	}
	return reaches(s.script.Session)
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

// listen takes in the next thing told, for at most that long.
func (d *Director) listen(ctx context.Context, most time.Duration) error {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case g := <-d.signals:
		d.hear(g)
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// next takes in the next thing told, whenever it comes.
func (d *Director) next(ctx context.Context) error {
	select {
	case g := <-d.signals:
		d.hear(g)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
