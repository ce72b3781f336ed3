package main

import (
	"fmt"
	"math"
	"strconv"

	"github.com/racelab/racelab/internal/stage"
)

// A guaranteeReport is what --pct promises: with what probability, at least, a
// bug of its depth is found. null is none.
type guaranteeReport struct {
	stage.Guarantee
	PerSchedule *float64 `json:"per_schedule"`
	Overall     *float64 `json:"overall"` // by the schedules that were run

	schedules int
}

func guaranteed(x stage.Explored) *guaranteeReport {
	if x.Guarantee == nil {
		return nil
	}
	g := &guaranteeReport{Guarantee: *x.Guarantee, schedules: x.Schedules}
	if g.Holds() {
		one, all := g.Probability(1), g.Probability(x.Schedules)
		g.PerSchedule, g.Overall = &one, &all
	}
	return g
}

// String says it for people.
func (g guaranteeReport) String() string {
	bug := fmt.Sprintf("a bug of depth %d", g.Depth)
	switch {
	case g.Sleeps:
		return "none for " + bug + ": the sessions sleep, and the clock has no priority that it keeps"
	case !g.Holds():
		return fmt.Sprintf("none for %s: a run had %s, and the first serial one %d", bug, count(g.Longest, "step"), g.Steps)
	}
	return fmt.Sprintf("a schedule finds %s with a probability of at least 1/(%d x %d^%d) = %s, and %s with %s", bug,
		g.Sessions, g.Steps, g.Depth-1, percent(*g.PerSchedule), count(g.schedules, "schedule"), percent(*g.Overall))
}

// percent gives a probability as people read it. One that is not certain is not
// rounded to 0 or 100.
func percent(p float64) string {
	switch v := 100 * p; {
	case p == 0 || p == 1:
		return strconv.Itoa(int(v)) + " %"
	case v > 99.9:
		return "more than 99.9 %"
	case v >= 10:
		return fmt.Sprintf("%.1f %%", math.Min(v, 99.9))
	default:
		return fmt.Sprintf("%.2g %%", v)
	}
}
