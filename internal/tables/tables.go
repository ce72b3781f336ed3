// Package tables reads rows into the nouns' tables, the same for every engine.
package tables

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/racelab/racelab"
)

// Querier is what Read needs of a *sql.DB, *sql.Conn or *sql.Tx.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Read returns the named tables whole, each with its rows in an order that
// depends on their values only: a table is a multiset. The names are those of
// the scenario, which are plain identifiers.
func Read(ctx context.Context, q Querier, names []string) (racelab.State, error) {
	state := make(racelab.State, 0, len(names))
	for _, name := range names {
		rows, err := q.QueryContext(ctx, "SELECT * FROM "+name)
		if err != nil {
			return nil, fmt.Errorf("read table %s: %w", name, err)
		}
		t, err := Scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read table %s: %w", name, err)
		}
		t.Name = name
		Sort(t.Rows)
		state = append(state, t)
	}
	return state, nil
}

// Scan reads rows to their end and closes them.
func Scan(rows *sql.Rows) (racelab.Table, error) {
	defer rows.Close()
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

// Sort orders rows by their values, column by column: numbers by size, and
// values of different types by the name of the type.
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
