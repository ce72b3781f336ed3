package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/racelab/racelab"
)

// isolation: https://www.postgresql.org/docs/15/transaction-iso.html
func isolation(l racelab.Level) racelab.Isolation {
	switch l {
	case racelab.RepeatableRead:
		return racelab.Isolation{Snapshot: racelab.OfTransaction}
	case racelab.Serializable:
		return racelab.Isolation{Snapshot: racelab.OfTransaction, Checked: true}
	}
	return racelab.Isolation{Snapshot: racelab.OfStatement}
}

// Indexes on expressions or on a part of the rows, and those that exclude by
// another operator than equality, have no columns that could be compared: they
// may forbid any two rows. What is checked only at the COMMIT, and policies,
// which may read other tables, are not followed, nor which of several tables of
// one name, in different schemas, a statement means. A number from a sequence
// shows who came first: where it is no key of its table by itself, nothing else
// says so.
const schemaQuery = `
	SELECT lower(c.relname), c.relkind NOT IN ('r', 'p') OR c.relhasrules OR EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal)
			OR c.relrowsecurity OR EXISTS (SELECT FROM pg_constraint WHERE condeferred AND c.oid IN (conrelid, confrelid))
			OR EXISTS (SELECT FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
				WHERE a.attrelid = c.oid AND (a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE '%nextval%')
					AND (pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname) IS NULL
						OR NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisunique AND indpred IS NULL AND indkey::text = a.attnum::text)))
			OR count(*) OVER (PARTITION BY lower(c.relname)) > 1 OR c.relkind = 'p' OR c.relispartition OR EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid OR inhparent = c.oid),
		EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary),
		array_to_string(ARRAY(SELECT lower(attname) FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
			WHERE a.attrelid = c.oid AND a.attnum > 0 AND (a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE '%nextval%')), ','),
		array_to_string(ARRAY(SELECT lower(attname) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND attgenerated = ''
			AND atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)), ','),
		array_to_string(ARRAY(SELECT '=' || array_to_string(ARRAY(SELECT lower(a.attname) FROM unnest(i.indkey) WITH ORDINALITY AS k (n, at)
				JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.n WHERE i.indexprs IS NULL AND i.indpred IS NULL AND NOT i.indisexclusion ORDER BY at), ',')
			FROM pg_index i WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion) ORDER BY NOT i.indisprimary, i.indexrelid), E'\n'),
		array_to_string(ARRAY(SELECT '=' || concat_ws(';', lower(p.relname),
				array_to_string(ARRAY(SELECT lower(a.attname) FROM unnest(f.conkey) WITH ORDINALITY AS k (n, at) JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.n ORDER BY at), ','),
				array_to_string(ARRAY(SELECT lower(a.attname) FROM unnest(f.confkey) WITH ORDINALITY AS k (n, at) JOIN pg_attribute a ON a.attrelid = p.oid AND a.attnum = k.n ORDER BY at), ','))
			FROM pg_constraint f JOIN pg_class p ON p.oid = f.confrelid WHERE f.conrelid = c.oid AND f.contype = 'f' ORDER BY f.oid), E'\n')
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('information_schema', 'racelab_seed') AND n.nspname NOT LIKE 'pg\_%'
	ORDER BY c.relname`

func (w *world) Schema(ctx context.Context) (s racelab.Schema, err error) {
	rows, err := w.watcher.QueryContext(ctx, schemaQuery)
	if err != nil {
		return s, fmt.Errorf("read the schema: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		t := racelab.TableSchema{Heap: true}
		var generated, integers, keys, links string
		if err := rows.Scan(&t.Name, &t.Hidden, &t.Primary, &generated, &integers, &keys, &links); err != nil {
			return s, fmt.Errorf("read the schema: %w", err)
		}
		t.Generated, t.Integers = list(generated), list(integers)
		for _, k := range lines(keys) {
			t.Unique = append(t.Unique, list(k))
		}
		for _, l := range lines(links) {
			parts := strings.Split(l, ";")
			t.References = append(t.References, racelab.Reference{Table: parts[0], Columns: list(parts[1]), To: list(parts[2])})
		}
		s.Tables = append(s.Tables, t)
	}
	return s, rows.Err()
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// lines reads what the query marks with = at the beginning of each line.
func lines(s string) []string {
	var all []string
	for _, l := range strings.Split(s, "\n") {
		if l != "" {
			all = append(all, l[1:])
		}
	}
	return all
}
