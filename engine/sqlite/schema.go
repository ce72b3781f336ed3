package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// isolation: a transaction reads the state of its first read, and there is one
// lock, for writing (https://www.sqlite.org/isolation.html).
func isolation(racelab.Level) racelab.Isolation {
	return racelab.Isolation{Snapshot: racelab.OfTransaction, OneWriter: true}
}

func (w *world) Schema(ctx context.Context) (s racelab.Schema, err error) {
	err = w.watch(func(c *preparedConn) error {
		s, err = schemaOf(func(query string) ([][]racelab.Value, error) {
			t, err := c.read(ctx, query)
			return t.Rows, err
		})
		return err
	})
	if err != nil {
		return s, fmt.Errorf("read the schema: %w", err)
	}
	return s, nil
}

func schemaOf(query func(string) ([][]racelab.Value, error)) (s racelab.Schema, err error) {
	names, err := query(`SELECT name, type, EXISTS (SELECT 1 FROM sqlite_master g WHERE g.type = 'trigger' AND g.tbl_name = m.name)
		FROM sqlite_master m WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
			AND name NOT LIKE 'racelab\_seed\_%' ESCAPE '\' ORDER BY name`)
	if err != nil {
		return s, err
	}
	for _, n := range names {
		name := n[0].(string)
		t := racelab.TableSchema{Name: strings.ToLower(name), Hidden: n[1] != "table" || n[2] != int64(0)}
		key, err := query("SELECT name FROM pragma_table_info(" + sqltext.Literal(name) + ") WHERE pk > 0 ORDER BY pk")
		if err != nil {
			return s, err
		}
		t.Unique = append(t.Unique, column(key, 0))
		numbers, err := query("SELECT name FROM pragma_table_info(" + sqltext.Literal(name) + ") WHERE upper(type) LIKE '%INT%'")
		if err != nil {
			return s, err
		}
		t.Integers = column(numbers, 0)
		indexes, err := query("SELECT name FROM pragma_index_list(" + sqltext.Literal(name) + `) WHERE "unique" = 1 AND origin <> 'pk' ORDER BY name`)
		if err != nil {
			return s, err
		}
		for _, i := range indexes {
			columns, err := query("SELECT name FROM pragma_index_info(" + sqltext.Literal(i[0]) + ") ORDER BY seqno")
			if err != nil {
				return s, err
			}
			t.Unique = append(t.Unique, column(columns, 0))
		}
		links, err := query(`SELECT id, "table", "from", coalesce("to", '') FROM pragma_foreign_key_list(` + sqltext.Literal(name) + ") ORDER BY id, seq")
		if err != nil {
			return s, err
		}
		last := racelab.Value(nil)
		for _, l := range links {
			if l[0] != last {
				t.References = append(t.References, racelab.Reference{Table: strings.ToLower(l[1].(string))})
				last = l[0]
			}
			ref := &t.References[len(t.References)-1]
			ref.Columns = append(ref.Columns, strings.ToLower(l[2].(string)))
			if l[3] != "" {
				ref.To = append(ref.To, strings.ToLower(l[3].(string)))
			}
		}
		s.Tables = append(s.Tables, t)
	}
	return s, nil
}

// column returns a column of rows of text, in lower case.
func column(rows [][]racelab.Value, i int) []string {
	var all []string
	for _, r := range rows {
		name, _ := r[i].(string) // an index on an expression has none
		all = append(all, strings.ToLower(name))
	}
	return all
}
