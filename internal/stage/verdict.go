package stage

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
)

// Verdict says what an exploration proves, and why; lost is why it broke off,
// if it did. A data race is a finding too. A finding is one whatever came after, unless its own schedule did
// not always give the same: then what the serial orders gave is not sure either.
func (o Explored) Verdict(x Exploration, lost error) (racelab.VerdictKind, string) {
	replayed := o.Replayed.Of > 0 && o.Replayed.OK == o.Replayed.Of
	uncontrolled := cmp.Or(o.Replayed.Different, o.Checked.Different)
	switch {
	case o.Witness != nil && (replayed || lost != nil && o.Replayed.Different == ""):
		return racelab.Violated, o.Judgement.Reason()
	case uncontrolled != "":
		return racelab.Unknown, "the same schedule gave different histories: " + uncontrolled
	case lost != nil:
		return racelab.Unknown, lost.Error()
	case (o.Violations > 0 || o.Raced > 0) && o.Witness == nil:
		return racelab.Unknown, fmt.Sprintf("the budget (%s) was used up before the finding was run again", x.budget())
	case o.Violations > 0 || o.Witness != nil:
		return racelab.Unknown, "the finding could not be replayed"
	case x.Part.Of > 0:
		return racelab.Unknown, fmt.Sprintf("this is part %s of a search: --resume puts the parts together", x.Part)
	case x.Random > 0 && o.Schedules < x.Random || !o.Complete && x.Random == 0 && !(x.Bound != nil && o.Bounded):
		schedules := "1 schedule"
		if o.Schedules != 1 {
			schedules = fmt.Sprintf("%d schedules", o.Schedules)
		}
		why := fmt.Sprintf("the budget (%s) was used up after %s: no violation among these, and others were not run", x.budget(), schedules)
		if o.Undecided {
			why += "; one more is, unless a serial order that was not run explains it"
		}
		return racelab.Unknown, why
	case !o.Conflicted:
		return racelab.Holds, "nothing conflicted"
	}
	return racelab.Holds, ""
}

// Committed reports whether a call succeeded in some schedule.
func (o Explored) Committed() bool {
	calls, failed := 0, 0
	for _, own := range o.Calls {
		calls += len(own)
	}
	for _, n := range o.Classes {
		failed += n
	}
	return failed < calls*o.Schedules
}

// Notes say of what is no violation why it may not be what was meant: no serial
// order did better.
func (o Explored) Notes() (notes []string) {
	if o.Schedules == 0 || o.Violations > 0 {
		return nil
	}
	if !o.Committed() {
		var how []string
		for _, class := range slices.Sorted(maps.Keys(o.Classes)) {
			how = append(how, fmt.Sprintf("%d %s", o.Classes[class], class.Words()))
		}
		notes = append(notes, "no call succeeded in any schedule, and so in no serial order: "+strings.Join(how, ", "))
	}
	if n := o.Classes[racelab.Panicked]; n > 0 {
		note := fmt.Sprintf("a call panicked %d times, and does so in a serial order, too", n)
		if n == 1 {
			note = "a call panicked once, and does so in a serial order, too"
		}
		if o.Passing != nil {
			if why, ok := check.PanicIn(o.Passing.History); ok {
				note += ": " + why
			}
		}
		notes = append(notes, note)
	}
	if o.Steps == 0 {
		notes = append(notes, "no call made a step: none of them touched what is shared")
	}
	return notes
}

// budget is how much was to be searched at most, for people.
func (x Exploration) budget() string {
	if x.Budget > 0 {
		return strconv.Itoa(x.Budget)
	}
	return x.Time.String()
}
