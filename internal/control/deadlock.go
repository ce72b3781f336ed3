package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/racelab/racelab"
)

// deadlocked waits until the engine has ended a deadlock, which it does by
// failing somebody's operation, and settles the others.
func (d *Director) deadlocked(ctx context.Context, s *seat, cycle []*seat) error {
	if s.op.Victim != "" && !slices.ContainsFunc(cycle, func(c *seat) bool { return c.script.Session == s.op.Victim }) {
		return fmt.Errorf("%w: %s is not in the deadlock that %s closes", ErrDiverged, s.op.Victim, s.op.Name())
	}
	if err := d.engine.World.Thaw(d.conns(waiting)...); err != nil {
		return err
	}
	began := time.Now()
	late := began.Add(2*untilClosed*d.engine.patient + lateAfter)
	for ended := len(cycle) == 0; !ended; {
		if _, err := d.listen(ctx); err != nil {
			return err
		}
		for _, c := range cycle {
			ended = ended || c.state != waiting
		}
		if err := d.overdue(s, began, "has been in a deadlock at "+s.op.Name()); err != nil {
			return err
		}
		if !ended && time.Now().After(late) {
			switch {
			case s.op.Victim != "":
				return ErrLate
			case !d.engine.World.Victims():
				return errNobodyEnds
			}
		}
	}
	return d.settleWaiting(ctx)
}

// victimised checks that whoever was to lose a deadlock has lost it.
func (d *Director) victimised(s *seat) error {
	if s.op.Victim == "" {
		return nil
	}
	for _, v := range d.seats {
		if v.script.Session == s.op.Victim && v.state == held && v.result.Class == racelab.Deadlock {
			return nil
		}
	}
	return fmt.Errorf("%w: %s closes no deadlock whose victim is %s", ErrDiverged, s.op.Name(), s.op.Victim)
}

// waited reports whether the history has that the operation of s waited.
func (d *Director) waited(s *seat) bool {
	return slices.ContainsFunc(d.Events[s.at:], func(e racelab.Event) bool {
		return e.Kind == racelab.Waiting && e.Op.Session == s.script.Session
	})
}

// errNobodyEnds says that an engine that ends deadlocks at once has ended none.
var errNobodyEnds = errors.New("nobody is ended")

// lateAfter is twenty times what an engine takes to end a deadlock.
const lateAfter = 100 * time.Millisecond

// offer adds the other victims to the choices there were.
func (d *Director) offer(s *seat, cycle []*seat) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := &d.Events[s.at]
	for _, c := range cycle {
		if c != s {
			e.Ready = append(e.Ready, racelab.Choice{Session: s.script.Session, Step: s.op.Step, Victim: c.script.Session})
		}
	}
}

// cycle lists the sessions on a way from s, each waiting for the next, back to
// s, which is the first; none if there is no such way.
func (d *Director) cycle(s *seat, waits []racelab.Wait) []*seat {
	on := map[racelab.SessionID][]racelab.SessionID{}
	for _, w := range waits {
		for _, who := range d.sessions([]racelab.ConnID{w.Conn}) {
			on[who] = append(on[who], d.sessions(w.On)...)
		}
	}
	seen := map[racelab.SessionID]bool{}
	var back func(from racelab.SessionID) []*seat
	back = func(from racelab.SessionID) []*seat {
		for _, next := range on[from] {
			if next == s.script.Session {
				return []*seat{d.seat(from)}
			}
			if !seen[next] {
				seen[next] = true
				if rest := back(next); rest != nil {
					return append([]*seat{d.seat(from)}, rest...)
				}
			}
		}
		return nil
	}
	return back(s.script.Session)
}
