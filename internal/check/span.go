package check

import (
	"slices"
	"strconv"

	"github.com/racelab/racelab"
)

// A span is rows of one table, as far as a statement's text says which: never
// fewer than it touches.
type span struct {
	table string // everything: "*"
	whole bool   // any row
	where conjunction
	rows  []row    // of an INSERT, instead of where
	sets  []string // columns that it changes
}

const everything = "*"

func all(table string) span { return span{table: table, whole: true} }

// meets reports whether two spans may have a row in common, or, unless one of
// them is only read, an INSERT's row and another one may not stand side by
// side: a row that is asked for by one unique key has others, which its text
// does not say.
func (a span) meets(b span, s racelab.Schema, reading bool) bool {
	switch {
	case a.table == everything || b.table == everything:
		return true
	case a.table != b.table:
		return false
	case a.whole || b.whole:
		return true
	}
	t, _ := s.Table(a.table)
	switch {
	case a.rows != nil && b.rows != nil:
		return slices.ContainsFunc(a.rows, func(x row) bool {
			return slices.ContainsFunc(b.rows, func(y row) bool { return collide(t, x, y) })
		})
	case a.rows != nil:
		return slices.ContainsFunc(a.rows, func(r row) bool {
			return !b.where.excludes(t, r) || !reading && slices.ContainsFunc(t.Unique, func(key []string) bool { return !b.where.excludes(t, r.only(key)) })
		})
	case b.rows != nil:
		return b.meets(a, s, reading)
	}
	for _, x := range a.where.conditions {
		for _, y := range b.where.conditions {
			if x.column == y.column && x.op == "=" && y.op == "=" && !slices.Contains(a.sets, x.column) && !slices.Contains(b.sets, x.column) && apart(t, x.column, x.values, y.values) {
				return false
			}
		}
	}
	return true
}

// collide reports whether a unique key may forbid two rows side by side.
func collide(t racelab.TableSchema, x, y row) bool {
	return slices.ContainsFunc(t.Unique, func(key []string) bool {
		return !slices.ContainsFunc(key, func(column string) bool {
			a, aok := x[column]
			b, bok := y[column]
			return aok && bok && apart(t, column, []string{a}, []string{b})
		})
	})
}

// only returns what is known of some columns.
func (r row) only(columns []string) row {
	some := row{}
	for _, c := range columns {
		if v, ok := r[c]; ok {
			some[c] = v
		}
	}
	return some
}

// excludes reports whether a row is certainly none of those asked for.
func (c conjunction) excludes(t racelab.TableSchema, r row) bool {
	return slices.ContainsFunc(c.conditions, func(cond condition) bool {
		value, known := r[cond.column]
		return known && cond.op == "=" && apart(t, cond.column, cond.values, []string{value})
	})
}

// apart reports whether no two of the values are the same in a column. Only of
// columns of whole numbers is that known: to others '1' may be '01', and a word
// any other word, by the type or the collation.
func apart(t racelab.TableSchema, column string, a, b []string) bool {
	if !slices.Contains(t.Integers, column) {
		return false
	}
	for _, x := range a {
		for _, y := range b {
			if !distinct(x, y) {
				return false
			}
		}
	}
	return true
}

// distinct reports whether two values are whole numbers that differ. 0 may
// stand for a number that the database makes up.
func distinct(a, b string) bool {
	x, xok := wholeNumber(a)
	y, yok := wholeNumber(b)
	return xok && yok && x != y && x != 0 && y != 0
}

func wholeNumber(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
