package explore

import (
	"math"
	"math/rand/v2"

	"github.com/racelab/racelab"
)

// A Guarantee is what random priorities promise: that a schedule shows a bug of
// a depth, if there is one, with a probability of at least 1/(n k^(d-1)). The
// depth is how many orders between two steps a bug needs (S. Burckhardt,
// P. Kothari, M. Musuvathi, S. Nagarakatte, A Randomized Scheduler with
// Probabilistic Guarantees of Finding Bugs, 2010).
type Guarantee struct {
	Depth    int `json:"depth"`    // d
	Sessions int `json:"sessions"` // n, of the first serial run
	Steps    int `json:"steps"`    // k, of the first serial run
	Longest  int `json:"longest"`  // steps of a run, at most
	// Sleeps says that time passes in the first serial run.
	Sleeps bool `json:"sleeps"`
}

// Holds reports whether anything is promised. The number of steps has to be
// known before; and the clock is no session whose priority is kept.
func (g Guarantee) Holds() bool { return g.Longest <= g.Steps && !g.Sleeps }

// Probability is that at least one of so many schedules shows the bug.
func (g Guarantee) Probability(schedules int) float64 {
	one := 1 / (float64(g.Sessions) * math.Pow(float64(g.Steps), float64(g.Depth-1)))
	return -math.Expm1(float64(schedules) * math.Log1p(-one))
}

// guaranteeOf is the guarantee for runs that are as long as h.
func guaranteeOf(depth int, h racelab.History) Guarantee {
	g := Guarantee{Depth: depth}
	sessions := map[racelab.SessionID]bool{}
	for _, d := range decisionsOf(h) {
		g.Steps++
		if g.Sleeps = g.Sleeps || d.chosen.Tick; !d.chosen.Tick {
			sessions[d.chosen.Session] = true
		}
	}
	g.Steps, g.Sessions = max(g.Steps, 1), max(len(sessions), 1)
	return g
}

// byPriority lets the ready session of the highest priority go. Priorities are
// random, and at depth-1 random steps the session that would go falls below all
// that have not fallen at an earlier one.
//
// The clock has a priority too, so that time may pass while others can go. When
// it has passed, the clock falls below all others: who looks again and again
// whether something has happened would otherwise keep those out who do it. The
// paper leaves room for such a rule.
func byPriority(random *rand.Rand, depth, steps int) func([]racelab.Choice) racelab.Choice {
	falls := make([]int, depth-1)
	for i := range falls {
		falls[i] = random.IntN(steps)
	}
	priorities := map[racelab.SessionID]float64{} // the clock's by ""
	step := 0
	highest := func(ready []racelab.Choice) racelab.Choice {
		best := ready[0]
		for _, c := range ready {
			// Sessions that are started later come at random between the others, too.
			if _, known := priorities[c.Session]; !known {
				priorities[c.Session] = float64(depth) + random.Float64()
			}
			if priorities[c.Session] > priorities[best.Session] {
				best = c
			}
		}
		return best
	}
	return func(ready []racelab.Choice) racelab.Choice {
		c := highest(ready)
		for i, at := range falls {
			if at == step {
				priorities[c.Session] = float64(i + 1)
				c = highest(ready)
			}
		}
		if step++; c.Tick {
			priorities[c.Session] = 0
		}
		return anyCase(random, c, ready)
	}
}

// anyCase is a choice with any of its cases, if it has several.
func anyCase(random *rand.Rand, c racelab.Choice, ready []racelab.Choice) racelab.Choice {
	cases := 0
	for _, other := range ready {
		if other.Session == c.Session && other.Tick == c.Tick {
			cases = max(cases, other.Case+1)
		}
	}
	if cases > 1 {
		c.Case = random.IntN(cases)
	}
	return c
}
