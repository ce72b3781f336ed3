package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
	"github.com/spf13/cobra"
)

// paceReport is racelab.pace/1: how long strategies take one session after
// another, and all at once.
type paceReport struct {
	Schema   string        `json:"schema"`
	Scenario string        `json:"scenario"`
	Engine   string        `json:"engine"`
	Level    racelab.Level `json:"level"`
	racelab.Product
	Sessions int       `json:"sessions"`
	Window   string    `json:"window"`
	Runs     int       `json:"runs"` // of each
	Results  []paceRow `json:"results"`
}

type paceRow struct {
	Strategy string `json:"strategy"`
	InTurn   pace   `json:"in_turn"`
	AtOnce   pace   `json:"at_once"`
}

type pace struct {
	MeanMS float64 `json:"mean_ms"` // of a run
	Runs   int     `json:"runs"`
	Losses int     `json:"losses"` // runs after which a claim did not hold
	Failed int     `json:"failed"` // calls
	Ended  bool    `json:"ended"`  // within --timeout
}

func runCompare(c *cobra.Command, name string, f runFlags) error {
	free, err := f.free()
	if err != nil {
		return err
	}
	s, only, err := stage.Find(scenario.All, name)
	if err != nil {
		return usage("%w", err)
	}
	e, dsn, level, err := f.resolve(name)
	if err != nil {
		return err
	}
	var selections []stage.Selection
	for i := range s.Strategies {
		st := &s.Strategies[i]
		if only != nil && st != only || only == nil && s.Because(st, e, level) != "" {
			continue
		}
		sel, err := selection(s, st, e, level)
		if err != nil {
			return err
		}
		selections = append(selections, sel)
	}
	if len(selections) == 0 {
		return usage("%s has no strategy that is available on %s", name, e.Name)
	}
	server, err := start(c.Context(), e, dsn)
	if err != nil {
		return err
	}
	r := paceReport{
		Schema: "racelab.pace/1", Scenario: s.Name, Engine: e.Name, Level: selections[0].Level, Product: inForce(server.Product(), selections[0].Level),
		Sessions: len(s.Dealt(f.sessions)), Window: free.Window.String(), Runs: f.runs, Results: []paceRow{},
	}
	progress := newProgress(c.ErrOrStderr(), "strategy", len(selections))
	for i, sel := range selections {
		row := paceRow{Strategy: sel.Strategy.Name}
		for _, way := range []struct {
			inTurn bool
			pace   *pace
		}{{true, &row.InTurn}, {false, &row.AtOnce}} {
			free.InTurn = way.inTurn
			var ran stage.FreeReport
			if ran, err = sel.RunFree(c.Context(), server, free); err != nil {
				break
			}
			*way.pace = paceOf(ran)
		}
		if errors.Is(err, stage.ErrEnds) && only == nil {
			err = nil
			continue // it is not available here
		}
		if err != nil {
			break
		}
		r.Results = append(r.Results, row)
		progress.at(i + 1)
	}
	progress.clear()
	err = errors.Join(err, server.Close())
	if errors.Is(err, stage.ErrEnds) {
		return &exit{code: exitUsage, name: "not-available", err: fmt.Errorf("run %s: %w", name, err)}
	}
	if err != nil && c.Context().Err() == nil {
		return &exit{code: exitUnreachable, name: "engine", err: fmt.Errorf("run %s: %w", name, err)}
	}
	var said error
	if f.json {
		said = writeJSON(c.OutOrStdout(), r)
	} else {
		said = printPace(c.OutOrStdout(), r)
	}
	if said == nil && err != nil {
		said = exitCode(exitInterrupted)
	}
	return said
}

func paceOf(r stage.FreeReport) pace {
	p := pace{Runs: r.Runs, Losses: r.Losses, Ended: r.Stalled == nil}
	for _, n := range r.Failed {
		p.Failed += n
	}
	if r.Runs > 0 {
		p.MeanMS = float64(r.Took.Microseconds()) / 1000 / float64(r.Runs)
	}
	return p
}

func printPace(w io.Writer, r paceReport) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s %s, %s: %s with a window of %s, %s each\n\n", strong(w, r.Scenario), r.Name, r.Version, r.Level,
		count(r.Sessions, "session"), r.Window, count(r.Runs, "run"))
	fmt.Fprintf(&b, "%-24s %18s %10s   lost at once\n", "", "one after another", "at once")
	for _, row := range r.Results {
		fmt.Fprintf(&b, "%-24s %18s %10s   %s\n", row.Strategy, row.InTurn, row.AtOnce, row.AtOnce.losses())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// String is how long a run takes.
func (p pace) String() string {
	if !p.Ended {
		return "does not end"
	}
	return (time.Duration(p.MeanMS*1000) * time.Microsecond).Round(100 * time.Microsecond).String()
}

func (p pace) losses() string {
	line := fmt.Sprintf("in %d of %s", p.Losses, count(p.Runs, "run"))
	if p.Failed > 0 {
		line += fmt.Sprintf(", %s failed", count(p.Failed, "call"))
	}
	return line
}
