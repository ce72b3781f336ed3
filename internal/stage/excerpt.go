package stage

import (
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
	"github.com/racelab/racelab/internal/control"
)

// An Excerpt is the part of a run that shows a finding.
type Excerpt struct {
	Run   racelab.Run
	Marks map[int]string // by position in the excerpt
	Prose string
	Left  int // sessions that are not in it
}

// LostUpdate returns the part of a run that shows a lost update, if it has one.
// Its steps are numbered anew: in a laboratory that has run for long, the two
// calls' own numbers say nothing.
func LostUpdate(run racelab.Run) (Excerpt, bool) {
	found, ok := check.FindLostUpdate(run.History.Events)
	if !ok {
		return Excerpt{}, false
	}
	x := Excerpt{Run: run}
	x.Run.History.Events, x.Run.At = nil, nil
	inside, all := map[racelab.SessionID]bool{}, map[racelab.SessionID]bool{}
	for _, e := range run.History.Events {
		all[e.Op.Session] = true
	}
	var first time.Duration
	for i, position := range found.Events {
		e := run.History.Events[position]
		inside[e.Op.Session] = true
		x.Run.History.Events = append(x.Run.History.Events, e)
		if position < len(run.At) {
			if i == 0 {
				first = run.At[position]
			}
			x.Run.At = append(x.Run.At, run.At[position]-first)
		}
	}
	x.Left = len(all) - len(inside)
	renumber(x.Run.History.Events)
	found, ok = check.FindLostUpdate(x.Run.History.Events)
	x.Marks, x.Prose = found.Marks, found.Prose
	return x, ok
}

// renumber counts each session's steps from 1.
func renumber(events []racelab.Event) {
	type step struct {
		session racelab.SessionID
		number  int
	}
	steps, last := map[step]int{}, map[racelab.SessionID]int{}
	for i := range events {
		op := &events[i].Op
		if op.Step == 0 {
			continue // a call
		}
		old := step{op.Session, op.Step}
		if steps[old] == 0 {
			last[op.Session]++
			steps[old] = last[op.Session]
		}
		op.Step = steps[old]
	}
}

// DecodeRun reads a laboratory's history: its events as JSON, and when they
// happened.
func DecodeRun(events []byte, at []time.Duration) (racelab.Run, error) {
	decoded, err := control.DecodeEvents(events)
	return racelab.Run{History: racelab.History{Events: decoded}, At: at}, err
}
