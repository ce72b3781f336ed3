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
	Unknown      int                   `json:"unknown"`   // cut off, or without their connection
	NotSent      int                   `json:"not_sent"`  // there was no time for them
	Rate         *stage.Rate           `json:"rate"`      // of losses, with a confidence of 95 %; null without a run
	Undecided    int                   `json:"undecided"` // runs of which not enough serial orders were run to say

	// The invariant that failed, or the first: its sums, and how far the runs
	// were off, summed without their sign.
	Invariant string `json:"invariant"`
	Expected  int64  `json:"expected"`
	Actual    int64  `json:"actual"`
	Lost      int64  `json:"lost"`

	Verdict    racelab.VerdictKind `json:"verdict"`
	Reason     *string             `json:"reason"`
	Invariants []stage.Claim       `json:"invariants"`
	Outcomes   []exploreOutcome    `json:"outcomes"` // of runs that share nothing but memory, whose operations are not recorded
	Explored   *besideReport       `json:"explored"` // of such
	Waits      []string            `json:"waits"`    // who was in the middle of what in a run that did not end
	Witness    *racelab.Run        `json:"witness"`
	Picture    *string             `json:"picture_command"` // shows a run step by step, where this does not
	Command    string              `json:"command"`
	Needs      []string            `json:"command_needs"` // environment variables
	Seconds    float64             `json:"seconds"`

	asked int // runs
}

// A besideReport is what the schedules come to, beside which luck is seen.
type besideReport struct {
	Complete   bool `json:"complete"`
	Schedules  int  `json:"schedules"`
	Violations int  `json:"violations"`
	Raced      int  `json:"raced_schedules"`
}

func newRunReport(sel stage.Selection, p racelab.Product, f stage.Free, r stage.FreeReport) runReport {
	out := runReport{
		Schema: "racelab.run/1", Scenario: sel.Scenario.Name, Strategy: sel.Strategy.Name, Engine: sel.Engine.Name,
		Level: sel.Level, Product: inForce(p, sel.Level), Sessions: len(sel.Scenario.Dealt(f.Sessions)), Processes: f.Processes,
		Window: f.Window.String(), Seed: f.Seed, Runs: r.Runs, Losses: r.Losses, Requests: r.Calls, Acknowledged: r.OK,
		Failed: r.Failed, Unknown: r.Unknown, NotSent: r.NotMade(), Invariants: append([]stage.Claim{}, r.Claims...),
		Waits: []string{}, Witness: r.Witness, Verdict: racelab.Unknown, asked: f.Runs,
		Undecided: r.Undecided, Outcomes: []exploreOutcome{},
	}
	if r.Runs > 0 {
		rate := stage.RateOf(r.Losses, r.Runs)
		rate.High = stage.RateOf(r.Losses+r.Undecided, r.Runs).High // each of them may be one
		out.Rate = &rate
	}
	for _, o := range r.Outcomes {
		out.Outcomes = append(out.Outcomes, exploreOutcome(o))
	}
	if x := r.Explored; x != nil {
		out.Explored = &besideReport{x.Complete, x.Schedules, x.Violations, x.Raced}
	}
	if c, ok := broken(r); ok {
		out.Invariant, out.Expected, out.Actual, out.Lost = c.Name, c.Expected, c.Actual, c.Off
	}
	switch {
	case r.Losses > 0:
		out.Verdict = racelab.Violated
	case r.Undecided > 0:
		why := fmt.Sprintf("%s came to what none of the serial orders gives that were run, and there are more of them", count(r.Undecided, "run"))
		out.Reason = &why
	default:
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
	level := string(r.Level)
	if r.Explored != nil {
		level = "its own primitives" // which promise that level only to programs without data races
	}
	fmt.Fprintf(&b, "%s on %s %s, %s: %d sessions, %s, window %s\n\n",
		strong(w, sel.Name()), r.Name, r.Version, level, r.Sessions, count(r.Runs, "run"), r.Window)
	switch {
	case r.Witness != nil:
		b.WriteString(drawing(w, *r.Witness))
	case free.Stalled != nil:
		b.WriteString(beginning(w, free.Stalled.Run))
	}
	fmt.Fprintf(&b, "%s  %s\n", strong(w, "verdict"), plain(verdictLine(r)))
	for i, who := range r.Waits {
		if i == mostWaits {
			b.WriteString(item("", fmt.Sprintf("and %s", count(len(r.Waits)-i, "other session"))))
			break
		}
		b.WriteString(item("waits", who))
	}
	if r.Explored != nil {
		b.WriteString(item("luck", r.luckLine()))
		b.WriteString(item("explored", r.Explored.String()))
		printOutcomes(&b, r.Outcomes)
	}
	b.WriteString(item("calls", callsLine(free)))
	for _, c := range r.Invariants {
		fmt.Fprintf(&b, "measure  %s\n", plain(measureLine(c, r.Runs)))
	}
	for _, err := range free.Errors {
		fmt.Fprintf(&b, "error    %s\n", plain(err.Error()))
	}
	if r.Picture != nil {
		fmt.Fprintf(&b, "picture  %s\n", *r.Picture)
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
	switch {
	case r.Verdict != racelab.Violated:
	case r.Explored != nil:
		line = fmt.Sprintf("violated: %d of %s came to what no serial order gives", r.Losses, count(r.Runs, "run"))
	default:
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

// luckLine says how often luck has shown the race, and how often it may.
func (r runReport) luckLine() string {
	if r.Rate == nil {
		return "no run was judged"
	}
	line := fmt.Sprintf("%d of %s lost, which is %s; in the long run %s to %s (95 %% confidence, Wilson score)",
		r.Losses, count(r.Runs, "run"), percent(r.Rate.Seen), percent(r.Rate.Low), percent(r.Rate.High))
	if r.Undecided > 0 {
		line += fmt.Sprintf("; %d more are a loss unless a serial order that was not run explains them", r.Undecided)
	}
	return line
}

// String says how many schedules there are, for people.
func (x besideReport) String() string {
	line := fmt.Sprintf("%s, and %d of them violate", count(x.Schedules, "schedule"), x.Violations)
	if !x.Complete {
		line = fmt.Sprintf("unknown how many schedules there are: of the %d that were run, %d violate", x.Schedules, x.Violations)
	}
	if x.Raced > 0 {
		line += fmt.Sprintf("; in %d there is a data race", x.Raced)
	}
	return line
}
