package check

import (
	"cmp"
	"slices"

	"github.com/racelab/racelab"
)

// An EdgeKind says why a call comes before another one.
type EdgeKind string

const (
	WW    EdgeKind = "ww"    // it wrote what the other one wrote over
	WR    EdgeKind = "wr"    // it wrote what the other one read
	RW    EdgeKind = "rw"    // it read what the other one wrote afterwards
	Waits EdgeKind = "waits" // it waits for the other one: of a deadlock
)

// An Edge is one dependency of a cycle.
type Edge struct {
	From   racelab.CallID `json:"from"`
	To     racelab.CallID `json:"to"`
	Kind   EdgeKind       `json:"kind"`
	Item   string         `json:"item"` // account id 1
	FromOp string         `json:"from_op"`
	ToOp   string         `json:"to_op"`
}

// A dependency is an edge between statements.
type dependency struct {
	kind     EdgeKind
	from, to *statement
	certain  bool
	dirty    bool // what from wrote was not committed when to read or wrote
}

func (d dependency) edge() Edge {
	return Edge{d.from.op.Call, d.to.op.Call, d.kind, d.item(), d.from.op.Name(), d.to.op.Name()}
}

// item names what it is about, by the statement that says more of it.
func (d dependency) item() string {
	a, b := d.from.region, d.to.region
	if d.kind == RW || len(b.where.conditions) == 0 {
		a, b = b, a
	}
	if len(b.where.conditions) == 0 || b.table != a.table {
		return a.String()
	}
	return b.String()
}

// phantom reports whether the dependency is by rows that came or went, instead
// of by one that was read.
func (d dependency) phantom() bool {
	w := d.from
	if d.kind == RW {
		w = d.to
	}
	switch {
	case d.kind == WW:
		return false
	case w.verb == "INSERT": // an upsert may have changed the row that was read
		return !w.upsert || d.reader().key != w.key || d.reader().absent()
	}
	return w.verb == "DELETE" && d.reader().key != w.key
}

func (d dependency) reader() *statement {
	if d.kind == RW {
		return d.from
	}
	return d.to
}

// A graph holds the dependencies between the calls of a history.
type graph struct {
	final   racelab.State
	several map[string]bool
	reads   []*statement // those that somebody acted on
	seen    view
	calls   []racelab.CallID
	edges   map[racelab.CallID]map[racelab.CallID][]dependency
	aborted []dependency // reads of what was rolled back
}

func graphOf(h racelab.History, level racelab.Level) *graph {
	statements := statementsOf(h.Events, level)
	g := &graph{final: h.Final, several: groups(statements, h.Final), seen: viewOf(statements, h.Final)}
	g.edges = map[racelab.CallID]map[racelab.CallID][]dependency{}
	var writes []*statement
	for _, s := range statements {
		if (s.ok() || s.refused()) && s.tx.counts && !s.void {
			g.reads = append(g.reads, s)
		}
		if s.writes() && s.tx.committed && !s.undone {
			writes = append(writes, s)
		}
	}
	for _, r := range g.reads {
		for _, w := range statements {
			if w.writes() {
				g.addRead(r, w)
			}
		}
	}
	for _, w := range writes {
		for _, later := range writes {
			if w.left >= later.left || w.waited && later.waited && w.turn == later.turn {
				continue
			}
			g.add(dependency{kind: WW, from: w, to: later, dirty: w.tx.ended > later.left}, writesOver(w, later, g.final, g.several))
		}
	}
	slices.Sort(g.calls)
	for _, to := range g.edges {
		for call, edges := range to {
			slices.SortStableFunc(edges, func(a, b dependency) int {
				return cmp.Or(cmp.Compare(a.from.left, b.from.left), cmp.Compare(a.to.left, b.to.left), cmp.Compare(a.kind, b.kind))
			})
			to[call] = nearest(edges)
		}
	}
	return g
}

// nearest leaves, of the edges between two calls, those to the first write
// that was not seen or that wrote over, and from the last that was seen: the
// others follow from them, and in long histories are many.
func nearest(edges []dependency) []dependency {
	type thread struct {
		at                      *statement
		kind                    EdgeKind
		certain, dirty, phantom bool
		other                   string
	}
	threadOf := func(d dependency) thread {
		at, other := d.from, d.to
		if d.kind == WR {
			at, other = d.to, d.from
		}
		return thread{at, d.kind, d.certain, d.dirty, d.phantom(), other.region.String()}
	}
	last := map[thread]*statement{} // of the writes that were seen
	for _, d := range edges {
		if d.kind == WR {
			last[threadOf(d)] = d.from
		}
	}
	known := map[thread]bool{}
	return slices.DeleteFunc(edges, func(d dependency) bool {
		t := threadOf(d)
		if d.kind == WR {
			return last[t] != d.from
		}
		again := known[t]
		known[t] = true
		return again
	})
}

func (g *graph) addRead(r, w *statement) {
	if r == w || r.op.Call == w.op.Call {
		return
	}
	overlap := readsOf(r, w, g.final, g.several)
	if overlap == no {
		return
	}
	counts := w.tx.committed && !w.undone
	switch saw := g.seen[r][w]; {
	case saw == yes && counts:
		g.add(dependency{kind: WR, from: w, to: r, dirty: w.tx.ended > r.left}, overlap)
	case saw == yes:
		if overlap == yes {
			g.aborted = append(g.aborted, dependency{kind: WR, from: w, to: r, certain: true, dirty: true})
		}
	case saw == no && counts && !r.refused():
		g.add(dependency{kind: RW, from: r, to: w}, overlap)
	}
}

// add notes a dependency between two calls.
func (g *graph) add(d dependency, overlap certainty) {
	from, to := d.from.op.Call, d.to.op.Call
	if overlap == no || from == to {
		return
	}
	d.certain = overlap == yes
	for _, call := range []racelab.CallID{from, to} {
		if !slices.Contains(g.calls, call) {
			g.calls = append(g.calls, call)
		}
	}
	if g.edges[from] == nil {
		g.edges[from] = map[racelab.CallID][]dependency{}
	}
	g.edges[from][to] = append(g.edges[from][to], d)
}
