package explore

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
)

// A result grows with each run that is judged.
type result struct {
	Report
	search    *Search
	outcomes  Outcomes // those of the report
	conflicts check.Conflicts
	own       int // serial runs that are schedules
	earlier   int // serial runs that are none, of an earlier search
	made      int // runs of schedules that are not serial
	before    int // runs that do not count for the budget
}

// ran counts all runs, also those that are yet to be judged.
func (r *result) ran() int { return r.made + r.search.Judge.Runs() }

// beside counts the serial runs that are no schedules of the search.
func (r *result) beside() int { return r.earlier + r.search.Judge.Runs() - r.own }

// take takes up the counts of an earlier search.
func (r *result) take(p savedReport) {
	r.Report = Report{
		Schedules: p.Schedules, Serial: p.Serial, Aborted: p.Aborted, Classes: p.Classes, Deadlocked: p.Deadlocked,
		Violations: p.Violations, FirstFound: p.FirstFound, Outcomes: p.Outcomes,
		Raced: p.Raced, Races: p.Races,
	}
	if r.Classes == nil {
		r.Classes = map[racelab.Class]int{}
	}
	r.outcomes, r.conflicts = countsOf(p.Outcomes), check.Conflicts{}
	r.conflicts.Load(p.Conflicts)
	r.earlier = p.Beside
	r.before = r.ran()
}

// add judges a run and counts it.
func (r *result) add(ctx context.Context, h racelab.History) error {
	v, err := r.search.Judge.Judge(ctx, h)
	if err != nil {
		r.Undecided = errors.Is(err, check.ErrStopped)
		return err
	}
	r.Schedules++
	if r.search.Judged != nil {
		r.search.Judged(h)
	}
	r.conflicts.Add(h)
	if v.Aborted > 0 {
		r.Aborted++
	}
	if v.Deadlock {
		r.Deadlocked++
	}
	for _, class := range v.Failed {
		r.Classes[class]++
	}
	r.note(h, v.Races)
	r.outcomes.Add(v)
	r.Outcomes = r.outcomes.All

	preempted, switches := measured(h)
	if r.mayBeWitness(v, preempted, switches) {
		if f := findingOf(h, v); r.Witness == nil || simpler(f, *r.Witness) {
			r.Witness = f.kept()
		}
	}
	if !v.Violated {
		if r.Passing == nil || switches > r.Passing.Schedule.Switches() {
			r.Passing = findingOf(h, v).kept()
		}
		return nil
	}
	r.Violations++
	if r.FirstFound == 0 {
		r.FirstFound = r.Schedules
	}
	return nil
}

// note keeps the first race of each pair of lines.
func (r *result) note(h racelab.History, races []check.Race) {
	if len(races) > 0 {
		r.Raced++
	}
	for _, race := range races {
		if !slices.ContainsFunc(r.Races, func(known FoundRace) bool { return known.Lines() == race.Lines() }) {
			r.Races = append(r.Races, FoundRace{race, ScheduleOf(h).String(), r.Schedules})
		}
	}
}

// mayBeWitness reports whether a run may be a better witness than the one there
// is.
func (r *result) mayBeWitness(v check.Judgement, preempted, switches int) bool {
	switch {
	case v.Severity() == 0:
		return false
	case r.Witness == nil:
		return true
	}
	return cmp.Or(
		cmp.Compare(r.Witness.Judgement.Severity(), v.Severity()),
		cmp.Compare(preempted, r.Witness.Preempted),
		cmp.Compare(switches, r.Witness.Schedule.Switches()),
	) <= 0
}

// forget takes back all counts but that of the serial runs.
func (r *result) forget() {
	r.Report = Report{Serial: r.Serial, Classes: map[racelab.Class]int{}}
	r.outcomes, r.conflicts = Outcomes{}, check.Conflicts{}
}

// findingOf makes a finding of a run.
func findingOf(h racelab.History, v check.Judgement) Finding {
	preempted, _ := measured(h)
	return Finding{Schedule: ScheduleOf(h), History: h, Judgement: v, Preempted: preempted}
}

// kept is a finding with events of its own: the next run may use the memory of
// this one.
func (f Finding) kept() *Finding {
	f.History.Events = slices.Clone(f.History.Events)
	return &f
}

// simpler orders findings: the more severe, then fewer preemptions, then fewer switches, then fewer
// steps, then the schedule's text.
func simpler(a, b Finding) bool {
	if c := cmp.Or(
		cmp.Compare(b.Judgement.Severity(), a.Judgement.Severity()),
		cmp.Compare(a.Preempted, b.Preempted),
		cmp.Compare(a.Schedule.Switches(), b.Schedule.Switches()),
		cmp.Compare(len(a.Schedule), len(b.Schedule)),
	); c != 0 {
		return c < 0
	}
	return !slices.Equal(a.Schedule, b.Schedule) && a.Schedule.String() < b.Schedule.String()
}

func (r *result) finish(complete bool) Report {
	r.Beside = r.beside()
	r.Complete, r.Conflicts, r.Conflicted = complete, r.conflicts.BothOrders(), r.conflicts.Any()
	r.Outcomes = MostFrequent(r.Outcomes)
	return r.Report
}
