package explore

import (
	"cmp"
	"slices"

	"github.com/racelab/racelab/internal/check"
)

// An OutcomeCount is an outcome and how many runs came to it.
type OutcomeCount struct {
	State, Results string
	Count          int
	Serial         bool // a serial order that was run gives it
	Broken         bool // an invariant does not hold
}

// Outcomes count what runs come to.
type Outcomes struct {
	All []OutcomeCount // in the order in which they appeared
	at  map[string]int // position in All, by text
}

// countsOf goes on with outcomes that were counted before.
func countsOf(all []OutcomeCount) Outcomes {
	o := Outcomes{all, map[string]int{}}
	for i, c := range all {
		o.at[c.Results+"|"+c.State] = i
	}
	return o
}

// Add counts a run.
func (o *Outcomes) Add(v check.Judgement) {
	text := v.Outcome.Text
	at, ok := o.at[text]
	if !ok {
		if o.at == nil {
			o.at = map[string]int{}
		}
		at = len(o.All)
		o.at[text] = at
		o.All = append(o.All, OutcomeCount{State: v.Outcome.State, Results: v.Outcome.Results(nil), Serial: v.Serial, Broken: v.Broken})
	}
	o.All[at].Count++
}

// MostFrequent lists outcomes, the most frequent first.
func MostFrequent(all []OutcomeCount) []OutcomeCount {
	return slices.SortedStableFunc(slices.Values(all), func(a, b OutcomeCount) int { return cmp.Compare(b.Count, a.Count) })
}
