package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
	"github.com/spf13/cobra"
)

// replayReport is racelab.replay/1: one schedule, followed and judged.
type replayReport struct {
	Schema   string        `json:"schema"`
	Scenario string        `json:"scenario"`
	Strategy string        `json:"strategy"`
	Engine   string        `json:"engine"`
	Level    racelab.Level `json:"level"`
	racelab.Product
	Sessions  int                 `json:"sessions"`
	Cast      []castMember        `json:"cast,omitempty"` // of a spec file
	Processes int                 `json:"processes"`
	Verdict   racelab.VerdictKind `json:"verdict"`
	Reason    *string             `json:"reason"`
	Schedule  string              `json:"schedule"` // as it was followed, to its end
	Outcome   exploreOutcome      `json:"outcome"`
	Anomalies []stage.Anomaly     `json:"anomalies"`
	Races     []raceReport        `json:"races"`
	Run       *racelab.Run        `json:"run"`
	Command   string              `json:"command"`
	Seconds   float64             `json:"seconds"`
}

// runSchedule follows a schedule strictly, and after its end goes on without
// preemption.
func runSchedule(c *cobra.Command, name, text, expect string, f controlFlags) error {
	what, err := f.choose(name)
	if err != nil {
		return err
	}
	schedule, err := racelab.ParseSchedule(text)
	if err != nil {
		return usage("--%w", err)
	}
	began := time.Now()
	server, err := what.start(c.Context(), f.specFlags)
	if err != nil {
		return err
	}
	x, err := what.Replay(c.Context(), server, stage.Exploration{Controlled: what.how, InvariantsOnly: f.judge == "invariant"}, schedule)
	product := server.Product()
	lost := lostControl(err)
	if closed := server.Close(); lost == nil {
		if err = errors.Join(err, closed); err != nil {
			return explorationError(c.Context(), what, err)
		}
	}
	r := replayReport{
		Schema: "racelab.replay/1", Scenario: what.Scenario.Name, Strategy: what.strategy(), Cast: what.cast(),
		Engine: what.Engine.Name, Level: what.Level, Product: inForce(product, what.Level), Sessions: len(x.Calls), Processes: f.processes,
		Verdict: racelab.Holds, Schedule: x.Schedule.String(), Anomalies: []stage.Anomaly{}, Run: x.Witness,
		Races:   raceReports(what, &f, x.Races),
		Command: what.command("run", what.name, &f, "--schedule", x.Schedule.String()),
	}
	j := x.Judgement
	r.Outcome = exploreOutcome{State: j.Outcome.State, Results: j.Outcome.Results(nil), Count: 1, Serial: j.Serial, Broken: j.Broken}
	switch {
	case lost != nil:
		why := lost.Error()
		r.Verdict, r.Reason = racelab.Unknown, &why
	case j.Severity() > 0:
		why := j.Reason()
		r.Verdict, r.Reason = racelab.Violated, &why
		if a, ok := x.Explain(); ok {
			r.Anomalies = append(r.Anomalies, a)
		}
	}
	r.Seconds = time.Since(began).Seconds()
	if f.json {
		err = writeJSON(c.OutOrStdout(), r)
	} else {
		err = printReplay(c.OutOrStdout(), what, f, r, x)
	}
	if err != nil {
		return err
	}
	return exitCode(exploreCode(r.Verdict, expect))
}

func printReplay(w io.Writer, what chosen, f controlFlags, r replayReport, x stage.Explored) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s %s, %s\n\n%s%s", strong(w, what.name), r.Name, r.Version, r.Level, what.legend(), controlledDrawing(w, x))
	said := ""
	switch r.Verdict {
	case racelab.Holds:
		why := "a serial order gives the same"
		if f.judge == "invariant" {
			why = "so do the invariants, and it was held against nothing else"
		}
		fmt.Fprintf(&b, "%s  this schedule holds: %s\n", strong(w, "verdict"), why)
	case racelab.Violated:
		said = violatedBy(r.Anomalies, *r.Reason)
		fmt.Fprintf(&b, "%s  %s\n", strong(w, "verdict"), said)
	default:
		fmt.Fprintf(&b, "%s  %s: %s\n", strong(w, "verdict"), r.Verdict, plain(*r.Reason))
	}
	printRaces(&b, r.Races, said)
	fmt.Fprintf(&b, "outcome  %s\n", outcomeLine(r.Outcome.Results, r.Outcome.State))
	fmt.Fprintf(&b, "again    %s\n", r.Command)
	_, err := io.WriteString(w, b.String())
	return err
}
