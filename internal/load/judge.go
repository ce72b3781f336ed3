package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Evidence is all that a verdict rests on.
type Evidence struct {
	Plan    *Plan
	Amount  int64
	Results []Result

	// Before and After are the account around the run; nil, with NoLedger
	// saying why, if there is no lab to ask.
	Before, After *Snapshot
	NoLedger      string
	// BusyAfter is how many requests the lab still had in flight when the
	// second snapshot was taken.
	BusyAfter int
}

// Judge decides. Two things have to hold: every deposit that the ledger
// records is in the balance, and every one that was acknowledged is recorded.
func Judge(e Evidence) Report {
	r := Report{Schema: "racelab.hit/1", Target: e.Plan.URL, Requests: e.Plan.N, Amount: e.Amount, Results: slices.Clone(e.Results)}
	if e.Before == nil || e.After == nil {
		r.count()
		r.Verdict, r.Reason = Undecided, &e.NoLedger
		return r
	}
	r.Settled = e.BusyAfter == 0
	l, why := compare(e)
	if why != "" {
		r.count()
		r.Verdict, r.Reason = Undecided, &why
		return r
	}
	r.resolve(e.Plan, l)
	r.count()
	r.balance(e, l)
	r.decide(e.BusyAfter)
	return r
}

// added is what a run has added to the ledger.
type added struct {
	has map[int]bool // which requests of the plan have a row, one each
	sum int64
}

// compare finds the rows that were added. It gives the reason if they do not
// say what this run did, because something else was at work.
func compare(e Evidence) (added, string) {
	a := added{has: map[int]bool{}}
	if e.Before.Torn || e.After.Torn {
		return a, "the ledger changed while it was read: something else writes to the account"
	}
	old := make(map[int64]Row, len(e.Before.Rows))
	for _, row := range e.Before.Rows {
		old[row.ID] = row
	}
	kept, foreign := 0, 0
	for _, row := range e.After.Rows {
		if before, ok := old[row.ID]; ok && before == row {
			kept++
			continue
		}
		i := e.Plan.index(row.Request)
		if i == 0 {
			foreign++
			continue
		}
		if a.has[i] {
			return a, fmt.Sprintf("request %d has several rows: something between here and the lab sent it again", i)
		}
		a.has[i] = true
		a.sum += row.Amount
	}
	switch {
	case foreign > 0:
		return a, fmt.Sprintf("foreign traffic: %s came from other requests during the run", plural(foreign, "row"))
	case kept != len(old):
		return a, fmt.Sprintf("%s of before the run went away: the lab was reset, or they were deleted", plural(len(old)-kept, "row"))
	}
	return a, ""
}

// resolve decides by the ledger what became of requests that nobody answered.
// Without a row they have failed only if nothing is in flight any more; one
// that was cut off from here may not have been read by the lab yet.
func (r *Report) resolve(p *Plan, l added) {
	for i := range r.Results {
		one := &r.Results[i]
		has := l.has[one.I]
		switch {
		case one.Outcome == Unknown && has:
			one.Outcome, one.Class = Recorded, "recorded"
		case one.Outcome == Unknown && r.Settled && one.Class != interrupted:
			one.Outcome = Failed
		case one.Outcome == Failed && has:
			r.FailedRecorded++
		}
	}
}

func (r *Report) balance(e Evidence, l added) {
	recorded, expected, actual := len(l.has), e.Before.Balance+l.sum, e.After.Balance
	lost, unrecorded := expected-actual, 0
	for _, one := range r.Results {
		if one.Outcome == Acknowledged && !l.has[one.I] {
			unrecorded++
		}
	}
	r.Before = &Holding{e.Before.Balance, len(e.Before.Rows)}
	r.After = &Holding{e.After.Balance, len(e.After.Rows)}
	r.Recorded, r.Expected, r.Actual, r.Lost, r.Unrecorded = &recorded, &expected, &actual, &lost, &unrecorded
}

// decide comes last: a loss is certain as soon as nothing is in flight, also
// if one request's fate is not.
func (r *Report) decide(busy int) {
	say := func(v Verdict, why string, args ...any) {
		r.Verdict, r.Reason = v, new(fmt.Sprintf(why, args...))
	}
	switch {
	case !r.Settled:
		say(Undecided, "the lab still has %s in flight: what they write is not known yet", plural(busy, "request"))
	case *r.Unrecorded > 0:
		say(Violated, "%s acknowledged and not in the ledger", plural(*r.Unrecorded, "deposit"))
	case *r.Lost > 0:
		say(Violated, "%d is lost: by the ledger the balance should be %d, and it is %d", *r.Lost, *r.Expected, *r.Actual)
	case *r.Lost < 0:
		say(Violated, "the balance holds %d more than the ledger records", -*r.Lost)
	case r.Unknown > 0:
		say(Undecided, "nobody knows what became of %s", plural(r.Unknown, "request"))
	case *r.Recorded == 0 && len(r.Failed) == 0:
		say(Undecided, "nothing was sent")
	case *r.Recorded == 0 && !r.leftNothing():
		say(Undecided, "nothing was recorded, because %s: that proves nothing", r.failures())
	case *r.Recorded == 0:
		say(Holds, "nothing was recorded, so nothing could be lost")
	default:
		r.Verdict = Holds
	}
}

// abortedClasses are those that say "nothing happened": the database gave up
// the deposit, or the deposit declined to run.
var abortedClasses = []string{
	"deadlock", "serialization-failure", "lock-timeout", "lock-not-available", "busy", "exhausted", "refused",
}

// leftNothing reports whether every failure is one that an exhibit may have. A
// path that is not there, or a strategy that the engine does not have, also
// records nothing, and nothing is shown by it.
func (r *Report) leftNothing() bool {
	for class := range r.Failed {
		if !slices.Contains(abortedClasses, class) {
			return false
		}
	}
	return true
}

// failures says how requests failed: "10 requests failed (http-404)".
func (r *Report) failures() string {
	n := 0
	for _, of := range r.Failed {
		n += of
	}
	return fmt.Sprintf("%s failed (%s)", plural(n, "request"), strings.Join(slices.Sorted(maps.Keys(r.Failed)), ", "))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
