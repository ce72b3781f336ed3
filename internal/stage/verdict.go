package stage

import (
	"cmp"
	"fmt"
	"strconv"

	"github.com/racelab/racelab"
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
		why := fmt.Sprintf("the budget (%s) was used up after %s, none of them a violation", x.budget(), schedules)
		if o.Undecided {
			why += "; one more is, unless a serial order that was not run explains it"
		}
		return racelab.Unknown, why
	case !o.Conflicted:
		return racelab.Holds, "nothing conflicted"
	}
	return racelab.Holds, ""
}

// budget is how much was to be searched at most, for people.
func (x Exploration) budget() string {
	if x.Budget > 0 {
		return strconv.Itoa(x.Budget)
	}
	return x.Time.String()
}
