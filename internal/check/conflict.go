package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/racelab/racelab"
)

// A Pair is two operations of different sessions that conflict: they touch the
// same table, at least one of them writing it or locking it for itself. A is of
// the lower session.
type Pair struct{ A, B OpName }

// An OpName names an operation: A1. Step 0 is whatever of the session another
// one has waited for.
type OpName struct {
	Session racelab.SessionID
	Step    int
}

// Conflicts notes in which orders conflicting operations have run.
type Conflicts struct {
	uses   map[string]use // by text: tables, verb and lock need no arguments
	orders map[Pair]uint8 // bit 0: A before B; bit 1: B before A
}

// A use is what a statement does to tables.
type use struct {
	tables []string
	writes bool // or keeps others from writing and from locking
}

func useOf(text string) use {
	r := regionOf(racelab.Op{Text: text})
	if r.table == "" {
		return use{}
	}
	exclusive := r.locking && slices.Contains(r.words, "update") // and not FOR SHARE
	return use{append(r.joined, r.table), r.verb != "SELECT" || exclusive}
}

func (u use) meets(other use) bool {
	return (u.writes || other.writes) &&
		slices.ContainsFunc(u.tables, func(t string) bool { return slices.Contains(other.tables, t) })
}

// Add notes a run.
func (c *Conflicts) Add(h racelab.History) {
	if c.orders == nil {
		c.uses, c.orders = map[string]use{}, map[Pair]uint8{}
	}
	type used struct {
		name OpName
		use
	}
	var before []used
	for _, e := range h.Events {
		name := OpName{e.Op.Session, e.Op.Step}
		switch e.Kind {
		case racelab.Waiting:
			for _, on := range e.On {
				c.note(OpName{on, 0}, name)
			}
		case racelab.Left:
			u, ok := c.uses[e.Op.Text]
			if !ok {
				u = useOf(e.Op.Text)
				c.uses[e.Op.Text] = u
			}
			for _, b := range before {
				if b.name.Session != name.Session && b.meets(u) {
					c.note(b.name, name)
				}
			}
			before = append(before, used{name, u})
		}
	}
}

// note notes that one operation ran before a conflicting one.
func (c *Conflicts) note(first, then OpName) {
	if first.Session < then.Session {
		c.orders[Pair{first, then}] |= 1
	} else {
		c.orders[Pair{then, first}] |= 2
	}
}

// Any reports whether operations conflicted at all.
func (c *Conflicts) Any() bool { return len(c.orders) > 0 }

// BothOrders counts the pairs that have run in both orders.
func (c *Conflicts) BothOrders() int {
	n := 0
	for _, o := range c.orders {
		if o == 3 {
			n++
		}
	}
	return n
}

// A SavedPair is a pair of conflicting operations, and in which orders it has
// run: 1, 2 or, in both, 3.
type SavedPair struct {
	Pair   Pair
	Orders uint8
}

// Save lists what has been noted.
func (c *Conflicts) Save() []SavedPair {
	all := []SavedPair{}
	for p, o := range c.orders {
		all = append(all, SavedPair{p, o})
	}
	slices.SortFunc(all, func(a, b SavedPair) int {
		return strings.Compare(fmt.Sprint(a.Pair), fmt.Sprint(b.Pair))
	})
	return all
}

// Load notes what was saved.
func (c *Conflicts) Load(pairs []SavedPair) {
	if c.orders == nil {
		c.uses, c.orders = map[string]use{}, map[Pair]uint8{}
	}
	for _, p := range pairs {
		c.orders[p.Pair] |= p.Orders
	}
}
