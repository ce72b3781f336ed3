package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/load"
	"github.com/racelab/racelab/internal/stage"
)

// printHit says a run's verdict to a person; fix and again are lines to type.
func printHit(w io.Writer, r load.Report, h load.History, fix, again string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s  %s\n", strong(w, "verdict"), plain(hitVerdict(r)))
	fmt.Fprintf(&b, "requests %s of %d to account %d at %s: %s\n", count(r.Requests, "deposit"), r.Amount, r.Account, plain(r.Target), requestsLine(r))
	if r.Workers != nil {
		fmt.Fprintf(&b, "lab      %s, %s, %s, window %s\n", plain(r.Engine), plain(r.Level), count(*r.Workers, "worker"), plain(r.Window))
	}
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
		fmt.Fprintf(&b, "detail   %s\n", plain(d))
	}
	b.WriteByte('\n')
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	b.Reset()
	if run, err := stage.DecodeRun(h.Events, h.At); err == nil && r.Verdict == load.Violated {
		if _, ok := stage.LostUpdate(run); ok {
			b.WriteString(drawing(w, run))
		}
	}
	for _, why := range hitWhy(r) {
		b.WriteString(item("why", why))
	}
	if fix != "" {
		fmt.Fprintf(&b, "fix      %s\n", fix)
	}
	fmt.Fprintf(&b, "again    %s\n", again)
	_, err := io.WriteString(w, b.String())
	return err
}

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

// raced is the money that a race has lost: what deposits that failed left half
// done is no race's.
func raced(r load.Report) int64 {
	if r.Lost == nil {
		return 0
	}
	return *r.Lost - r.Amount*int64(r.FailedRecorded)
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
	if raced(r) > 0 {
		all = append(all, "Deposits read the same balance, and each wrote back its own sum: the last one to write wins. The rows of the others are in the ledger, their money is not in the balance.")
	}
	if raced(r) > 0 && r.RecordedOnly > 0 && r.Statuses[http.StatusBadGateway] > 0 {
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
