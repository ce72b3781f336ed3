package explore

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
)

// A result grows with each run that is judged.
type result struct {
	Report
	search    *Search
	outcomes  map[string]int // position in Report.Outcomes
	conflicts check.Conflicts
	before    int // schedules that an earlier search has run
}

// add judges a run and counts it.
func (r *result) add(ctx context.Context, h racelab.History) error {
	v, err := r.search.Judge.Judge(ctx, h)
	if err != nil {
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
	for _, result := range v.Outcome.Calls {
		if result.Class != racelab.OK {
			r.Classes[result.Class]++
		}
	}
	r.note(h, v.Races)
	results := v.Outcome.Results(nil)
	text := results + "|" + v.Outcome.State
	at, ok := r.outcomes[text]
	if !ok {
		at = len(r.Outcomes)
		r.outcomes[text] = at
		r.Outcomes = append(r.Outcomes, OutcomeCount{State: v.Outcome.State, Results: results, Serial: v.Serial})
	}
	r.Outcomes[at].Count++

	f := findingOf(h, v)
	if v.Severity() > 0 && (r.Witness == nil || simpler(f, *r.Witness)) {
		r.Witness = &f
	}
	if !v.Violated {
		if r.Passing == nil || f.Schedule.Switches() > r.Passing.Schedule.Switches() {
			r.Passing = &f
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

// forget takes back all counts but that of the serial runs.
func (r *result) forget() {
	r.Report = Report{Serial: r.Serial, Classes: map[racelab.Class]int{}}
	r.outcomes, r.conflicts = map[string]int{}, check.Conflicts{}
}

func findingOf(h racelab.History, v check.Judgement) Finding {
	return Finding{Schedule: ScheduleOf(h), History: h, Judgement: v, Preempted: preemptions(h)}
}

// simpler orders findings: the more severe, then fewer preemptions, then fewer switches, then fewer
// steps, then the schedule's text.
func simpler(a, b Finding) bool {
	return cmp.Or(
		cmp.Compare(b.Judgement.Severity(), a.Judgement.Severity()),
		cmp.Compare(a.Preempted, b.Preempted),
		cmp.Compare(a.Schedule.Switches(), b.Schedule.Switches()),
		cmp.Compare(len(a.Schedule), len(b.Schedule)),
		cmp.Compare(a.Schedule.String(), b.Schedule.String()),
	) < 0
}

func (r *result) finish(complete bool) Report {
	r.Complete, r.Conflicts = complete, r.conflicts.BothOrders()
	slices.SortStableFunc(r.Outcomes, func(a, b OutcomeCount) int { return cmp.Compare(b.Count, a.Count) })
	return r.Report
}

// sample runs random schedules: at each decision every choice is as likely.
func (s *Search) sample(ctx context.Context, r *result) (Report, error) {
	for i := range s.Random {
		if s.over(r) {
			return r.finish(false), nil
		}
		random := rand.New(rand.NewPCG(s.Seed, uint64(i)))
		h, err := s.Runners[0](ctx, Plan{Then: func(ready []racelab.Choice) racelab.Choice { return ready[random.IntN(len(ready))] }})
		if err != nil {
			return r.finish(false), err
		}
		if err := r.add(ctx, h); err != nil {
			return r.finish(false), err
		}
		if s.Tell != nil {
			s.Tell(r.Schedules, r.Serial+s.Random)
		}
	}
	return r.finish(false), nil
}
