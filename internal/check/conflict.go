package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/racelab/racelab"
)

// A Pair is two operations of different sessions that touch the same table, or
// the same value of shared memory, at least one of them writing. Of locks it is
// who takes them. A is of the lower session.
type Pair struct{ A, B OpName }

// An OpName names an operation: A1.
type OpName struct {
	Session racelab.SessionID
	Step    int
}

// Conflicts notes in which orders conflicting operations have run.
type Conflicts struct {
	accesses map[string]access // by text: the table and the verb need no arguments
	orders   map[Pair]uint8    // bit 0: A before B; bit 1: B before A
}

// Add notes a run.
func (c *Conflicts) Add(h racelab.History) {
	if c.orders == nil {
		c.accesses, c.orders = map[string]access{}, map[Pair]uint8{}
	}
	type use struct {
		name   OpName
		table  string
		writes bool
	}
	var uses []use
	add := func(u use) {
		for _, before := range uses {
			if before.name.Session == u.name.Session || before.table != u.table || !before.writes && !u.writes {
				continue
			}
			if before.name.Session < u.name.Session {
				c.orders[Pair{before.name, u.name}] |= 1
			} else {
				c.orders[Pair{u.name, before.name}] |= 2
			}
		}
		uses = append(uses, u)
	}
	for _, e := range h.Events {
		if e.Kind != racelab.Left || e.Op.Kind == racelab.Release {
			continue
		}
		name := OpName{e.Op.Session, e.Op.Step}
		if e.Op.Conn == "" && inMemory(e.Op) {
			for _, t := range e.Op.Touches {
				add(use{name, "memory " + t.Object, t.Mode&racelab.Writes != 0})
			}
			continue
		}
		a, ok := c.accesses[e.Op.Text]
		if !ok {
			a = accessOf(racelab.Op{Text: e.Op.Text})
			c.accesses[e.Op.Text] = a
		}
		if a.table == "" {
			continue
		}
		add(use{name, a.table, a.verb != "SELECT"})
	}
}

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
		c.accesses, c.orders = map[string]access{}, map[Pair]uint8{}
	}
	for _, p := range pairs {
		c.orders[p.Pair] |= p.Orders
	}
}
