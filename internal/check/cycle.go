package check

import (
	"slices"

	"github.com/racelab/racelab"
)

// A cycle is one in the graph of dependencies that has a name. It begins with
// the edge that tells which.
type cycle struct {
	name  Name
	rank  int // among the names: the lower says more of what went wrong
	edges []dependency
}

// The ranks. Several cycles are the rule: who loses an update has also read
// skewed. What is gone or never was comes first, then what two calls did to
// each other, then what one saw; last what may be no more than a second look.
const (
	rankDirtyWrite = iota + 1
	rankDirtyRead
	rankLostUpdate
	rankDuplicate
	rankReadSkew
	rankWriteSkew
	rankPhantom
	rankNonRepeatableRead
	rankStaleDecision // a lost update in its pattern, of which nothing is gone
	rankUnfinished    // a dirty read in memory, where nothing is committed: its writer was not done
)

// longest is how many calls a cycle may go through: one through more is hardly
// an explanation.
const longest = 5

// patience is how many cycles are looked at. Those of a witness are far fewer;
// of a history of thousands of operations not all need to be seen for a name.
const patience = 200_000

// worst returns the cycle that explains most, or nil.
func (g *graph) worst() *cycle {
	var best *cycle
	looked := 0
	consider := func(edges ...dependency) {
		looked++
		name, rank := g.name(edges)
		if c := (cycle{name, rank, edges}); name != "" && (best == nil || c.less(*best)) {
			c.edges = slices.Clone(edges)
			best = &c
		}
	}
	for _, d := range g.aborted {
		consider(d)
	}
	for _, a := range g.calls {
		for _, b := range g.calls {
			for _, there := range g.edges[a][b] {
				if looked > patience {
					return best
				}
				for _, back := range g.edges[b][a] {
					consider(there, back)
				}
			}
		}
	}
	var walk func(path []dependency)
	walk = func(path []dependency) {
		if looked++; looked > patience {
			return
		}
		start, here := path[0].from.op.Call, path[len(path)-1].to.op.Call
		for _, next := range g.calls {
			passed := slices.ContainsFunc(path, func(d dependency) bool { return d.from.op.Call == next })
			switch {
			case next == start && len(path) > 1:
				for _, d := range g.some(here, next) {
					consider(append(path, d)...)
				}
			case !passed && len(path)+1 < longest:
				for _, d := range g.some(here, next) {
					walk(append(path, d))
				}
			}
		}
	}
	for _, a := range g.calls {
		for _, b := range g.calls {
			for _, d := range g.some(a, b) {
				walk([]dependency{d})
			}
		}
	}
	return best
}

// some returns the first edge of each sort between two calls: longer cycles
// need no more, and there are many.
func (g *graph) some(from, to racelab.CallID) []dependency {
	type sort struct {
		kind             EdgeKind
		certain, phantom bool
		dirty            bool
	}
	seen := map[sort]bool{}
	var some []dependency
	for _, d := range g.edges[from][to] {
		if s := (sort{d.kind, d.certain, d.phantom(), d.dirty}); !seen[s] {
			seen[s] = true
			some = append(some, d)
		}
	}
	return some
}

// less orders cycles: certain ones, then by rank, then the shorter, then those
// whose operations lie closer together.
func (c cycle) less(other cycle) bool {
	key := func(c cycle) []int {
		doubts, low, high := 0, c.edges[0].from.left, 0
		for _, d := range c.edges {
			if !d.certain {
				doubts = 1
			}
			low, high = min(low, d.from.left, d.to.left), max(high, d.from.left, d.to.left)
		}
		return []int{doubts, c.rank, len(c.edges), high - low, low, c.edges[0].from.left, c.edges[0].to.left}
	}
	return slices.Compare(key(c), key(other)) < 0
}

