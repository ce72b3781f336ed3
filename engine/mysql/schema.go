package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/tables"
)

// isolation: https://mariadb.com/kb/en/set-transaction/,
// https://mariadb.com/kb/en/innodb-lock-modes/
func isolation(l racelab.Level) racelab.Isolation {
	i := racelab.Isolation{Snapshot: racelab.OfTransaction, Ranges: true}
	switch l {
	case racelab.ReadUncommitted:
		i.Snapshot = racelab.Dirty
	case racelab.ReadCommitted:
		i.Snapshot = racelab.OfStatement
	case racelab.Serializable:
		i.ReadsLock = true
	}
	return i
}

const (
	tablesQuery = `SELECT lower(table_name), table_type <> 'BASE TABLE' OR EXISTS
			(SELECT 1 FROM information_schema.triggers WHERE event_object_schema = t.table_schema AND event_object_table = t.table_name)
		FROM information_schema.tables t WHERE table_schema = database() AND table_name NOT LIKE 'racelab\\_seed\\_%' ORDER BY table_name`
	numbersQuery = `SELECT lower(table_name), lower(column_name) FROM information_schema.columns
		WHERE table_schema = database() AND data_type IN ('tinyint', 'smallint', 'mediumint', 'int', 'bigint') AND coalesce(generation_expression, '') = ''`
	generatedQuery = `SELECT lower(table_name), lower(column_name) FROM information_schema.columns
		WHERE table_schema = database() AND extra LIKE '%auto_increment%'`
	// A key on the beginning of a column, or on an expression, has no column
	// whose values could be compared.
	keysQuery = `SELECT lower(table_name), index_name, lower(if(sub_part IS NULL, coalesce(column_name, ''), '')) FROM information_schema.statistics
		WHERE table_schema = database() AND non_unique = 0 ORDER BY table_name, index_name <> 'PRIMARY', index_name, seq_in_index`
	linksQuery = `SELECT lower(table_name), constraint_name, lower(column_name), lower(referenced_table_name), lower(referenced_column_name)
		FROM information_schema.key_column_usage
		WHERE table_schema = database() AND referenced_table_name IS NOT NULL ORDER BY table_name, constraint_name, ordinal_position`
)

func (w *world) Schema(ctx context.Context) (racelab.Schema, error) {
	s, err := w.schema(ctx)
	if err != nil {
		return s, fmt.Errorf("read the schema: %w", err)
	}
	return s, nil
}

func (w *world) schema(ctx context.Context) (s racelab.Schema, err error) {
	var found [5]racelab.Table
	for i, q := range []string{tablesQuery, keysQuery, linksQuery, numbersQuery, generatedQuery} {
		rows, err := w.admin.QueryContext(ctx, q)
		if err != nil {
			return s, err
		}
		found[i], err = tables.Scan(rows)
		if err = errors.Join(err, rows.Close()); err != nil {
			return s, err
		}
	}
	for _, r := range found[0].Rows {
		t := racelab.TableSchema{Name: text(r[0]), Hidden: text(r[1]) != "0"}
		for _, n := range found[3].Rows {
			if text(n[0]) == t.Name {
				t.Integers = append(t.Integers, text(n[1]))
			}
		}
		for _, g := range found[4].Rows {
			if text(g[0]) == t.Name {
				t.Generated = append(t.Generated, text(g[1]))
			}
		}
		last := ""
		for _, k := range found[1].Rows {
			if text(k[0]) != t.Name {
				continue
			}
			if text(k[1]) != last {
				t.Unique, last = append(t.Unique, nil), text(k[1])
			}
			key := &t.Unique[len(t.Unique)-1]
			*key = append(*key, text(k[2]))
		}
		last = ""
		for _, l := range found[2].Rows {
			if text(l[0]) != t.Name {
				continue
			}
			if text(l[1]) != last {
				t.References, last = append(t.References, racelab.Reference{Table: text(l[3])}), text(l[1])
			}
			ref := &t.References[len(t.References)-1]
			ref.Columns, ref.To = append(ref.Columns, text(l[2])), append(ref.To, text(l[4]))
		}
		s.Tables = append(s.Tables, t)
	}
	return s, nil
}

func text(v racelab.Value) string { return strings.TrimSpace(fmt.Sprint(v)) }
