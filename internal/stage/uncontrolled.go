package stage

import (
	"context"
	"sync"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
	"github.com/racelab/racelab/internal/explore"
)

// A Replay says how many of some replays gave the same history.
type Replay struct {
	OK, Of    int
	Different string      // what was different, the first time, why, and what to do about it
	Cause     check.Cause // of that; "" if control was lost
}

// replays is how often a finding is run again.
const replays = 10

// replay runs a finding's schedule again and compares the histories. A schedule
// that does not fit any more, and control that is lost, are differences too:
// the finding's own run had neither.
func (c *Cell) replay(ctx context.Context, f explore.Finding, times int) (Replay, error) {
	r := Replay{Of: times}
	for range times {
		h, err := c.Run(ctx, explore.Plan{Schedule: f.Schedule, Calls: f.Calls, Look: true})
		if LostControl(err) {
			r.note(check.Difference{}, err)
			return r, nil // it would be lost again, and each time costs
		}
		if err != nil && !Diverged(err) {
			return r, err
		}
		d, different := check.DifferenceOf(f.History, h, c.selection.Scenario)
		if different || err != nil {
			r.note(d, err)
			continue
		}
		r.OK++
	}
	return r, nil
}

// note keeps the first difference, or, where there is none to see, the error.
func (r *Replay) note(d check.Difference, err error) {
	switch {
	case r.Different != "":
	case d.What != "":
		r.Different, r.Cause = d.String(), d.Cause
	case err != nil:
		r.Different = err.Error()
	}
}

// replayStart finds out why a schedule that the search took from an earlier run
// did not fit: it runs as far as that went, on from there to the end, and then
// the same again. If all of these agree, what is known is the divergence.
func (c *Cell) replayStart(ctx context.Context, h racelab.History, divergence error) (Replay, error) {
	start := explore.ScheduleOf(h)
	for len(start) > 0 {
		whole, err := c.Run(ctx, explore.Plan{Schedule: start})
		if err == nil {
			r, err := c.replay(ctx, explore.Finding{Schedule: explore.ScheduleOf(whole), History: whole}, replays)
			r.note(check.Difference{}, divergence)
			return r, err
		}
		if !Diverged(err) {
			return Replay{}, err
		}
		start = start[:len(start)-1]
	}
	r := Replay{Of: replays}
	r.note(check.Difference{}, divergence)
	return r, nil
}

// noteDivergence makes a search's runners keep the first run, as far as it
// went, whose schedule did not fit.
func noteDivergence(s *explore.Search) func() (racelab.History, bool) {
	var mu sync.Mutex
	var first racelab.History
	noted := false
	for i, run := range s.Runners {
		s.Runners[i] = func(ctx context.Context, p explore.Plan) (racelab.History, error) {
			h, err := run(ctx, p)
			if Diverged(err) {
				mu.Lock()
				defer mu.Unlock()
				if !noted {
					first, noted = h, true
				}
			}
			return h, err
		}
	}
	return func() (racelab.History, bool) {
		mu.Lock()
		defer mu.Unlock()
		return first, noted
	}
}
