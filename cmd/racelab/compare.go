package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
	"github.com/spf13/cobra"
)

// compareReport is racelab.compare/1: a scenario's strategies on one engine.
type compareReport struct {
	Schema   string `json:"schema"`
	Scenario string `json:"scenario"`
	Engine   string `json:"engine"`
	racelab.Product
	Sessions     int                 `json:"sessions"`
	Only         []racelab.SessionID `json:"only"` // that ran; null: all
	Results      []compareResult     `json:"results"`
	NotAvailable []unavailable       `json:"not_available"`
	Seconds      float64             `json:"seconds"`
}

type compareResult struct {
	exploreReport
	Result   racelab.CellResult  `json:"result"`
	Expected *racelab.CellResult `json:"expected"` // null: nothing is declared
	Agrees   bool                `json:"agrees"`
}

type unavailable struct {
	Strategy string `json:"strategy"`
	Because  string `json:"because"`
}

// compare explores all strategies of a scenario that there are on an engine
// and level.
func compare(c *cobra.Command, s *racelab.Scenario, f exploreFlags) error {
	if err := f.comparable(); err != nil {
		return err
	}
	what, err := f.chosen(s.Name)
	if err != nil {
		return err
	}
	x, err := f.exploration(what.how)
	if err != nil {
		return err
	}
	r := compareReport{Schema: "racelab.compare/1", Scenario: s.Name, Engine: what.Engine.Name, Results: []compareResult{}, NotAvailable: []unavailable{}, Sessions: len(s.Dealt(f.sessions)), Only: what.how.Only}
	var all []stage.Selection
	for i := range s.Strategies {
		sel, err := selection(s, &s.Strategies[i], what.Engine, what.Level)
		if lacks := (stage.ErrNotAvailable{}); errors.As(err, &lacks) {
			r.NotAvailable = append(r.NotAvailable, unavailable{lacks.Strategy, lacks.Because})
			continue
		}
		if err != nil {
			return err
		}
		all = append(all, sel)
	}
	if len(all) == 0 {
		return &exit{code: exitUsage, name: "not-available", err: fmt.Errorf("none of the strategies of %s is available there, for instance %s, because %s", s.Name, r.NotAvailable[0].Strategy, r.NotAvailable[0].Because)}
	}
	began := time.Now()
	server, err := start(c.Context(), what.Engine, what.dsn)
	if err != nil {
		return err
	}
	r.Product = server.Product()
	progress := newProgress(c.ErrOrStderr(), "schedule", 0)
	x.Tell = func(run, known int) {
		progress.of = known
		progress.at(run)
	}
	err = f.compareAll(c.Context(), server, what, all, x, &r, progress)
	progress.clear()
	interrupted := c.Context().Err() != nil
	if closed := server.Close(); !interrupted {
		if err = errors.Join(err, closed); err != nil {
			return explorationError(c.Context(), what, err)
		}
	}
	r.Seconds = time.Since(began).Seconds()
	if f.json {
		err = writeJSON(c.OutOrStdout(), r)
	} else {
		err = printCompared(c.OutOrStdout(), r, f)
	}
	if err != nil {
		return err
	}
	if interrupted {
		fmt.Fprintf(c.ErrOrStderr(), "racelab: interrupted after %d of %d strategies\n", len(r.Results), len(all))
		return exitCode(exitInterrupted)
	}
	return exitCode(r.code())
}

// comparable refuses the flags that are about one strategy.
func (f exploreFlags) comparable() error {
	for _, flag := range []string{"weaken", "advise", "save", "resume", "part", "baseline", "accept", "expect"} {
		if f.given.Changed(flag) {
			return usage("--%s is for one strategy: name it, as SCENARIO/STRATEGY", flag)
		}
	}
	return nil
}

