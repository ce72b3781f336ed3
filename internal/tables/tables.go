// Package tables reads rows into the nouns' tables, the same for every engine.
package tables

import (
	"cmp"
	"database/sql"
	"fmt"
	"slices"

	"github.com/racelab/racelab"
)

// Scan reads rows to the end of their result set.
func Scan(rows *sql.Rows) (racelab.Table, error) {
	columns, err := rows.Columns()
	if err != nil {
		return racelab.Table{}, err
	}
	t := racelab.Table{Columns: columns}
	cells := make([]any, len(columns))
	for i := range cells {
		cells[i] = new(any)
	}
	for rows.Next() {
		if err := rows.Scan(cells...); err != nil {
			return t, err
		}
		row := make([]racelab.Value, len(columns))
		for i, c := range cells {
			row[i] = racelab.ValueOf(*c.(*any))
		}
		t.Rows = append(t.Rows, row)
	}
	return t, rows.Err()
}

// Sort orders rows by their values, column by column, because a table is a
// multiset: numbers by size, and values of different types by the name of the type.
func Sort(rows [][]racelab.Value) {
	slices.SortFunc(rows, func(a, b []racelab.Value) int {
		for i := range min(len(a), len(b)) {
			if c := compare(a[i], b[i]); c != 0 {
				return c
			}
		}
		return cmp.Compare(len(a), len(b))
	})
}

func compare(a, b racelab.Value) int {
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y)
		}
	}
	if x, ok := a.(float64); ok {
		if y, ok := b.(float64); ok {
			return cmp.Compare(x, y)
		}
	}
	if c := cmp.Compare(fmt.Sprintf("%T", a), fmt.Sprintf("%T", b)); c != 0 {
		return c
	}
	return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
}