// name names a cycle by its first and last edges and their kinds. It names
// none that begins elsewhere: each is looked at from all of its calls.
func (g *graph) name(c []dependency) (Name, int) {
	reads, writes, dirty := 0, 0, false // anti-dependencies, write dependencies
	for _, d := range c {
		switch d.kind {
		case RW:
			reads++
		case WW:
			writes++
		}
		dirty = dirty || d.dirty
	}
	first, last := c[0], c[len(c)-1]
	switch {
	case first.kind == WR && first.dirty:
		return DirtyRead, rankDirtyRead
	case writes == len(c) && first.dirty:
		return DirtyWrite, rankDirtyWrite
	case first.kind == WR && first.from.memory:
		return DirtyRead, rankUnfinished
	case first.kind != RW || dirty:
		return "", 0
	case reads == len(c):
		return g.skewed(c)
	case reads > 1:
		return "", 0
	case last.kind == WR:
		return sawBoth(first, last)
	case len(c) == 2:
		return g.overwritten(first, last)
	}
	return "", 0
}

// skewed names a cycle in which everybody read before the next one wrote.
func (g *graph) skewed(c []dependency) (Name, int) {
	for _, d := range c {
		if !d.phantom() {
			continue
		}
		if len(c) == 2 && g.twice(c[0], c[1]) {
			return Duplicate, rankDuplicate
		}
		return Phantom, rankPhantom
	}
	for i, d := range c {
		if d.from.verb != "SELECT" {
			return "", 0
		}
		// Both write the same row: that is another story, told by its ww edge.
		for _, other := range c[i+1:] {
			if writesOver(d.to, other.to, g.final, g.several) != no || writesOver(other.to, d.to, g.final, g.several) != no {
				return "", 0
			}
		}
	}
	return WriteSkew, rankWriteSkew
}

// sawBoth names a cycle by the two reads of one call: the first missed a
// write, the second came after one.
func sawBoth(missed, saw dependency) (Name, int) {
	before, after := missed.from, saw.to
	switch {
	case before == after:
		return "", 0
	case after.refused():
		if missed.phantom() && before.absent() && before.left < after.left {
			return Duplicate, rankDuplicate
		}
		return "", 0
	case after.verb != "SELECT":
		return "", 0
	case missed.phantom():
		return Phantom, rankPhantom
	case before.verb != "SELECT":
		return "", 0
	case before.region.String() != after.region.String():
		return ReadSkew, rankReadSkew
	case before.left < after.left:
		return NonRepeatableRead, rankNonRepeatableRead
	}
	return "", 0
}

// overwritten names a cycle in which a call wrote over what it had not seen.
func (g *graph) overwritten(missed, over dependency) (Name, int) {
	read, between, write := missed.from, missed.to, over.to
	switch {
	case missed.phantom() && read.left < write.left:
		return Phantom, rankPhantom
	case between != over.from, read.verb != "SELECT", write.verb != "UPDATE" && !write.upsert, read.left > write.left:
		return "", 0
	case readsOf(read, write, g.final, g.several) == no: // another row of what it read
		return "", 0
	}
	for _, again := range g.reads {
		if again.op.Call == read.op.Call && again.verb == "SELECT" && again.left > read.left && again.left < write.left &&
			g.seen[again][between] == yes && readsOf(again, between, g.final, g.several) != no {
			return "", 0 // it looked again before it wrote
		}
	}
	if write.overwrites(between.access) {
		return LostUpdate, rankLostUpdate
	}
	return LostUpdate, rankStaleDecision
}

// twice reports whether two calls that found nothing each put the same in, so
// that it is there twice. The same is what was looked for: the columns that the
// first one's question gives values, or all if it gives none.
func (g *graph) twice(a, b dependency) bool {
	if !a.from.absent() || !b.from.absent() || len(a.to.rows) != 1 || len(b.to.rows) != 1 || a.to.table != b.to.table {
		return false
	}
	one, other, sought := a.to.rows[0], b.to.rows[0], a.from.where.equal()
	if len(one) != len(other) {
		return false
	}
	same := conjunction{whole: true}
	for column, v := range one {
		if _, ok := sought[column]; !ok && len(sought) > 0 {
			continue
		}
		same.conditions = append(same.conditions, condition{column, "=", []string{v}})
	}
	if len(same.conditions) == 0 || same.matches(other) != yes {
		return false
	}
	there := 0
	rows, _ := rowsIn(g.final, a.to.table)
	for _, r := range rows {
		if same.matches(r) == yes {
			there++
		}
	}
	return there > 1
}
