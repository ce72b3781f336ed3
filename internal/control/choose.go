package control

import (
	"fmt"
	"slices"

	"github.com/racelab/racelab"
)

// choose returns who goes next, or nil when all is done.
func (d *Director) choose(schedule racelab.Schedule, i int, last *seat) (*seat, racelab.Choice, error) {
	if i < len(schedule) {
		return d.scheduled(schedule[i], i)
	}
	ready := d.ready()
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
		c = ready[0]
		for _, r := range ready {
			if last != nil && r.Session == last.script.Session {
				c = r
			}
		}
	}
	return d.seat(c.Session), c, nil
}

// ready lists the choices there are, in the order of the sessions.
func (d *Director) ready() []racelab.Choice {
	var ready []racelab.Choice
	for _, s := range d.seats {
		if s.ready() {
			ready = append(ready, racelab.Choice{Session: s.script.Session, Step: s.op.Step})
		}
	}
	return ready
}

// inTurn chooses the session whose call comes first in the serial order.
func (d *Director) inTurn(ready []racelab.Choice) racelab.Choice {
	for _, call := range d.Serial {
		for _, r := range ready {
			if d.seat(r.Session).op.Call == call {
				return r
			}
		}
	}
	return ready[0]
}

func (s *seat) ready() bool { return s.state == parked && len(s.obstacles()) == 0 }

// obstacles are the sessions that stand in the way of a parked operation.
func (s *seat) obstacles() []racelab.SessionID {
	if s.op.Obstacles == nil {
		return nil
	}
	return s.op.Obstacles()
}

func (d *Director) scheduled(c racelab.Choice, i int) (*seat, racelab.Choice, error) {
	if c.Tick || c.Fault != racelab.NoFault || c.Victim != "" {
		return nil, c, fmt.Errorf("%w: choice %d is %s, and this gate knows only who goes next", ErrDiverged, i+1, c)
	}
	at := slices.IndexFunc(d.seats, func(s *seat) bool { return s.script.Session == c.Session })
	if at < 0 {
		return nil, c, fmt.Errorf("%w: choice %d is %s, and there is no session %s", ErrDiverged, i+1, c, c.Session)
	}
	s := d.seats[at]
	why := ""
	switch {
	case s.state == done:
		why = fmt.Sprintf("%s has ended", c.Session)
	case s.state == waiting:
		why = fmt.Sprintf("%s waits at %s", c.Session, s.op.Name())
	case s.op.Step != c.Step:
		why = fmt.Sprintf("%s is at %s", c.Session, s.op.Name())
	case !s.ready():
		why = fmt.Sprintf("%s has to wait for %v", s.op.Name(), s.obstacles())
	}
	if why != "" {
		return nil, c, fmt.Errorf("%w: choice %d is %s, and %s", ErrDiverged, i+1, c, why)
	}
	return s, c, nil
}

// stuck says why nobody can go on: nil if that is because all have ended. What
// shared memory blocks for ever is history, and what an engine does is not.
func (d *Director) stuck() error {
	for _, s := range d.seats {
		switch s.state {
		case parked:
			d.events = append(d.events, racelab.Event{Kind: racelab.Waiting, Op: s.op, On: s.obstacles(), What: s.op.Text})
		case waiting:
			return fmt.Errorf("%w: session %s waits at %s (%s), and nobody can go on", ErrStalled, s.script.Session, s.op.Name(), s.op.Text)
		}
	}
	return nil
}
