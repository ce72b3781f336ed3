package check

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/racelab/racelab"
)

// versions are what a row was, one after another: at the start, and after each
// of its writes.
type versions struct {
	writes []*statement
	start  row
	end    row // what is known of it after the last; nil if nothing
}

// rowIn returns the row of the final state that a key names, or nil.
func rowIn(final racelab.State, table, key string) row {
	column, value, _ := strings.Cut(key, "=")
	rows, _ := rowsIn(final, table)
	for _, r := range rows {
		if v, ok := r[column]; ok && same(v, value) == yes {
			return r
		}
	}
	return nil
}

// rowsIn returns a table's rows in the final state, but for times, which are
// printed in too many ways, and whether the table is there.
func rowsIn(final racelab.State, table string) (rows []row, ok bool) {
	for _, t := range final {
		if !strings.EqualFold(t.Name, table) {
			continue
		}
		for _, values := range t.Rows {
			r := row{}
			for i, v := range values[:min(len(values), len(t.Columns))] {
				if _, isTime := v.(racelab.Time); !isTime {
					r[strings.ToLower(t.Columns[i])] = textOf(v)
				}
			}
			rows = append(rows, r)
		}
		return rows, true
	}
	return nil, false
}

// settle decides, among the versions that a read may have seen, by what it
// showed, and notes which writes it has seen.
func (v versions) settle(r *statement, seen map[*statement]certainty, shown row, present bool) {
	var chain []*statement
	for _, w := range v.writes {
		if seen[w] != no || w.tx.committed && !w.undone {
			chain = append(chain, w)
		}
	}
	low, high := 0, 0
	for i, w := range chain {
		if seen[w] == yes {
			low = i + 1
		}
		if seen[w] != no {
			high = i + 1
		}
	}
	end := v.end
	if slices.ContainsFunc(chain, func(w *statement) bool { return !w.tx.committed || w.undone }) {
		end = nil // what is there at the end does not come from the last of these
	}
	fits := versions{chain, v.start, end}.fits(shown, present)
	var sure, open []int
	for i := low; i <= high; i++ {
		switch fits[i] {
		case yes:
			sure = append(sure, i)
		case maybe:
			open = append(open, i)
		}
	}
	if len(sure) == 0 && len(open) == 0 { // the level does not say what happened
		for i, f := range fits {
			if f == yes {
				sure = append(sure, i)
			}
		}
		if len(sure) != 1 {
			sure, open = nil, []int{0, len(chain)}
		}
	}
	if len(sure) == 0 {
		sure = open
	}
	low, high = sure[0], sure[len(sure)-1]
	for i, w := range chain {
		switch {
		case w.tx == r.tx:
		case i < low:
			seen[w] = yes
		case i >= high:
			seen[w] = no
		default:
			seen[w] = maybe
		}
	}
}

// fits says of each version whether it is what was shown.
func (v versions) fits(shown row, present bool) []certainty {
	now, there := maps.Clone(v.start), true
	if now == nil {
		now = row{}
	}
	if len(v.writes) > 0 && v.writes[0].verb == "INSERT" && !v.writes[0].upsert {
		now, there = nil, false
	}
	all := []row{now} // nil: there is none
	for _, w := range v.writes {
		switch {
		case w.verb == "DELETE":
			now, there = nil, false
		case len(w.rows) == 1 && (!there || !w.upsert):
			now, there = maps.Clone(w.rows[0]), true
		default:
			now, there = now.set(w.sets), true
		}
		all = append(all, now)
	}
	// And from the end back, for what nobody read at the start.
	for i := len(all) - 1; i >= 0 && all[i] != nil && v.end != nil; i-- {
		after := v.end
		if i < len(v.writes) {
			if after = nil; all[i+1] != nil && v.writes[i].verb == "UPDATE" {
				after = all[i+1].unset(v.writes[i].sets)
			}
		}
		for column, value := range after {
			if _, ok := all[i][column]; !ok {
				all[i][column] = value
			}
		}
	}
	fits := make([]certainty, len(all))
	for i, r := range all {
		fits[i] = r.fits(shown, present)
	}
	return fits
}

// fits reports whether a row, nil if there is none, is what was shown.
func (r row) fits(shown row, present bool) certainty {
	if r == nil || !present {
		return decide(present == (r != nil))
	}
	best := maybe
	for column, value := range shown {
		if known, ok := r[column]; ok {
			switch same(known, value) {
			case no:
				return no
			case yes:
				best = yes
			}
		}
	}
	return best
}

// set returns the row after an UPDATE, as far as it is known: a column that is
// set to itself and a number more or less is known too.
func (r row) set(sets []assignment) row {
	next := maps.Clone(r)
	if next == nil {
		next = row{}
	}
	for _, s := range sets {
		delete(next, s.column)
		if s.literal {
			next[s.column] = s.value
		} else if before, n, ok := s.more(r); ok {
			next[s.column] = strconv.FormatInt(before+n, 10)
		}
	}
	return next
}

// unset returns the row before an UPDATE, as far as it is known.
func (r row) unset(sets []assignment) row {
	before := maps.Clone(r)
	for _, s := range sets {
		delete(before, s.column)
		if after, n, ok := s.more(r); ok {
			before[s.column] = strconv.FormatInt(after-n, 10)
		}
	}
	return before
}

// more reads an assignment such as v = v + 1: what v is in a row, and how much
// is added.
func (s assignment) more(r row) (value, n int64, ok bool) {
	words := strings.Fields(s.value)
	if s.literal || len(words) != 3 || !strings.EqualFold(words[0], s.column) || words[1] != "+" && words[1] != "-" {
		return 0, 0, false
	}
	value, errValue := strconv.ParseInt(r[s.column], 10, 64)
	n, errN := strconv.ParseInt(words[2], 10, 64)
	if words[1] == "-" {
		n = -n
	}
	return value, n, errValue == nil && errN == nil
}
