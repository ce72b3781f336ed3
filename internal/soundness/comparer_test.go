package soundness_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/stage"
)

// A comparer explores scripts by brute force and reduced, in worlds that it
// keeps: to make a database takes longer than most scripts.
type comparer struct {
	engine   racelab.Engine
	server   racelab.Server
	current  *script
	worlds   map[string]*scriptWorld
	relation func(*check.Relation) // changes what a reduction goes by; may be nil

	compared, faulty, all, reduced int
	odd                            []string // scripts that are not the same each time
}

type scriptWorld struct {
	selection stage.Selection
	cell      *stage.Cell
}

func newComparer(t *testing.T, e racelab.Engine, server racelab.Server) *comparer {
	c := &comparer{engine: e, server: server, worlds: map[string]*scriptWorld{}}
	t.Cleanup(func() {
		for _, w := range c.worlds {
			if err := w.cell.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return c
}

func (c *comparer) world(ctx context.Context, p script) (*scriptWorld, error) {
	name := fmt.Sprint(p.level, p.cascade, p.tables, len(p.sessions))
	if w := c.worlds[name]; w != nil {
		return w, nil
	}
	s := &racelab.Scenario{
		Name: "script", Setup: func(racelab.Dialect) []string { return append(scriptSetup(p.cascade), p.tables...) }, State: []string{"parent", "child"},
		Strategies: []racelab.Strategy{{Name: "it", Body: map[string]racelab.Body{}}},
		// Once something is found nobody hunts for it, which would hide what the
		// reduction misses.
		Invariants: []racelab.Invariant{{Name: "something is wrong", Measure: func(racelab.State) (int64, int64, error) { return 0, 1, nil }}},
	}
	for i := range p.sessions {
		role := string(racelab.Letter(i))
		s.Cast = append(s.Cast, racelab.Role{Name: role, Calls: []racelab.Args{{}}})
		s.Strategies[0].Body[role] = func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
			return c.current.sessions[i].run(ctx, env, c.current.unsorted)
		}
	}
	sel, err := stage.Select(s, &s.Strategies[0], c.engine, p.level)
	if err != nil {
		return nil, err
	}
	w := &scriptWorld{selection: sel}
	if w.cell, err = sel.NewCell(ctx, c.server, stage.Controlled{}); err != nil {
		return nil, err
	}
	c.worlds[name] = w
	return w, err
}

// outcomes are what schedules came to, each with the first that did.
type outcomes struct {
	schedules int
	first     map[string]racelab.Schedule
}

// explore explores a script, reading the runs that are known already.
func (c *comparer) explore(ctx context.Context, p script, w *scriptWorld, known *record, relation *check.Relation) (outcomes, error) {
	out := outcomes{first: map[string]racelab.Schedule{}}
	search := w.selection.Search([]*stage.Cell{w.cell})
	search.Runners = []explore.Runner{known.run}
	search.Relation, search.Faults = relation, p.faults
	search.Judge.InvariantsOnly = true // outcomes are compared, not judged
	search.Judge.Serial = func(ctx context.Context, order []racelab.CallID, start racelab.Schedule) (racelab.History, error) {
		return known.run(ctx, explore.Plan{Serial: order, Schedule: start, Faults: p.faults > 0})
	}
	search.Judged = func(h racelab.History) {
		out.schedules++
		o := check.OutcomeOf(h, w.selection.Scenario, nil)
		text := o.Results(nil) + " | " + o.State
		if _, ok := out.first[text]; !ok {
			out.first[text] = explore.ScheduleOf(h)
		}
	}
	report, err := search.Run(ctx)
	if err == nil && !report.Complete {
		err = errors.New("not complete")
	}
	return out, err
}

// compare explores a script both ways, and returns what differs: "" is nothing.
func (c *comparer) compare(ctx context.Context, p script) (difference string, err error) {
	w, err := c.world(ctx, p)
	if err != nil {
		return "", err
	}
	c.current = &p
	known := newRecord(w.cell)
	all, err := c.explore(ctx, p, w, known, nil)
	if err != nil {
		return "", fmt.Errorf("all: %w", err)
	}
	relation := w.cell.Relation()
	if c.relation != nil {
		c.relation(relation)
	}
	reduced, err := c.explore(ctx, p, w, known, relation)
	if err != nil {
		return "", fmt.Errorf("reduced: %w", err)
	}
	c.compared++
	c.faulty += p.faults
	c.all += all.schedules
	c.reduced += reduced.schedules
	var b strings.Builder
	list := func(what string, in, notIn outcomes) {
		for outcome, schedule := range in.first {
			if _, ok := notIn.first[outcome]; !ok {
				fmt.Fprintf(&b, "%s: %s\n   %s\n", what, schedule, outcome)
			}
		}
	}
	list("missed", all, reduced)
	list("not there by brute force", reduced, all)
	if b.Len() > 0 {
		fmt.Fprintf(&b, "%d schedules, and %d reduced", all.schedules, reduced.schedules)
	}
	return b.String(), nil
}

// check fails if both ways do not come to the same. A server may decide by
// itself who of several that it lets go on at once is first, or in which order
// rows lie: what differs once and not again is its chance.
func (c *comparer) check(ctx context.Context, t interface{ Fatalf(string, ...any) }, p script) {
	tries := 1
	if c.engine.Dialect.Features&racelab.Concurrent != 0 {
		tries = 3
	}
	last := ""
	for range tries {
		d, err := c.compare(ctx, p)
		if err != nil {
			t.Fatalf("%v\n%v", p, err)
		}
		if d == "" && last != "" {
			c.odd = append(c.odd, fmt.Sprintf("%v\n%s", p, last))
		}
		if last = d; d == "" {
			return
		}
	}
	t.Fatalf("%v\n%s", p, last)
}
