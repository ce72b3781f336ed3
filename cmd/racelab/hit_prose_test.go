package main

import (
	"strings"
	"testing"

	"github.com/racelab/racelab/internal/load"
)

func TestOnlyWhatARaceLostIsSaidToBeItsLoss(t *testing.T) {
	for _, c := range []struct {
		name           string
		lost           int64
		failedRecorded int
		race           bool
	}{
		{"all were answered", 200, 0, true},
		{"all failed halfway", 300, 3, false},
		{"one failed halfway, one was overwritten", 200, 1, true},
		{"nothing is lost", 0, 0, false},
		{"money appeared", -100, 1, false},
	} {
		r := load.Report{
			Verdict: load.Violated, Amount: 100, Lost: &c.lost, FailedRecorded: c.failedRecorded,
			Recorded: new(3), Unrecorded: new(0), Failed: map[string]int{},
		}
		why := strings.Join(hitWhy(r), "\n")
		if strings.Contains(why, "read the same balance") != c.race || (raced(r) > 0) != c.race {
			t.Errorf("%s: %s", c.name, why)
		}
		if strings.Contains(why, "left a row") != (c.failedRecorded > 0) {
			t.Errorf("%s: %s", c.name, why)
		}
	}
}
