package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
	"github.com/racelab/racelab/internal/control"
	"github.com/racelab/racelab/internal/explore"
)

// An Exploration says how to explore a selection.
type Exploration struct {
	Controlled
	Workers        int           // each with a database of its own
	Budget         int           // schedules at most; 0 is all
	Time           time.Duration // at most; 0 has no end
	Random         int           // that many random schedules instead of all
	Seed           uint64        // of the random ones
	InvariantsOnly bool          // leave the serial outcomes out
	Tell           func(run, known int)
}

// An Explored is what an exploration gave.
type Explored struct {
	explore.Report
	Calls     [][]racelab.CallID
	Steps     int // of the longest call
	Witness   *racelab.Run
	Schedule  racelab.Schedule // of the witness
	Judgement check.Judgement  // of the witness
	Replayed  Replay           // of the witness
	Checked   Replay           // of a schedule that passes
	OutOfTime bool
}

// A Replay says how many of some replays gave the very same history.
type Replay struct {
	OK, Of    int
	Different string // what was different, the first time
}

// replays is how often a finding is run again.
const replays = 10

// Explore searches the selection's schedules on server.
func (s Selection) Explore(ctx context.Context, server racelab.Server, x Exploration) (out Explored, err error) {
	var cells []*Cell
	defer func() {
		for _, c := range cells {
			err = errors.Join(err, c.Close())
		}
	}()
	for range max(x.Workers, 1) {
		c, err := s.NewCell(ctx, server, x.Controlled)
		if err != nil {
			return out, err
		}
		cells = append(cells, c)
	}
	search := s.Search(cells)
	search.Budget, search.Random, search.Seed, search.Tell = x.Budget, x.Random, x.Seed, x.Tell
	search.Judge.InvariantsOnly = x.InvariantsOnly
	if x.Time > 0 {
		deadline := time.Now().Add(x.Time)
		search.Stop = func() bool {
			out.OutOfTime = time.Now().After(deadline)
			return out.OutOfTime
		}
	}
	out.Calls = search.Judge.Calls
	out.Report, err = search.Run(ctx)
	if f := out.Report.Witness; f != nil {
		out.Steps = mostSteps(f.History)
		out.Witness, out.Schedule, out.Judgement = s.run(f.History), f.Schedule, f.Judgement
	}
	if err != nil {
		return out, err // with what was found before
	}
	if f := out.Report.Passing; f != nil {
		out.Steps = max(out.Steps, mostSteps(f.History))
		if out.Checked, err = cells[0].replay(ctx, *f, 3); err != nil {
			return out, err
		}
	}
	if f := out.Report.Witness; f != nil {
		out.Replayed, err = cells[0].replay(ctx, *f, replays)
	}
	return out, err
}

// Replay runs one schedule and judges it.
func (s Selection) Replay(ctx context.Context, server racelab.Server, how Controlled, schedule racelab.Schedule) (out Explored, err error) {
	cell, err := s.NewCell(ctx, server, how)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, cell.Close()) }()
	out.Calls = cell.Calls()
	h, err := cell.Run(ctx, explore.Plan{Schedule: schedule})
	out.Witness, out.Schedule = s.run(h), explore.ScheduleOf(h)
	if err != nil {
		return out, err
	}
	judge := s.Search([]*Cell{cell}).Judge
	out.Judgement, err = judge.Judge(ctx, h)
	return out, err
}

func (s Selection) run(h racelab.History) *racelab.Run {
	return &racelab.Run{Scenario: s.Scenario.Name, Strategy: s.Strategy.Name, Engine: s.Engine.Name, Level: s.Level, History: h}
}

// replay runs a finding's schedule again and compares the histories, which
// have to be the same to the byte.
func (c *Cell) replay(ctx context.Context, f explore.Finding, times int) (r Replay, err error) {
	want, err := json.Marshal(f.History.Events)
	if err != nil {
		return r, err
	}
	r.Of = times
	for range times {
		h, err := c.Run(ctx, explore.Plan{Schedule: f.Schedule})
		if err != nil {
			return r, fmt.Errorf("replay %s: %w", f.Schedule, err)
		}
		got, err := json.Marshal(h.Events)
		if err != nil {
			return r, err
		}
		if bytes.Equal(want, got) {
			r.OK++
		} else if r.Different == "" {
			r.Different = difference(f.History, h)
		}
	}
	return r, nil
}

// difference names the first event in which two histories are not the same.
func difference(a, b racelab.History) string {
	for i, e := range a.Events {
		if i >= len(b.Events) {
			return fmt.Sprintf("%s %s was missing", e.Op.Name(), e.Kind)
		}
		x, _ := json.Marshal(e)
		y, _ := json.Marshal(b.Events[i])
		if !bytes.Equal(x, y) {
			return fmt.Sprintf("%s %s was %s, and then %s", e.Op.Name(), e.Kind, x, y)
		}
	}
	return fmt.Sprintf("%d events more", len(b.Events)-len(a.Events))
}

// mostSteps counts the steps of the call that has the most.
func mostSteps(h racelab.History) int {
	steps := map[racelab.CallID]int{}
	most := 0
	for _, e := range h.Events {
		if e.Kind == racelab.Entered {
			steps[e.Op.Call]++
			most = max(most, steps[e.Op.Call])
		}
	}
	return most
}

// LostControl reports whether err says that a run could not be controlled: a
// session stopped outside the gate, or nobody could go on.
func LostControl(err error) bool { return errors.Is(err, control.ErrStalled) }

// Diverged reports whether err says that a schedule asks for what cannot be.
func Diverged(err error) bool { return errors.Is(err, control.ErrDiverged) }

// An Anomaly is what a violation is called, and why.
type Anomaly = check.Anomaly

// Explain names the anomaly of a controlled run that is a violation, if it can.
func Explain(run racelab.Run) (Anomaly, bool) { return check.Explain(run.History, run.Level) }
