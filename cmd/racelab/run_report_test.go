package main

import (
	"strings"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
)

// What could not be judged may be a loss: the bounds leave room for it, and
// nobody reads that there was none.
func TestRunsThatWereNotJudgedAreNotTakenForGood(t *testing.T) {
	s, _ := scenario.Named("counter")
	sel := stage.Selection{Scenario: s, Strategy: &s.Strategies[0]}
	r := newRunReport(sel, racelab.Product{}, stage.Free{}, stage.FreeReport{Runs: 10, Undecided: 5, Explored: &explore.Report{}})
	if want := stage.RateOf(5, 10).High; r.Rate.Seen != 0 || r.Rate.Low != 0 || r.Rate.High != want {
		t.Errorf("%+v, want up to %g", *r.Rate, want)
	}
	if r.Verdict != racelab.Unknown || !strings.HasPrefix(*r.Reason, "5 runs came to what none of the serial orders gives") {
		t.Errorf("%s: %s", r.Verdict, *r.Reason)
	}
	if line := r.luckLine(); !strings.Contains(line, "0 of 10 runs lost") || !strings.Contains(line, "5 more are a loss unless") {
		t.Error(line)
	}
}
