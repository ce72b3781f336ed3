package check

import (
	"slices"

	"github.com/racelab/racelab"
)

// readsOf reports whether what r read depends on what w wrote: whether, in the
// other order, r might have seen something else.
func readsOf(r, w *statement, final racelab.State, several map[string]bool) certainty {
	if slices.Contains(r.joined, w.table) {
		return maybe
	}
	if r.table != w.table || r.memory != w.memory || !r.changes(w.region) {
		return no
	}
	if r.refused() {
		return meets(r, w)
	}
	if r.verb != "SELECT" && !r.absent() {
		return no // a write that changed rows: the order of the writes tells
	}
	if w.verb == "INSERT" {
		best := no
		if w.rows == nil {
			best = min(maybe, r.where.matches(row{}))
		}
		for _, image := range w.rows {
			best = max(best, r.where.matches(image))
		}
		if best == maybe {
			best = inFinal(r.where, w, final)
		}
		if best != no || !w.upsert {
			return best
		}
	}
	if r.key != "" && r.key == w.key && !several[r.table+" "+r.key] {
		return yes
	}
	before, after := r.where.matches(w.where.equal()), r.where.matches(w.after())
	switch {
	case before == no && after == no:
		return no
	case before == yes || after == yes:
		return yes
	}
	if r.result.Rows != nil {
		for _, values := range r.result.Rows.Rows {
			image := r.where.equal()
			for column, v := range r.shown(values) {
				image[column] = v
			}
			if w.where.matches(image) == yes {
				return yes
			}
		}
	}
	return inFinal(r.where, w, final)
}

// writesOver reports whether later writes a row that earlier wrote before.
func writesOver(earlier, later *statement, final racelab.State, several map[string]bool) certainty {
	if earlier.table != later.table || earlier.memory != later.memory || later.verb == "INSERT" && !later.upsert {
		return no
	}
	if len(earlier.sets) > 0 && len(later.sets) > 0 && !slices.ContainsFunc(later.sets, func(s assignment) bool {
		return slices.ContainsFunc(earlier.sets, func(e assignment) bool { return e.column == s.column })
	}) {
		return no // different columns
	}
	if earlier.key != "" && earlier.key == later.key && !several[earlier.table+" "+earlier.key] {
		return yes
	}
	images := earlier.rows
	if earlier.verb != "INSERT" {
		images = []row{earlier.after()}
	}
	best := no
	for _, image := range images {
		best = max(best, later.where.matches(image))
	}
	if earlier.where.whole && len(earlier.where.conditions) == 0 && earlier.verb == "UPDATE" {
		best = yes // it wrote every row
	}
	if best == maybe {
		best = inFinal(later.where, earlier, final)
	}
	return best
}

// meets reports whether the row in the way of a refused insert is w's.
func meets(refused, w *statement) certainty {
	if w.verb != "INSERT" {
		return no
	}
	best := no
	for _, mine := range refused.rows {
		for _, other := range w.rows {
			equal := 0
			for column, v := range mine {
				if o, ok := other[column]; ok && v != "NULL" && same(o, v) == yes {
					equal++
				}
			}
			switch {
			case equal > 0 && equal == len(mine):
				return yes
			case equal > 0:
				best = maybe
			}
		}
	}
	return best
}

// inFinal looks in the final state for a row that w wrote and that is asked
// for: by the columns that nobody sets, one that is not there now has never
// been, unless it was deleted. It answers what the texts alone leave open.
func inFinal(asked conjunction, w *statement, final racelab.State) certainty {
	rows, ok := rowsIn(final, w.table)
	if !ok || w.verb == "DELETE" {
		return maybe
	}
	written := []conjunction{w.where}
	if w.verb == "INSERT" && !w.upsert {
		written = nil
		for _, r := range w.rows {
			c := conjunction{whole: true}
			for column, v := range r {
				c.conditions = append(c.conditions, condition{column, "=", []string{v}})
			}
			written = append(written, c)
		}
		if written == nil {
			return maybe
		}
	}
	best := no
	for _, image := range rows {
		for _, set := range w.sets {
			delete(image, set.column)
		}
		for _, c := range written {
			best = max(best, min(asked.matches(image), c.matches(image)))
		}
	}
	return best
}
