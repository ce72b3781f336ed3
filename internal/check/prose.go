package check

import (
	"fmt"

	"github.com/racelab/racelab"
)

// anomaly tells a cycle in plain words: first what happened, then what is
// wrong with it.
func (c cycle) anomaly(events []racelab.Event) Anomaly {
	if c.rank == rankLostUpdate {
		return overwrite{c.edges[0].from.left, c.edges[0].to.left, c.edges[1].to.left}.anomaly(events)
	}
	a := Anomaly{Name: c.name, Marks: map[int]string{}}
	for _, d := range c.edges {
		a.Cycle = append(a.Cycle, d.edge())
	}
	a.Events = eventsOf(events, a.Cycle)
	first, last := c.edges[0], c.edges[len(c.edges)-1]
	switch c.rank {
	case rankDirtyWrite:
		for _, d := range c.edges {
			a.Marks[d.from.left] = "overwritten at " + d.to.op.Name()
			a.Marks[d.to.left] = "overwrites " + d.from.op.Name()
		}
		a.Prose = fmt.Sprintf("%s %s %s (%s) over what %s had written (%s) and not yet committed, and %s %s %s (%s) over what %s had written (%s). What is left is a mixture of both.",
			who(first.to), did(first.to), first.item(), op(first.to), who(first.from), op(first.from),
			who(last.to), did(last.to), last.item(), op(last.to), who(last.from), op(last.from))
	case rankDirtyRead:
		a.Marks[first.from.left] = "read before its commit at " + op(first.to)
		a.Marks[first.to.left] = "reads what " + who(first.from) + " had not committed"
		a.Prose = fmt.Sprintf("%s read %s (%s) after %s wrote it (%s) and before %s committed. ",
			who(first.to), first.item(), op(first.to), who(first.from), op(first.from), who(first.from))
		if len(c.edges) == 1 {
			a.Prose += fmt.Sprintf("%s was rolled back, so %s saw what never was.", who(first.from), who(first.to))
		} else {
			a.Prose += fmt.Sprintf("But %s comes before %s as well: %s.", who(first.to), who(first.from), c.rest())
		}
	case rankStaleDecision:
		read, between, write := first.from, first.to, last.to
		a.Marks[read.left] = "stale at " + op(write)
		a.Marks[between.left] = "unseen by " + op(read)
		a.Marks[write.left] = "relies on " + op(read)
		a.Prose = fmt.Sprintf("%s, and then %s it because of what it had %s (%s). By then that was no longer so.", first.missed(), did(write), readVerb(read.op), op(write))
	case rankUnfinished:
		a.Marks[first.from.left] = "seen by " + op(first.to) + " too early"
		a.Marks[first.to.left] = "before " + who(first.from) + " was done"
		a.Prose = fmt.Sprintf("%s %s %s (%s) after %s %s it (%s) and before %s was done. But %s comes before %s as well: %s.",
			who(first.to), readVerb(first.to.op), first.item(), op(first.to), who(first.from), did(first.from), op(first.from), who(first.from),
			who(first.to), who(first.from), c.rest())
	case rankReadSkew:
		markMissed(a.Marks, first)
		a.Marks[last.from.left] = "seen by " + op(last.to)
		a.Marks[last.to.left] = "after " + op(last.from)
		a.Prose = fmt.Sprintf("%s, and %s (%s) after %s %s it (%s). The two do not belong together: %s saw a state that never was.",
			first.missed(), last.item(), op(last.to), who(last.from), did(last.from), op(last.from), who(last.to))
	case rankNonRepeatableRead:
		markMissed(a.Marks, first)
		a.Marks[last.to.left] = "not what " + op(first.from) + " read"
		a.Prose = fmt.Sprintf("%s %s %s (%s), %s %s it (%s), and %s %s it again (%s). The second time it was not the same.",
			who(first.from), readVerb(first.from.op), first.item(), op(first.from), who(first.to), did(first.to), op(first.to), who(last.to), readVerb(last.to.op), op(last.to))
	case rankWriteSkew:
		for i, d := range c.edges {
			markMissed(a.Marks, d)
			if i > 0 {
				a.Prose += ", and "
			}
			a.Prose += d.missed()
		}
		a.Prose += ". Each wrote something else than the other, because of what it had read, and none of it holds any more."
	case rankDuplicate:
		a.Marks[first.from.left] = "finds none"
		a.Marks[first.to.left] = "unseen by " + op(first.from)
		a.Prose = fmt.Sprintf("%s found no %s (%s) before %s put it in (%s), ", who(first.from), first.item(), op(first.from), who(first.to), op(first.to))
		if last.to.refused() {
			a.Marks[last.to.left] = "meets " + op(last.from)
			a.Prose += fmt.Sprintf("and then tried to put it in too (%s). The database refused the second.", op(last.to))
			a.lookedAgain(events, first.from, last.to)
		} else {
			a.Marks[last.from.left] = "finds none"
			a.Marks[last.to.left] = "unseen by " + op(last.from)
			a.Prose += fmt.Sprintf("and put it in too (%s). It is there twice.", op(last.to))
		}
	case rankPhantom:
		for _, d := range c.edges {
			if d.kind == RW {
				markMissed(a.Marks, d)
			}
		}
		at := c.edges[0]
		for _, d := range c.edges {
			if d.kind == RW && d.phantom() {
				at = d
				break
			}
		}
		a.Prose = fmt.Sprintf("%s. But %s comes before %s as well: %s.", at.missed(), who(at.to), who(at.from), c.without(at))
	}
	return a
}

