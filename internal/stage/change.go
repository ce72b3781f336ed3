package stage

import (
	"context"
	"fmt"
	"slices"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// A Change makes a selection weaker or stronger without touching its code: at
// the gate, in the set-up, or in what the body is given.
type Change struct {
	Name    string
	Rewrite func(text string) string // of the sessions' statements; may be nil
	Setup   func([]string) []string  // of the set-up; may be nil
	Level   racelab.Level            // of every transaction, whatever it asks for; "" leaves it
	Tries   int                      // of retry loops; 0 leaves it
}

// A Trial is a change, explored.
type Trial struct {
	Change
	Strategy string // another one of the scenario, with no change; or ""
	Explored
	// Err is why it could not be explored: the engine may refuse it.
	Err error
}

// protections lists what protects a selection, each taken away: the locks of
// its statements, its level, the unique constraints of its tables, its retries.
func (s Selection) protections(texts []string) []Change {
	var all []Change
	for _, text := range texts {
		if _, ok := sqltext.WithoutLock(text); !ok {
			continue
		}
		all = append(all, Change{
			Name: "the lock of " + sqltext.Inline(text, nil),
			Rewrite: func(t string) string {
				if t == text {
					t, _ = sqltext.WithoutLock(t)
				}
				return t
			},
		})
	}
	for _, l := range s.lower() {
		all = append(all, Change{Name: fmt.Sprintf("the level %s (%s instead)", s.Level, l), Level: l})
	}
	for i, statement := range s.setup() {
		for n := 0; ; n++ {
			weaker, ok := sqltext.WithoutUnique(statement, n)
			if !ok {
				break
			}
			all = append(all, Change{
				Name: fmt.Sprintf("UNIQUE, number %d in %s", n+1, sqltext.Inline(statement, nil)),
				Setup: func(all []string) []string {
					all = slices.Clone(all)
					all[i] = weaker
					return all
				},
			})
		}
	}
	if s.Scenario.Learn != nil { // what it does is written down, and retries nothing
		return all
	}
	return append(all, Change{Name: "the retries (one try)", Tries: 1})
}

// strengths lists what might make a selection hold: higher levels, and locks on
// what it reads.
func (s Selection) strengths(texts []string) []Change {
	var all []Change
	for _, l := range s.Engine.Dialect.Stronger(s.Level) {
		all = append(all, Change{Name: "the level " + string(l), Level: l})
	}
	if s.Engine.Dialect.Features&racelab.RowLocks == 0 {
		return all
	}
	for _, text := range texts {
		if _, ok := sqltext.WithLock(text); ok {
			all = append(all, Change{
				Name: "FOR UPDATE in " + sqltext.Inline(text, nil),
				Rewrite: func(t string) string {
					if t == text {
						t, _ = sqltext.WithLock(t)
					}
					return t
				},
			})
		}
	}
	return all
}

// lower lists the levels below the selection's, the nearest first.
func (s Selection) lower() []racelab.Level {
	var all []racelab.Level
	for _, l := range s.Engine.Dialect.Levels {
		if slices.Contains(s.Engine.Dialect.Stronger(l), s.Level) {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b racelab.Level) int { return b.Compare(a) })
	return all
}

// try explores the selection with a change.
func (s Selection) try(ctx context.Context, server racelab.Server, x Exploration, c Change) Trial {
	x.Change = &c
	if c.Level != "" {
		s.Level = c.Level
	}
	t := Trial{Change: c}
	t.Explored, t.Err = s.Explore(ctx, server, x)
	return t
}

// Weaken explores the selection without one of its protections at a time. What
// still holds is not needed, or not by this scenario. tell is told of each
// trial before it begins.
func (s Selection) Weaken(ctx context.Context, server racelab.Server, x Exploration, base Explored, tell func(what string)) ([]Trial, error) {
	var trials []Trial
	violated := false
	for _, c := range s.protections(base.Texts) {
		if c.Level != "" && violated {
			continue // a level below one that is not enough
		}
		tell(c.Name)
		t := s.try(ctx, server, x, c)
		if ctx.Err() != nil {
			return trials, ctx.Err()
		}
		violated = violated || c.Level != "" && t.Violations > 0
		trials = append(trials, t)
	}
	return trials, nil
}

// Advise explores what might help a selection that is violated: the scenario's
// safe strategies, higher levels, and locks.
func (s Selection) Advise(ctx context.Context, server racelab.Server, x Exploration, base Explored, tell func(what string)) ([]Trial, error) {
	var trials []Trial
	for i := range s.Scenario.Strategies {
		st := &s.Scenario.Strategies[i]
		if !st.Safe || st == s.Strategy || s.Scenario.Because(st, s.Engine, s.Level) != "" {
			continue
		}
		tell(st.Name)
		other := s
		other.Strategy = st
		t := Trial{Strategy: st.Name}
		t.Explored, t.Err = other.Explore(ctx, server, x)
		if ctx.Err() != nil {
			return trials, ctx.Err()
		}
		trials = append(trials, t)
	}
	for _, c := range s.strengths(base.Texts) {
		tell(c.Name)
		t := s.try(ctx, server, x, c)
		if ctx.Err() != nil {
			return trials, ctx.Err()
		}
		trials = append(trials, t)
	}
	return trials, nil
}
