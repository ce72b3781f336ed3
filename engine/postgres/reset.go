package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

// Every reset leaves dead rows, and autovacuum is off: it would take locks
// when nobody asked. So we vacuum, after every so many resets.
const vacuumEvery = 500

// A reset is how a world's tables are brought back.
type reset struct {
	script  pipeline // delete all rows, copy the seed's
	vacuum  string
	replica bool // triggers and foreign keys are off while it runs
	ran     atomic.Int64
}

type userTable struct {
	name, columns string // quoted
	triggers      bool
}

// newReset copies the tables as they are now to the schema racelab_seed.
// Tables that a session creates later are none of it.
// With counters it also brings sequences back to where they are.
func newReset(ctx context.Context, config *pgx.ConnConfig, superuser, counters bool) (*reset, error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, hide(config, err)
	}
	defer hangUp(conn)
	rows, err := conn.Query(ctx, `
		SELECT format('%I.%I', n.nspname, c.relname),
			(SELECT coalesce(string_agg(quote_ident(attname), ', ' ORDER BY attnum), '') FROM pg_attribute
				WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = ''),
			EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
			AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'
		ORDER BY c.oid`)
	if err != nil {
		return nil, err
	}
	userTables, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t userTable, err error) {
		return t, row.Scan(&t.name, &t.columns, &t.triggers)
	})
	if err != nil {
		return nil, err
	}
	r := &reset{replica: superuser}
	if counters {
		if r.script, err = keepSequences(ctx, conn); err != nil {
			return nil, err
		}
	}
	if len(userTables) == 0 {
		return r, nil
	}
	if _, err := conn.Exec(ctx, "CREATE SCHEMA racelab_seed"); err != nil {
		return nil, err
	}
	var deletes, inserts, names []string
	for i, t := range userTables {
		if t.triggers && !superuser {
			return nil, fmt.Errorf("table %s has a trigger, which would also fire for the reset: only a superuser can turn it off", t.name)
		}
		seed := fmt.Sprintf("racelab_seed.t%d", i)
		tag, err := conn.Exec(ctx, fmt.Sprintf("CREATE TABLE %s AS SELECT * FROM %s", seed, t.name))
		if err != nil {
			return nil, err
		}
		names = append(names, t.name)
		deletes = append(deletes, "DELETE FROM "+t.name)
		if tag.RowsAffected() == 0 {
			continue
		}
		if t.columns == "" {
			return nil, fmt.Errorf("table %s has rows and no columns", t.name)
		}
		inserts = append(inserts, fmt.Sprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %[2]s FROM %[3]s", t.name, t.columns, seed))
	}
	// A table that refers to another one was created after it.
	slices.Reverse(deletes)
	r.script = slices.Concat(deletes, inserts, r.script)
	// Once before the first run too, so that the planner knows the same all along.
	r.vacuum = "VACUUM " + strings.Join(names, ", ")
	_, err = conn.Exec(ctx, r.vacuum)
	return r, err
}

// keepSequences returns what brings the sequences back.
func keepSequences(ctx context.Context, conn *pgx.Conn) (pipeline, error) {
	rows, err := conn.Query(ctx, `
		SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'S' AND c.relpersistence <> 't' ORDER BY c.oid`)
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	var script pipeline
	for _, name := range names {
		var set string
		if err := conn.QueryRow(ctx, "SELECT format('SELECT setval(%L, %s, %L)', $1::text, last_value, is_called) FROM "+name, name).Scan(&set); err != nil {
			return nil, err
		}
		script = append(script, set)
	}
	return script, nil
}

// prepare sets up the connection that the reset will run on. Replicas apply
// rows that were checked elsewhere: it is their role that turns off triggers
// and with them foreign keys, whatever their order.
func (r *reset) prepare(config *pgx.ConnConfig) {
	config.RuntimeParams["lock_timeout"] = "5s" // instead of waiting for a session that was left open
	if r.replica {
		config.RuntimeParams["session_replication_role"] = "replica"
	}
}

func (r *reset) run(ctx context.Context, watcher *sql.DB) error {
	if len(r.script) == 0 {
		return nil
	}
	_, err := r.script.run(ctx, watcher)
	if err == nil && r.ran.Add(1)%vacuumEvery == 0 {
		_, err = pipeline{r.vacuum}.run(ctx, watcher)
	}
	return err
}