// compareAll explores one strategy after another. Those at one level share
// their worlds.
func (f exploreFlags) compareAll(ctx context.Context, server racelab.Server, what chosen, all []stage.Selection, x stage.Exploration, r *compareReport, p *progress) (err error) {
	open := map[racelab.Level]*stage.Cells{}
	defer func() {
		for _, cells := range open {
			err = errors.Join(err, cells.Close())
		}
	}()
	for _, sel := range all {
		p.label(sel.Strategy.Name)
		cells := open[sel.Level]
		if cells == nil {
			if cells, err = sel.NewCells(ctx, server, what.how, x.Workers); err != nil {
				return err
			}
			open[sel.Level] = cells
		}
		found, err := cells.Explore(ctx, sel.Strategy, x)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		lost := lostControl(err)
		if err != nil && lost == nil {
			return err
		}
		if cells.Spent() {
			delete(open, sel.Level)
			if err := cells.Close(); err != nil && lost == nil {
				return err
			}
		}
		one := what
		one.Selection, one.name = sel, sel.Name()
		result := compareResult{exploreReport: f.report(one, server.Product(), x, found, lost), Agrees: true}
		var anomaly string
		result.Result, anomaly, _ = found.CellResult(x, lost)
		if want, declared := f.expected(sel); declared {
			result.Expected, result.Agrees = &want.Result, want.Agrees(result.Result, anomaly)
		}
		r.Results = append(r.Results, result)
	}
	return nil
}

// expected is what the strategy is declared to come to. Of another cast, of
// processes and of faults only a safe strategy says anything.
func (f exploreFlags) expected(sel stage.Selection) (racelab.Expect, bool) {
	if f.sessions == 0 && f.processes == 1 && f.faults == 0 && f.only == "" && f.judge == "serial" {
		return sel.Strategy.Expected(sel.Engine.Name, sel.Level)
	}
	return racelab.Expect{Result: racelab.CellHolds}, sel.Strategy.Safe
}

func (r compareReport) code() int {
	code := exitOK
	for _, one := range r.Results {
		switch {
		case one.Result == racelab.CellUnknown:
			if code == exitOK {
				code = exitUnknown
			}
		case !one.Agrees:
			code = exitViolated
		}
	}
	return code
}

func printCompared(w io.Writer, r compareReport, f exploreFlags) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s %s: %s\n\n", strong(w, r.Scenario), r.Name, r.Version, castOf(r.Sessions, r.Only))
	var replays []string
	for _, s := range strategiesOf(r.Scenario) {
		if i := slices.IndexFunc(r.NotAvailable, func(n unavailable) bool { return n.Strategy == s }); i >= 0 {
			matrixLine(&b, w, s, racelab.CellNotAvailable, words(racelab.CellNotAvailable, nil), r.NotAvailable[i].Because)
			continue
		}
		i := slices.IndexFunc(r.Results, func(one compareResult) bool { return one.Strategy == s })
		if i < 0 {
			continue // interrupted
		}
		one := r.Results[i]
		note := fmt.Sprintf("%s: %s", one.Level, count(one.Schedules, "schedule"))
		if by := aborts(slices.Sorted(maps.Keys(one.Classes))); by != "" {
			note += ", " + by
		}
		if one.Result == racelab.CellUnknown {
			note = *one.Reason
		}
		if len(one.Notes) > 0 {
			note += "; " + strings.Join(one.Notes, "; ")
		}
		var anomaly *string
		if len(one.Anomalies) > 0 {
			anomaly = said(string(one.Anomalies[0].Name))
		}
		if !one.Agrees {
			note += "; " + words(*one.Expected, nil) + " was expected"
		}
		cell := matrixCell{Result: one.Result, Anomaly: anomaly, InProcess: one.InProcess}
		matrixLine(&b, w, s, one.Result, cell.words(), note)
		if one.Witness != nil {
			replays = append(replays, one.Witness.Command)
		}
	}
	b.WriteByte('\n')
	for _, line := range replays {
		fmt.Fprintf(&b, "replay   %s\n", line)
	}
	fmt.Fprintf(&b, "%s%s", first(len(replays) > 0, f.needs()), item("searched", fmt.Sprintf("%s in %.1f s", countStrategies(len(r.Results)), r.Seconds)))
	_, err := io.WriteString(w, b.String())
	return err
}

func countStrategies(n int) string {
	if n == 1 {
		return "1 strategy"
	}
	return fmt.Sprintf("%d strategies", n)
}

func strategiesOf(name string) (names []string) {
	if s, ok := scenario.Named(name); ok {
		for _, st := range s.Strategies {
			names = append(names, st.Name)
		}
	}
	return names
}
