package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/racelab/racelab/internal/load"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
	"github.com/spf13/cobra"
)

// mostLines is up to how many requests get a line each.
const mostLines = 1000

// A hitScreen says what happens while it happens: a line for each request that
// ended, and on a terminal how far it all is.
type hitScreen struct {
	*progress
	out    io.Writer // nil: no lines
	target string
	sent   int
	done   int
}

func newHitScreen(c *cobra.Command, p load.Plan, asJSON bool) *hitScreen {
	s := &hitScreen{progress: newProgress(c.ErrOrStderr(), "", p.N), target: p.URL}
	if !asJSON && p.N <= mostLines {
		s.out = c.OutOrStdout()
	}
	return s
}

func (s *hitScreen) started(int) {
	s.sent++
	s.show()
}

func (s *hitScreen) ended(r load.Result) {
	s.done++
	if s.out != nil && r.Outcome != load.NotSent {
		s.clear()
		fmt.Fprintln(s.out, requestLine(r, s.target))
	}
	s.show()
}

func (s *hitScreen) show() {
	s.what = fmt.Sprintf("%d sent, ended", s.sent)
	s.at(s.done)
}

func (s *hitScreen) stage(what string) {
	if s.w != nil {
		fmt.Fprintf(s.w, "\r\x1b[K%s ...", what)
	}
}

// requestLine is `3: POST URL 200 1.2s`, with the class where the status does
// not say all.
func requestLine(r load.Result, target string) string {
	line := fmt.Sprintf("%d: POST %s", r.I, printable(target))
	if r.Status != 0 {
		line += fmt.Sprintf(" %d", r.Status)
	}
	if r.Outcome != load.Acknowledged && !strings.HasPrefix(r.Class, "http-") {
		line += " " + racelab.Class(r.Class).Words()
	}
	return line + " " + brief(r.Latency)
}