// lookedAgain tells of the looks that a call took for what was in the way of its
// insert, and that did not find it.
func (a *Anomaly) lookedAgain(events []racelab.Event, look, refused *statement) {
	for i, e := range events {
		if i < refused.left || e.Kind != racelab.Left || e.Op.Call != look.op.Call || !look.repeats(e.Op) {
			continue
		}
		switch again := (&statement{op: e.Op, result: e.Result, region: look.region}); {
		case !again.ok():
			a.Marks[i] = "fails after " + op(refused)
			a.Prose += fmt.Sprintf(" %s looked again (%s), and that failed too", who(again), op(again))
			if again.result.Class == racelab.TransactionFailed {
				a.Prose += ": the refusal had ended its transaction"
			}
			a.Prose += "."
		case again.absent():
			a.Marks[i] = "still without " + a.Cycle[0].ToOp
			a.Prose += fmt.Sprintf(" %s looked again (%s) and still found none: its transaction sees the state from before.", who(again), op(again))
		}
	}
}

// markMissed marks a read and the write that it did not see.
func markMissed(marks map[int]string, d dependency) {
	if marks[d.from.left] == "" {
		marks[d.from.left] = "before " + op(d.to)
		if d.to.left < d.from.left {
			marks[d.from.left] = "without " + op(d.to)
		}
	}
	if marks[d.to.left] == "" {
		marks[d.to.left] = "unseen by " + op(d.from)
	}
}

// missed tells an anti-dependency.
func (d dependency) missed() string {
	return missed(d.from.op, d.item(), d.to.op, moved(d.to), d.to.left < d.from.left)
}

// missed says that a read did not see a write: because it came before, or,
// if the write was there already, because it was not committed, or not yet
// when the read's snapshot was taken.
func missed(read racelab.Op, item string, write racelab.Op, wrote string, already bool) string {
	if already {
		return fmt.Sprintf("%s read %s (%s) without what %s had written (%s)", read.Session, item, read.Name(), write.Session, write.Name())
	}
	return fmt.Sprintf("%s %s %s (%s) before %s %s it (%s)", read.Session, readVerb(read), item, read.Name(), write.Session, wrote, write.Name())
}

// rest tells all edges but the first.
func (c cycle) rest() string { return c.without(c.edges[0]) }

// without tells the edges but one, beginning after it.
func (c cycle) without(one dependency) (text string) {
	at := 0
	for i, d := range c.edges {
		if d == one {
			at = i
		}
	}
	for i := 1; i < len(c.edges); i++ {
		d := c.edges[(at+i)%len(c.edges)]
		if i > 1 {
			text += ", and "
		}
		switch d.kind {
		case WW:
			text += fmt.Sprintf("%s %s %s (%s) before %s %s over it (%s)", who(d.from), did(d.from), d.item(), op(d.from), who(d.to), did(d.to), op(d.to))
		case WR:
			text += fmt.Sprintf("%s saw (%s) what %s %s (%s)", who(d.to), op(d.to), who(d.from), did(d.from), op(d.from))
		case RW:
			text += d.missed()
		}
	}
	return text
}

func who(s *statement) string { return string(s.op.Session) }

func op(s *statement) string { return s.op.Name() }

func did(s *statement) string {
	if s.verb == "DELETE" {
		return "deleted"
	}
	return wroteVerb(s.op)
}

// moved says what a write did to the rows that a predicate finds.
func moved(s *statement) string {
	switch s.verb {
	case "INSERT":
		return "put a row into"
	case "DELETE":
		return "took a row out of"
	}
	return wroteVerb(s.op)
}
