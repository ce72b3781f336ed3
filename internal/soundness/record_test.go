package soundness_test

import (
	"context"
	"fmt"
	"slices"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/stage"
)

// A record keeps runs, so that the reduced search reads what brute force has
// run instead of running it again. That is cheaper, and what an engine leaves
// to chance makes no difference between the two.
type record struct {
	cell   *stage.Cell
	serial map[string]racelab.History
	root   *point
}

// A point of a run is before a decision, or its end.
type point struct {
	ready []racelab.Choice
	next  []way
	run   *racelab.History // that ends here
}

type way struct {
	choice racelab.Choice
	to     *point
}

func newRecord(cell *stage.Cell) *record {
	return &record{cell: cell, serial: map[string]racelab.History{}, root: &point{}}
}

// run runs a plan, unless its run is known. A plan that has asked Then before it
// turned out to be unknown goes on with what that says now: any choice will do.
// What is kept is not the search's, which uses a history's memory again.
func (r *record) run(ctx context.Context, p explore.Plan) (h racelab.History, err error) {
	defer func() { h.Events = slices.Clone(h.Events) }()
	p.Events = nil
	order := fmt.Sprint(p.Serial)
	h, known := r.serial[order]
	if p.Serial == nil {
		h, known = r.find(p)
	}
	if known {
		return h, nil
	}
	h, err = r.cell.Run(ctx, p)
	if err != nil {
		return h, err
	}
	if p.Serial != nil {
		r.serial[order] = h
		return h, nil
	}
	at := r.root
	for _, e := range h.Events {
		c, ok := e.Choice()
		if !ok {
			continue
		}
		at.ready = e.Ready
		next := at.after(c)
		if next == nil {
			next = &point{}
			at.next = append(at.next, way{c, next})
		}
		at = next
	}
	kept := h
	at.run = &kept
	return h, nil
}

func (r *record) find(p explore.Plan) (h racelab.History, known bool) {
	at, last := r.root, racelab.SessionID("")
	for i := 0; at != nil && at.run == nil; i++ {
		var c racelab.Choice
		switch {
		case i < len(p.Schedule):
			c = p.Schedule[i]
		case len(at.ready) == 0:
			return h, false
		case p.Then != nil:
			c = p.Then(at.ready)
		default:
			c = racelab.Onward(last, at.ready)
		}
		if !c.Tick {
			last = c.Session
		}
		at = at.after(c)
	}
	if at == nil {
		return h, false
	}
	return *at.run, true
}

// after returns what a choice leads to, or nil.
func (p *point) after(c racelab.Choice) *point {
	for _, w := range p.next {
		if w.choice == c {
			return w.to
		}
	}
	return nil
}
