package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/racelab/racelab"
)

// A Pair is two operations of different sessions that conflict: they touch the
// same table, at least one of them writing it or locking it for itself, or the
// same value of shared memory, at least one of them writing. Of locks in memory
// it is who takes them. A is of the lower session.
type Pair struct{ A, B OpName }

// An OpName names an operation: A1. Step 0 is whatever of the session another
// one has waited for.
type OpName struct {
	Session racelab.SessionID
	Step    int
}

// Conflicts notes in which orders conflicting operations have run.
type Conflicts struct {
	kept   map[deed]reach // what it reaches needs no arguments
	orders map[Pair]uint8 // bit 0: A before B; bit 1: B before A
	before []reached      // of the run that is noted
}

// A deed is what tells operations apart that reach different things. In memory
// one may turn out to write or not.
type deed struct {
	text   string
	writes bool
}

// A reach is what an operation does to tables or to values of shared memory.
type reach struct {
	of     []string
	writes bool // or keeps others from writing and from locking
}

type reached struct {
	name OpName
	reach
}

func reachOf(op racelab.Op) (r reach) {
	if op.Conn == "" && inMemory(op) {
		for _, t := range op.Touches {
			r.of = append(r.of, "memory "+t.Object)
		}
		r.writes = writesMemory(op)
		return r
	}
	text := regionOf(racelab.Op{Text: op.Text})
	if text.table == "" {
		return r
	}
	exclusive := text.locking && slices.Contains(text.words, "update") // and not FOR SHARE
	return reach{append(text.joined, text.table), text.verb != "SELECT" || exclusive}
}

func (r reach) meets(other reach) bool {
	return (r.writes || other.writes) &&
		slices.ContainsFunc(r.of, func(t string) bool { return slices.Contains(other.of, t) })
}

// Add notes a run.
func (c *Conflicts) Add(h racelab.History) {
	if c.orders == nil {
		c.kept, c.orders = map[deed]reach{}, map[Pair]uint8{}
	}
	c.before = c.before[:0]
	for i := range h.Events {
		e := &h.Events[i]
		name := OpName{e.Op.Session, e.Op.Step}
		switch {
		case e.Kind == racelab.Waiting:
			for _, on := range e.On {
				c.note(OpName{on, 0}, name)
			}
		case e.Kind == racelab.Left && e.Op.Kind != racelab.Release:
			did := deed{e.Op.Text, writesMemory(e.Op)}
			r, ok := c.kept[did]
			if !ok {
				r = reachOf(e.Op)
				c.kept[did] = r
			}
			for _, b := range c.before {
				if b.name.Session != name.Session && b.meets(r) {
					c.note(b.name, name)
				}
			}
			c.before = append(c.before, reached{name, r})
		}
	}
}

// note notes that one operation ran before a conflicting one.
func (c *Conflicts) note(first, then OpName) {
	pair, order := Pair{first, then}, uint8(1)
	if first.Session >= then.Session {
		pair, order = Pair{then, first}, 2
	}
	if known := c.orders[pair]; known&order == 0 {
		c.orders[pair] = known | order
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
		c.kept, c.orders = map[deed]reach{}, map[Pair]uint8{}
	}
	for _, p := range pairs {
		c.orders[p.Pair] |= p.Orders
	}
}
