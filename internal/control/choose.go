package control

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/racelab/racelab"
)

// choose returns who goes next and how: nil and no choice when all is done, nil
// and a tick when time passes.
func (d *Director) choose(ready []racelab.Choice) (*seat, racelab.Choice, error) {
	if d.at < len(d.schedule) {
		return d.scheduled(d.schedule[d.at], d.at)
	}
	if len(ready) == 0 {
		return nil, racelab.Choice{}, d.stuck()
	}
	var c racelab.Choice
	switch {
	case d.Serial != nil:
		c = d.inTurn(ready)
	case d.Then != nil:
		c = d.Then(ready)
	default:
		var last racelab.SessionID
		if d.last != nil {
			last = d.last.script.Session
		}
		c = racelab.Onward(last, ready)
	}
	if c.Tick {
		return nil, c, nil
	}
	return d.seat(c.Session), c, nil
}

// ready lists the choices there are, in the order of the sessions, and last
// that time passes.
func (d *Director) ready() []racelab.Choice {
	from := len(d.choices)
	ready := d.choices
	for _, s := range d.seats {
		if !d.isReady(s) {
			continue
		}
		c := racelab.Choice{Session: s.script.Session, Step: s.op.Step}
		ready = append(ready, c)
		if s.op.Cases != nil {
			for c.Case = 1; c.Case < s.op.Cases(); c.Case++ {
				ready = append(ready, c)
			}
			c.Case = 0
		}
		if d.Faults && s.op.Conn != "" {
			for _, c.Fault = range []racelab.Fault{racelab.DropBefore, racelab.DropAfter} {
				ready = append(ready, c)
			}
		}
	}
	if _, sleeps := d.wakesNext(); sleeps {
		ready = append(ready, racelab.Choice{Tick: true})
	}
	d.choices = ready
	return ready[from:len(ready):len(ready)]
}

// wakesNext returns the virtual time at which the next sleeper wakes, and
// whether there is one.
func (d *Director) wakesNext() (at time.Duration, sleeps bool) {
	for _, s := range d.seats {
		if s.state == parked && s.op.Wakes > d.now && (!sleeps || s.op.Wakes < at) {
			at, sleeps = s.op.Wakes, true
		}
	}
	return at, sleeps
}

// inTurn chooses the session whose call comes first in the serial order. While
// that sleeps, time passes: the next call does not begin before it has ended.
func (d *Director) inTurn(ready []racelab.Choice) racelab.Choice {
	for _, call := range d.Serial {
		for _, s := range d.seats {
			if s.state != parked || s.rootCall() != call {
				continue
			}
			for _, r := range ready {
				if r.Session == s.script.Session || r.Tick && s.op.Wakes > d.now {
					return r
				}
			}
		}
	}
	return ready[0]
}

func (d *Director) isReady(s *seat) bool {
	switch {
	case s.state != parked || s.op.Wakes > d.now:
		return false
	case s.op.Kind == racelab.Yield && s.parkedAt == d.at:
		return !slices.ContainsFunc(d.seats, func(other *seat) bool {
			return other != s && other.state == parked && other.op.Wakes <= d.now && (other.op.Kind != racelab.Yield || other.parkedAt < d.at) && other.isOpen()
		})
	}
	return s.isOpen()
}

func (d *Director) scheduled(c racelab.Choice, i int) (*seat, racelab.Choice, error) {
	refuse := func(format string, args ...any) (*seat, racelab.Choice, error) {
		return nil, c, fmt.Errorf("%w: choice %d is %s, and %s", ErrDiverged, i+1, c, fmt.Sprintf(format, args...))
	}
	if c.Tick {
		if _, sleeps := d.wakesNext(); !sleeps {
			return refuse("nobody sleeps")
		}
		return nil, c, nil
	}
	at := slices.IndexFunc(d.seats, func(s *seat) bool { return s.script.Session == c.Session })
	if at < 0 {
		return refuse("there is no session %s", c.Session)
	}
	s := d.seats[at]
	switch {
	case s.state == done:
		return refuse("%s has ended", c.Session)
	case s.state == waiting:
		return refuse("%s waits at %s", c.Session, s.op.Name())
	case s.op.Step != c.Step:
		return refuse("%s is at %s", c.Session, s.op.Name())
	case s.op.Wakes > d.now:
		return refuse("%s sleeps", c.Session)
	case !d.isReady(s):
		return refuse("%s has to wait for %v", s.op.Name(), s.obstacles())
	case c.Case > 0 && (s.op.Cases == nil || c.Case >= s.op.Cases()):
		return refuse("%s has no so many cases that could be taken", s.op.Name())
	case c.Fault != racelab.NoFault && s.op.Conn == "":
		return refuse("%s uses no connection that could be lost", s.op.Name())
	}
	return s, c, nil
}

// untilClosed is how much longer a victim that does not close its deadlock
// waits before it looks: the other steps come in between.
const untilClosed = 10

// ordered is a seat's operation as the choice that was made wants it done.
func (d *Director) ordered(s *seat, c racelab.Choice) racelab.Op {
	op := s.op
	op.Fault, op.Victim, op.Case = c.Fault, c.Victim, c.Case
	switch {
	case isVictimLater(s.script.Session, d.schedule, d.at):
		op.Loses = untilClosed * d.engine.patient
	case op.Victim == "" && len(d.conns(waiting)) > 0: // only then can it close a deadlock
		op.Loses = d.engine.patient
	}
	return op
}

// isVictimLater reports whether the session's operation at choice i is its last
// before it is named as the victim of a deadlock.
func isVictimLater(session racelab.SessionID, schedule racelab.Schedule, i int) bool {
	for _, c := range schedule[min(i+1, len(schedule)):] {
		if c.Victim == session {
			return true
		}
		if c.Session == session {
			return false
		}
	}
	return false
}

// tick lets time pass, to when the next sleeper wakes.
func (d *Director) tick(n decision) {
	d.now, _ = d.wakesNext()
	d.log(racelab.Event{Kind: racelab.Ticked, Ready: n.ready})
	d.at++
}

// endless says who goes on for ever.
func (d *Director) endless() error {
	var at []string
	for _, s := range d.seats {
		if s.state == parked {
			at = append(at, s.op.Name()+" ("+s.op.Text+")")
		}
	}
	return fmt.Errorf("%w: livelock within the bound of %d steps, at %s", ErrEndless, d.engine.Steps, strings.Join(at, " and "))
}

// stuck says why nobody can go on: nil if that is because all have ended. What
// shared memory blocks for ever is history, and what an engine does is not.
func (d *Director) stuck() error {
	for _, s := range d.seats {
		switch s.state {
		case parked:
			d.log(racelab.Event{Kind: racelab.Waiting, Op: s.op, On: s.obstacles(), What: s.op.Text})
		case waiting:
			return fmt.Errorf("%w: session %s waits at %s (%s), and nobody can go on", ErrStalled, s.script.Session, s.op.Name(), s.op.Text)
		}
	}
	return nil
}
