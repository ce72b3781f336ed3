package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
)

// runReport is racelab.run/1.
type runReport struct {
	Schema   string        `json:"schema"`
	Scenario string        `json:"scenario"`
	Strategy string        `json:"strategy"`
	Engine   string        `json:"engine"`
	Level    racelab.Level `json:"level"`
	racelab.Product
	Sessions  int    `json:"sessions"`
	Processes int    `json:"processes"`
	Window    string `json:"window"`
	Seed      uint64 `json:"seed"`

	Requests     int                   `json:"requests"` // calls; those below add up to them
	Runs         int                   `json:"runs"`     // that were judged
	Losses       int                   `json:"losses"`
	Acknowledged int                   `json:"acknowledged"`
	Failed       map[racelab.Class]int `json:"failed"`
	Unknown      int                   `json:"unknown"`  // cut off, or without their connection
	NotSent      int                   `json:"not_sent"` // there was no time for them

	// The invariant that failed, or the first: its sums, and how far the runs
	// were off, summed without their sign.
	Invariant string `json:"invariant"`
	Expected  int64  `json:"expected"`
	Actual    int64  `json:"actual"`
	Lost      int64  `json:"lost"`

	Verdict    racelab.VerdictKind `json:"verdict"`
	Reason     *string             `json:"reason"`
	Invariants []stage.Claim       `json:"invariants"`
	Waits      []string            `json:"waits"` // who was in the middle of what in a run that did not end
	Witness    *racelab.Run        `json:"witness"`
	Command    string              `json:"command"`
	Needs      []string            `json:"command_needs"` // environment variables
	Seconds    float64             `json:"seconds"`

	asked int // runs
}

func newRunReport(sel stage.Selection, p racelab.Product, f stage.Free, r stage.FreeReport) runReport {
	out := runReport{
		Schema: "racelab.run/1", Scenario: sel.Scenario.Name, Strategy: sel.Strategy.Name, Engine: sel.Engine.Name,
		Level: sel.Level, Product: inForce(p, sel.Level), Sessions: len(sel.Scenario.Dealt(f.Sessions)), Processes: f.Processes,
		Window: f.Window.String(), Seed: f.Seed, Runs: r.Runs, Losses: r.Losses, Requests: r.Calls, Acknowledged: r.OK,
		Failed: r.Failed, Unknown: r.Unknown, NotSent: r.NotMade(), Invariants: append([]stage.Claim{}, r.Claims...),
		Waits: []string{}, Witness: r.Witness, Verdict: racelab.Unknown, asked: f.Runs,
	}
	if c, ok := broken(r); ok {
		out.Invariant, out.Expected, out.Actual, out.Lost = c.Name, c.Expected, c.Actual, c.Off
	}
	if r.Losses > 0 {
		out.Verdict = racelab.Violated
	} else {
		why := luck(r.Failed)
		out.Reason = &why
	}
	if r.Stalled != nil {
		out.Waits = r.Stalled.Who
		why := fmt.Sprintf("run %d did not end within %s (--timeout)", r.Runs+1, f.Timeout)
		out.Reason = &why
	}
	return out
}

// luck says why runs without a loss prove nothing.
func luck(failed map[racelab.Class]int) string {
	aborted := 0
	for class, n := range failed {
		if class.Aborted() {
			aborted += n
		}
	}
	if aborted > 0 {
		return fmt.Sprintf("no loss was seen: the database aborted %s instead, which left nothing; luck proves nothing", count(aborted, "call"))
	}
	return "no loss was seen, and luck proves nothing"
}

// broken returns the first claim that did not hold, or the first of all, and
// whether any was measured.
func broken(r stage.FreeReport) (stage.Claim, bool) {
	if len(r.Claims) == 0 {
		return stage.Claim{}, false
	}
	i := slices.IndexFunc(r.Claims, func(c stage.Claim) bool { return c.Held < r.Runs })
	return r.Claims[max(i, 0)], true
}

// mostWaits is of how many sessions a report for people says what they wait for.
const mostWaits = 8

func printRun(w io.Writer, sel stage.Selection, r runReport, free stage.FreeReport, fix string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s %s, %s: %d sessions, %s, window %s\n\n",
		strong(w, sel.Name()), r.Name, r.Version, r.Level, r.Sessions, count(r.Runs, "run"), r.Window)
	switch {
	case r.Witness != nil:
		b.WriteString(drawing(w, *r.Witness))
	case free.Stalled != nil:
		b.WriteString(beginning(w, free.Stalled.Run))
	}
	fmt.Fprintf(&b, "%s  %s\n", strong(w, "verdict"), verdictLine(r))
	for i, who := range r.Waits {
		if i == mostWaits {
			b.WriteString(item("", fmt.Sprintf("and %s", count(len(r.Waits)-i, "other session"))))
			break
		}
		b.WriteString(item("waits", printable(who)))
	}
	b.WriteString(item("calls", callsLine(free)))
	for _, c := range r.Invariants {
		fmt.Fprintf(&b, "measure  %s\n", measureLine(c, r.Runs))
	}
	for _, err := range free.Errors {
		fmt.Fprintf(&b, "error    %s\n", printable(err.Error()))
	}
	if len(r.Needs) > 0 {
		b.WriteString(item("needs", strings.Join(r.Needs, ", ")+" set to the DSN of this run, which may hold a password and so is not printed"))
	}
	if fix != "" {
		fmt.Fprintf(&b, "fix      %s\n", fix)
	}
	fmt.Fprintf(&b, "again    %s\n", r.Command)
	_, err := io.WriteString(w, b.String())
	return err
}

func verdictLine(r runReport) string {
	line := "unknown"
	if r.Verdict == racelab.Violated {
		line = fmt.Sprintf("violated: %s did not hold after %d of %s", r.Invariant, r.Losses, count(r.Runs, "run"))
	}
	switch {
	case r.Reason == nil:
		return line
	case r.Verdict == racelab.Violated:
		return line + "; " + *r.Reason
	}
	return line + ": " + *r.Reason
}

// measureLine gives a claim's sums over the runs. Runs that are off in opposite
// directions do not make up for each other.
func measureLine(c stage.Claim, runs int) string {
	line := fmt.Sprintf("%s: expected %d, actual %d", c.Name, c.Expected, c.Actual)
	switch {
	case c.Held == runs:
		return line
	case c.Off == max(c.Expected-c.Actual, c.Actual-c.Expected):
		return fmt.Sprintf("%s, off by %d", line, c.Off)
	}
	return fmt.Sprintf("%s; off by %d, up and down added", line, c.Off)
}

func callsLine(r stage.FreeReport) string {
	parts := []string{fmt.Sprintf("%d succeeded", r.OK)}
	for _, class := range slices.Sorted(maps.Keys(r.Failed)) {
		parts = append(parts, fmt.Sprintf("%d %s", r.Failed[class], class.Words()))
	}
	if r.Unknown > 0 {
		parts = append(parts, fmt.Sprintf("%d unknown", r.Unknown))
	}
	if n := r.NotMade(); n > 0 {
		parts = append(parts, fmt.Sprintf("%d not made", n))
	}
	return strings.Join(parts, ", ")
}
