package check

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/racelab/racelab"
)

// sees says whether a read saw what a statement of another transaction wrote,
// going by the level: the latest write at READ UNCOMMITTED, what was committed
// when the statement began at READ COMMITTED, and when the transaction began to
// read above that. What locks or writes sees what is committed when it gets
// its lock. Engines differ in when a snapshot is taken (PostgreSQL at the first
// statement, InnoDB at the first plain read, and at SERIALIZABLE never), and in
// whether READ UNCOMMITTED is what it says: in between the answer is open.
func (s *statement) sees(w *statement) certainty {
	if s.tx == w.tx {
		return decide(w.left < s.left)
	}
	if s.waited && w.waited && s.turn == w.turn {
		return maybe // one step freed both, and which went first is not known
	}
	from, to := s.entered, s.entered
	switch {
	case s.waited && w.verb == "INSERT":
		to = s.left // rows that are new may be missed
	case s.waited:
		from, to = s.left, s.left
	}
	if s.plain() && s.tx.first >= 0 {
		switch s.tx.level {
		case racelab.RepeatableRead, racelab.RepeatableReadSnapshot:
			from, to = s.tx.first, s.tx.firstRead
		case racelab.Serializable:
			from = s.tx.first
		}
	}
	if s.plain() && s.tx.level == racelab.ReadUncommitted && w.left < s.entered && s.entered < w.tx.ended {
		return maybe
	}
	switch {
	case !w.tx.committed || w.undone || w.tx.ended > to:
		return no
	case w.tx.ended < from:
		return yes
	}
	return maybe
}

// A view is what reads saw of the writes of a history.
type view map[*statement]map[*statement]certainty // by read, by write

// viewOf finds out what each read saw: by the levels, and, where the values
// tell, by them. Levels are what engines promise; values are what they did.
func viewOf(statements []*statement, final racelab.State) view {
	v := view{}
	byRow := map[string][]*statement{} // writes of a row, in order
	for _, w := range statements {
		if !w.writes() {
			continue
		}
		for _, k := range w.rowKeys() {
			byRow[w.table+" "+k] = append(byRow[w.table+" "+k], w)
		}
	}
	several := groups(statements, final)
	for item := range byRow {
		if table, _, _ := strings.Cut(item, " "); several[item] || !known(table, statements) {
			delete(byRow, item)
		}
	}
	start := beginnings(statements, byRow)
	for _, r := range statements {
		v[r] = map[*statement]certainty{}
		for _, w := range statements {
			if w.writes() && r != w {
				v[r][w] = r.sees(w)
			}
		}
		if r.verb != "SELECT" || !r.ok() {
			continue
		}
		for _, item := range slices.Sorted(maps.Keys(byRow)) {
			table, k, _ := strings.Cut(item, " ")
			if table != r.table {
				continue
			}
			if seen, present, ok := r.rowSeen(k); ok {
				versions{byRow[item], start[item], rowIn(final, table, k)}.settle(r, v[r], seen, present)
			}
		}
	}
	v.compare(statements)
	v.learn(statements)
	return v
}

// known reports whether the writes of a table name its rows, and by one column,
// so that what happened to a row is in its own writes.
func known(table string, statements []*statement) bool {
	by := ""
	for _, w := range statements {
		if w.table != table || !w.writes() || w.verb == "INSERT" && !w.upsert {
			continue
		}
		column, _, ok := strings.Cut(w.key, "=")
		if !ok || by != "" && by != column {
			return false
		}
		by = column
	}
	return true
}

// compare settles what is open by the same read at another time: one that found
// nothing has not seen what it asks for, and one that differs has seen the
// only write that can be the reason.
func (v view) compare(statements []*statement) {
	for _, r := range statements {
		if r.verb != "SELECT" || r.result.Rows == nil {
			continue
		}
		var open []*statement
		for _, w := range statements {
			if v[r][w] != maybe || w.table != r.table || len(r.joined) > 0 {
				continue
			}
			if w.verb == "INSERT" && len(w.rows) == 1 && r.absent() && r.where.matches(w.rows[0]) == yes {
				v[r][w] = no
				continue
			}
			open = append(open, w)
		}
		if len(open) != 1 {
			continue
		}
		for _, other := range statements {
			if other.repeats(r.op) && other.result.Rows != nil &&
				!reflect.DeepEqual(other.result.Rows.Rows, r.result.Rows.Rows) && v.differOnlyIn(open[0], r, other) {
				v[r][open[0]] = yes
			}
		}
	}
}

// differOnlyIn reports whether other has not seen w, and all else that r has.
func (v view) differOnlyIn(w, r, other *statement) bool {
	for x, seen := range v[r] {
		if x.table == r.table && x != w && seen != v[other][x] {
			return false
		}
	}
	seen, ok := v[other][w]
	return ok && seen == no
}

// learn settles what is still open at READ UNCOMMITTED: whether it shows what
// is not committed is the engine's, and so the same for all of a run's reads.
func (v view) learn(statements []*statement) {
	shown, hidden := false, false
	early := func(do func(r, w *statement)) {
		for _, r := range statements {
			for _, w := range statements {
				if r.plain() && r.tx.level == racelab.ReadUncommitted && r.tx != w.tx && w.writes() && w.left < r.entered && r.entered < w.tx.ended {
					do(r, w)
				}
			}
		}
	}
	early(func(r, w *statement) {
		// Only what both are about says anything.
		if w.table == r.table {
			shown = shown || v[r][w] == yes
			hidden = hidden || v[r][w] == no
		}
	})
	if shown == hidden {
		return
	}
	early(func(r, w *statement) {
		if v[r][w] == maybe {
			v[r][w] = decide(shown)
		}
	})
}