// brief rounds a time to two digits or so.
func brief(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

// printHit says a run's verdict to a person; command makes the line that hits
// a target in the same way.
func printHit(w io.Writer, r load.Report, h load.History, target string, command func(string) string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s  %s\n", strong(w, "verdict"), printable(hitVerdict(r)))
	fmt.Fprintf(&b, "requests %s of %d to %s: %s\n", count(r.Requests, "deposit"), r.Amount, printable(r.Target), requestsLine(r))
	if r.Lost != nil {
		fmt.Fprintf(&b, "money    balance before %d, %s recorded: expected %d, actual %d, lost %d\n",
			r.Before.Balance, count(*r.Recorded, "deposit"), *r.Expected, *r.Actual, *r.Lost)
	}
	if r.Latency != nil {
		fmt.Fprintf(&b, "latency  p50 %s, p95 %s, p99 %s, max %s, from the intended start\n",
			ms(r.Latency.P50), ms(r.Latency.P95), ms(r.Latency.P99), ms(r.Latency.Max))
	}
	if r.Spread != nil {
		fmt.Fprintf(&b, "starts   within %s of their time, half of them within %s (measured at the client)\n", ms(r.Spread.Max), ms(r.Spread.P50))
	}
	for _, d := range details(r) {
		fmt.Fprintf(&b, "detail   %s\n", printable(d))
	}
	b.WriteByte('\n')
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	b.Reset()
	if run, err := stage.DecodeRun(h.Events, h.At); err == nil && r.Verdict == load.Violated {
		printLoss(w, run)
	}
	for _, why := range hitWhy(r) {
		fmt.Fprintf(&b, "why      %s\n", strings.ReplaceAll(wrap(why, 70), "\n", "\n         "))
	}
	if fix := hitFix(r); fix != "" && fix != target {
		fmt.Fprintf(&b, "fix      %s\n", command(fix))
	}
	fmt.Fprintf(&b, "again    %s\n", command(target))
	_, err := io.WriteString(w, b.String())
	return err
}

func ms(v float64) string { return brief(time.Duration(v * float64(time.Millisecond))) }

func hitVerdict(r load.Report) string {
	switch {
	case r.Reason != nil:
		return fmt.Sprintf("%s: %s", r.Verdict, *r.Reason)
	case r.Verdict == load.Holds:
		return "holds: nothing is lost"
	}
	return string(r.Verdict)
}

// requestsLine says what became of the requests; it adds up to all of them.
func requestsLine(r load.Report) string {
	parts := []string{fmt.Sprintf("%d acknowledged", r.Acknowledged)}
	if r.RecordedOnly > 0 {
		parts = append(parts, fmt.Sprintf("%d without an answer but recorded", r.RecordedOnly))
	}
	for _, class := range slices.Sorted(maps.Keys(r.Failed)) {
		parts = append(parts, fmt.Sprintf("%d failed (%s)", r.Failed[class], racelab.Class(class).Words()))
	}
	if r.Unknown > 0 {
		parts = append(parts, fmt.Sprintf("%d unknown", r.Unknown))
	}
	if r.NotSent > 0 {
		parts = append(parts, fmt.Sprintf("%d not sent", r.NotSent))
	}
	return strings.Join(parts, ", ")
}

// details are what the lab said about failures, each once, and not too many.
func details(r load.Report) []string {
	var all []string
	for _, one := range r.Results {
		if one.Detail != "" && !slices.Contains(all, one.Detail) && len(all) < 3 {
			all = append(all, one.Detail)
		}
	}
	return all
}

// hitWhy explains the verdict.
func hitWhy(r load.Report) []string {
	if r.Lost == nil {
		return nil
	}
	var all []string
	aborted := 0
	var classes []string
	for _, class := range slices.Sorted(maps.Keys(r.Failed)) {
		if c := racelab.Class(class); c.Aborted() {
			aborted += r.Failed[class]
			classes = append(classes, c.Words())
		}
	}
	lost := *r.Lost != 0 || *r.Unrecorded > 0
	if *r.Lost > 0 {
		all = append(all, "Deposits read the same balance, and each wrote back its own sum: the last one to write wins. The rows of the others are in the ledger, their money is not in the balance.")
	}
	if *r.Lost > 0 && r.RecordedOnly > 0 && r.Statuses[http.StatusBadGateway] > 0 {
		all = append(all, "Not all of it need be a race: a worker that is killed between the ledger row and the balance (502) leaves its deposit half done, if there is no transaction around both.")
	}
	if aborted > 0 && r.FailedRecorded == 0 {
		why := fmt.Sprintf("The database aborted %s (%s): nothing was written for them.", count(aborted, "deposit"), strings.Join(classes, ", "))
		if !lost {
			why = fmt.Sprintf("The database aborted %s (%s) instead of losing money: nothing was lost, nothing was written for them. Whoever sent them has to try again.",
				count(aborted, "deposit"), strings.Join(classes, ", "))
		}
		all = append(all, why)
	}
	if r.Failed[string(racelab.Deadlock)] > 0 {
		all = append(all, "A deadlock: two deposits held a lock that the other one wanted, and the database rolled one of them back.")
	}
	if r.FailedRecorded > 0 {
		all = append(all, fmt.Sprintf("%s failed and left a row in the ledger all the same: without a transaction, what is half done stays.", count(r.FailedRecorded, "deposit")))
	}
	if r.Verdict == load.Holds && aborted == 0 && *r.Recorded > 0 && !declaredSafe(r.Strategy) {
		all = append(all, "No two deposits met this time, or luck helped: nothing in this strategy keeps them apart. Send them closer together (--wait 0) to a lab with several workers.")
	}
	return all
}

func declaredSafe(strategy string) bool {
	deposit, _ := scenario.Named("deposit")
	st, ok := deposit.Strategy(strategy)
	return !ok || st.Safe // of what is not ours, nothing is claimed
}

// hitFix names a strategy that does not lose, if that one did.
func hitFix(r load.Report) string {
	if r.Verdict != load.Violated || *r.Lost <= 0 {
		return ""
	}
	deposit, _ := scenario.Named("deposit")
	e, err := dsn.Named(r.Engine)
	if err != nil {
		return ""
	}
	return fixOf(stage.Selection{Scenario: deposit, Engine: e})
}

// hitHistory asks the lab what it recorded of the run. It is for the picture
// only: without it, the verdict is the same.
func hitHistory(ctx context.Context, h load.Hit, r load.Report) load.History {
	if r.Verdict != load.Violated || *r.Recorded == 0 {
		return load.History{}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hitGrace)
	defer cancel()
	history, err := h.Lab.History(ctx, h.Plan.Prefix)
	if err != nil {
		return load.History{}
	}
	return history
}

// printLoss draws one lost update of what a lab recorded, if there is one.
func printLoss(w io.Writer, run racelab.Run) {
	if _, ok := stage.LostUpdate(run); ok {
		fmt.Fprint(w, drawing(w, run))
	}
}
