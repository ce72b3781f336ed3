package stage_test

import (
	"testing"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/stage"
)

func TestWhatABudgetLeavesOpenIsSaid(t *testing.T) {
	budget := stage.Exploration{Time: 5 * time.Second}
	for want, test := range map[string]struct {
		found explore.Report
		x     stage.Exploration
	}{
		"the budget (5s) was used up after 1 schedule: no violation among these, and others were not run": {explore.Report{Schedules: 1}, budget},
		"the budget (5s) was used up after 7 schedules: no violation among these, and others were not run; one more is, unless a serial order that was not run explains it": {
			explore.Report{Schedules: 7, Undecided: true}, budget},
		"the budget (5s) was used up before the finding was run again":                                    {explore.Report{Schedules: 7, Violations: 1}, budget},
		"the budget (4) was used up after 4 schedules: no violation among these, and others were not run": {explore.Report{Schedules: 4, Conflicts: 1}, stage.Exploration{Budget: 4, Random: 5}},
	} {
		if v, why := (stage.Explored{Report: test.found}).Verdict(test.x, nil); v != racelab.Unknown || why != want {
			t.Errorf("%s: %s, want unknown: %s", v, why, want)
		}
	}
	sample := stage.Explored{Report: explore.Report{Schedules: 5, Conflicts: 1}}
	if v, why := sample.Verdict(stage.Exploration{Budget: 9, Random: 5}, nil); v != racelab.Holds {
		t.Errorf("a whole sample is %s: %s", v, why)
	}
}
