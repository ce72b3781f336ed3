package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
)

// trialReport is one of an exploration's trials: what --weaken took away or
// what --advise put in.
type trialReport struct {
	Change    string              `json:"change"`
	Strategy  *string             `json:"strategy"` // another one of the scenario, instead of a change
	Verdict   racelab.VerdictKind `json:"verdict"`
	Reason    *string             `json:"reason"`
	Anomaly   *string             `json:"anomaly"`
	Schedules int                 `json:"schedules"`
	Aborted   int                 `json:"aborted_schedules"`
	Witness   *string             `json:"witness"`
}

// try makes the trials that were asked for.
func (f exploreFlags) try(ctx context.Context, what chosen, server racelab.Server, x stage.Exploration, base stage.Explored, p *progress) ([]stage.Trial, error) {
	tell := func(change string) { p.label("without " + change) }
	trials := what.Weaken
	if f.advise {
		tell = func(change string) { p.label("with " + change) }
		trials = what.Advise
	}
	return trials(ctx, server, x, base, tell)
}

// refuseTrials says why trials make no sense after a verdict, if they do not.
func (f exploreFlags) refuseTrials(v racelab.VerdictKind) string {
	switch {
	case f.weaken && v != racelab.Holds:
		return "nothing was taken away: --weaken asks what a strategy that holds needs"
	case f.advise && v != racelab.Violated:
		return "nothing was tried: --advise helps a strategy that is violated"
	}
	return ""
}

func trialReports(trials []stage.Trial, x stage.Exploration) []trialReport {
	reports := []trialReport{}
	for _, t := range trials {
		r := trialReport{Change: t.Name, Schedules: t.Schedules, Aborted: t.Aborted}
		if t.Strategy != "" {
			r.Strategy = &t.Strategy
		}
		var why string
		if r.Verdict, why = t.Verdict(x, t.Err); why != "" {
			r.Reason = &why
		}
		if t.Explored.Witness != nil && t.Report.Witness != nil {
			schedule := t.Explored.Schedule.String()
			r.Witness = &schedule
			if a, ok := t.Explored.Explain(); ok {
				name := string(a.Name)
				r.Anomaly = &name
			}
		}
		reports = append(reports, r)
	}
	return reports
}

func printTrials(w io.Writer, f exploreFlags, trials []trialReport) {
	words := map[racelab.VerdictKind]string{racelab.Holds: "not needed", racelab.Violated: "needed", racelab.Unknown: "unknown"}
	if f.advise {
		words = map[racelab.VerdictKind]string{racelab.Holds: "helps", racelab.Violated: "no help", racelab.Unknown: "unknown"}
	}
	fmt.Fprintln(w)
	if len(trials) == 0 && f.weaken {
		fmt.Fprintln(w, "nothing to take away: no lock, level, unique constraint or retry that is the strategy's own")
	}
	if len(trials) == 0 && f.advise {
		fmt.Fprintln(w, "nothing to try: no safe strategy, higher level or lock")
	}
	for _, t := range trials {
		name := t.Change
		if t.Strategy != nil {
			name = "the strategy " + *t.Strategy
		}
		fmt.Fprintf(w, "%-11s %s: %s\n", words[t.Verdict], plain(name), plain(outcomeOf(t)))
	}
}

// outcomeOf says in a few words what a trial came to.
func outcomeOf(t trialReport) string {
	switch {
	case t.Verdict == racelab.Unknown:
		return *t.Reason
	case t.Verdict == racelab.Violated && t.Anomaly != nil:
		return strings.ReplaceAll(*t.Anomaly, "-", " ") + ", in the order " + *t.Witness
	case t.Verdict == racelab.Violated && t.Witness != nil:
		return "violated, in the order " + *t.Witness
	case t.Aborted > 0:
		return fmt.Sprintf("holds, with aborts in %d of %s", t.Aborted, count(t.Schedules, "schedule"))
	}
	return "holds"
}
