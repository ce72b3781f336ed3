package isolation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/spec"
)

// A renewal brings the tables of a test back to what its set-up made, without
// dropping and making them: the server takes longer for that than for the steps of
// most tests. It is for tests of which everything is known that matters here: a
// set-up that makes tables and fills them, a teardown that drops them, and
// statements in between that read and write rows (renewalOf), in a database that
// holds nothing else.
//
// The rows are deleted and written again. Nothing that such a test prints may tell
// the tables from new ones, so
//
//   - dead rows stay where they are: a snapshot that is held open keeps every page
//     from being pruned. New rows follow them in the order in which they come, as
//     in a new table, and a scan finds them in it.
//   - each table and each index has one page with rows, as new ones have, to which
//     serializable transactions lock and the planner estimates it. Nothing is too
//     long for its row.
//   - a tenth of each table's page is dead rows before it is used: so the page of a
//     new one would never have been so full that it is pruned (heap_page_prune_opt
//     in PostgreSQL's pruneheap.c).
//   - no session is in a transaction, which might see dead rows or hold locks.
//   - nobody counts the rows, as autovacuum does.
//
// What a permutation prints in such tables is held back until that is known. If it
// is not so, or if the permutation does not come to its end, it is forgotten, and
// the permutation runs again, in files without dead rows or in new tables.
type renewal struct {
	tables  []string // as they are written in the set-up, in its order
	fill    []string // the set-up's statements that write rows
	crowded string   // asks whether any of them has not just its page, or was counted
	back    string   // brings them back, and begins with crowded
	age     string   // brings them back, behind dead rows
	empty   string   // gives them new files, and ages them

	open bool // the tables that are there are to be used again
	used int  // how many permutations have run in these files, and what they printed holds
	room int  // how many did when there was no more room for one, or 0
}

// bare asks whether the database holds nothing but what every one does, and
// whether a snapshot stays as long as it is held.
const bare = `SELECT coalesce(current_setting('old_snapshot_threshold', true), '-1') = '-1' AND NOT EXISTS (
	SELECT FROM pg_class WHERE oid >= 16384 UNION ALL SELECT FROM pg_proc WHERE oid >= 16384 UNION ALL
	SELECT FROM pg_type WHERE oid >= 16384 UNION ALL SELECT FROM pg_operator WHERE oid >= 16384 UNION ALL SELECT FROM pg_event_trigger)`

// next runs a permutation, in tables that are used again if they can be.
func (r *run) next(ctx context.Context, p spec.Permutation) error {
	ready, err := r.ready(ctx)
	if err != nil {
		return err
	}
	if !ready {
		return r.play(ctx, p)
	}
	return r.replay(ctx, p)
}

// replay runs a permutation in tables that are used again.
func (r *run) replay(ctx context.Context, p spec.Permutation) error {
	r.held.on = true
	err := r.permutation(ctx, p, true)
	var stuck *stuck
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && r.idle():
		r.left = p
		return nil
	case err == nil, errors.As(err, &stuck), errors.Is(err, ErrFailed):
		r.held.forget()
		if err := r.clear(ctx); err != nil {
			return err
		}
		if err := r.discard(ctx); err != nil {
			return err
		}
		return r.play(ctx, p)
	}
	return err
}

// ready reports whether there are tables that a permutation may use again, as the
// set-up makes them.
func (r *run) ready(ctx context.Context) (bool, error) {
	for r.renewal != nil {
		n := r.renewal
		if !n.open {
			return r.open(ctx)
		}
		last := n.used+1 == n.room // the next one would have none
		ask := n.back
		if last {
			ask = n.crowded
		} else {
			r.sendAhead(ctx)
		}
		switch holds, err := r.look(ctx, ask); {
		case err != nil:
			return false, err
		case holds && last:
			return r.empty(ctx)
		case holds:
			return true, nil
		}
	}
	return false, nil
}

// look asks whether what the last permutation has printed holds, and tells it. If it
// does not the permutation has run again: in empty tables, if several had room in
// these, or else in new ones.
func (r *run) look(ctx context.Context, ask string) (holds bool, err error) {
	n, p := r.renewal, r.left
	crowded, err := value(ctx, r.control, ask)
	switch {
	case err != nil && !fromServer(err):
		return false, errors.Join(ctx.Err(), err)
	case err == nil && crowded == "f":
		n.used++
		r.left = nil
		r.held.release()
		return true, nil
	}
	n.room = n.used
	r.left = nil
	r.held.forget()
	if n.used > 1 {
		switch emptied, err := r.empty(ctx); {
		case err != nil:
			return false, err
		case emptied:
			return false, r.replay(ctx, p)
		}
	} else if err := r.discard(ctx); err != nil {
		return false, err
	}
	return false, r.play(ctx, p)
}

// end tells what the last permutation has printed, and drops its tables.
func (r *run) end(ctx context.Context) error {
	for r.left != nil {
		if holds, err := r.look(ctx, r.renewal.crowded); err != nil {
			return err
		} else if holds {
			return r.discard(ctx)
		}
	}
	return nil // the tables were dropped
}

// open makes tables that are to be used again, and reports whether they can be.
func (r *run) open(ctx context.Context) (opened bool, err error) {
	n := r.renewal
	if err := r.hold(ctx); err != nil { // before there are any rows
		r.renewal = nil // there may be one connection too few
		return false, ctx.Err()
	}
	n.open, n.used = true, 0
	for _, sql := range r.spec.Setups {
		if err == nil {
			err = r.do(ctx, "setup", r.control, nil, sql)
		}
	}
	if err == nil && n.age == "" {
		err = n.learn(ctx, r.control)
	}
	if err == nil {
		err = r.control.Text(ctx, n.age, func(racelab.Answer) {})
	}
	if err != nil {
		return false, r.unable(ctx, err)
	}
	return true, nil
}

// empty does what open does, of tables that are there, which takes less long.
func (r *run) empty(ctx context.Context) (bool, error) {
	r.renewal.used = 0
	if err := r.control.Text(ctx, r.renewal.empty, func(racelab.Answer) {}); err != nil {
		return false, r.unable(ctx, err)
	}
	return true, nil
}

// unable is for tables that cannot be used again: all are made anew. What there is
// of them is dropped, and nothing said: it will be where they are made.
func (r *run) unable(ctx context.Context, err error) error {
	var failed *failed
	var stuck *stuck
	if !fromServer(err) && !errors.As(err, &failed) && !errors.As(err, &stuck) && !errors.Is(err, errNoValue) {
		return errors.Join(ctx.Err(), err)
	}
	drop := "DROP TABLE IF EXISTS " + strings.Join(r.renewal.tables, ", ")
	r.renewal = nil
	if err := r.letGo(ctx); err != nil {
		return err
	}
	if err := r.control.Text(ctx, drop, func(racelab.Answer) {}); err != nil && !fromServer(err) {
		return errors.Join(ctx.Err(), err)
	}
	return nil
}

// fromServer reports whether an error is what a server has said.
func fromServer(err error) bool {
	var server *racelab.ServerError
	return errors.As(err, &server)
}

// discard drops the tables, and lets go of the snapshot. If they were used once or
// not at all, it does not pay.
func (r *run) discard(ctx context.Context) error {
	if r.renewal.open = false; r.renewal.used < 2 {
		r.renewal = nil
	}
	if err := r.letGo(ctx); err != nil {
		return err
	}
	return r.goOn(ctx, r.drop(ctx), r.drop)
}

// hold takes a snapshot.
func (r *run) hold(ctx context.Context) (err error) {
	if r.snapshot == nil {
		if r.snapshot, err = r.world.Connect(ctx); err != nil {
			return err
		}
	}
	return r.snapshot.Text(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1", func(racelab.Answer) {})
}

// letGo ends it.
func (r *run) letGo(ctx context.Context) error {
	if err := r.snapshot.Text(ctx, "COMMIT", func(racelab.Answer) {}); err != nil {
		return fmt.Errorf("let go of a snapshot: %w", err)
	}
	return nil
}

// idle reports whether no session is in a transaction. Of a connection that cannot
// tell it says no.
func (r *run) idle() bool {
	return !slices.ContainsFunc(r.sessions, func(s *session) bool {
		c, ok := s.conn.(interface{ Idle() bool })
		return !ok || !c.Idle()
	})
}

// learn finds out what brings the tables back that are there, and any of their
// names. Prepared, it takes half the time.
func (n *renewal) learn(ctx context.Context, c racelab.Conn) error {
	var names, aging []string
	for _, t := range n.tables {
		name := "'" + strings.ReplaceAll(t, "'", "''") + "'"
		names = append(names, name+"::regclass")
		// Its rows are written so often that they are a tenth of a page. That takes rows:
		// an index without any has no page, and the planner knows it.
		update, err := value(ctx, c, fmt.Sprintf(`
			SELECT format('DO $do$BEGIN FOR i IN 1..%%s LOOP UPDATE %%s SET %%I = %%3$I; END LOOP; END$do$',
				ceil(current_setting('block_size')::int / 10.0 / (SELECT sum(pg_column_size(t.*)) FROM %[1]s AS t)), %[2]s, attname)
			FROM pg_attribute WHERE attrelid = %[2]s::regclass AND attnum > 0 AND attidentity = '' AND attgenerated = '' AND EXISTS (SELECT FROM %[1]s)
			ORDER BY attnum LIMIT 1`, t, name))
		if err != nil {
			return err
		}
		aging = append(aging, update)
	}
	tables := strings.Join(names, ", ")
	crowded, err := value(ctx, c, fmt.Sprintf(`
		WITH file AS (
			SELECT quote_literal(oid::regclass) AS name, 1 AS pages FROM pg_class WHERE oid IN (%[1]s)
			UNION ALL SELECT quote_literal(indexrelid::regclass), 2 FROM pg_index WHERE indrelid IN (%[1]s) -- the first is about the index
			UNION ALL SELECT format('(SELECT reltoastrelid FROM pg_class WHERE oid = %%L::regclass)', oid::regclass), 0 FROM pg_class WHERE oid IN (%[1]s) AND reltoastrelid <> 0
		)
		SELECT format('SELECT %%s OR %%s <> (SELECT sum(reltuples) FROM pg_class WHERE oid IN (%%s)) OR EXISTS (SELECT FROM pg_statistic WHERE starelid IN (%%3$s))',
			string_agg(format('pg_relation_size(%%s) <> %%s', name, pages * current_setting('block_size')::int), ' OR '),
			(SELECT sum(reltuples) FROM pg_class WHERE oid IN (%[1]s)), %[2]s) FROM file`,
		tables, "'"+strings.ReplaceAll(tables, "'", "''")+"'"))
	if err != nil {
		return err
	}
	counters, err := value(ctx, c, fmt.Sprintf(`
		SELECT coalesce('SELECT ' || string_agg(format('setval(%%L, %%s, false)', seqrelid::regclass, seqstart), ', '), '') FROM pg_sequence JOIN pg_depend ON objid = seqrelid
		WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND refobjid IN (%s)`, tables))
	if err != nil {
		return err
	}
	texts := []string{crowded}
	for _, t := range slices.Backward(n.tables) { // the last may refer to the first
		texts = append(texts, "DELETE FROM "+t)
	}
	if counters != "" {
		texts = append(texts, counters)
	}
	var prepare, execute []string
	for i, text := range append(texts, n.fill...) {
		prepare = append(prepare, fmt.Sprintf("PREPARE renew%d AS %s", i, text))
		execute = append(execute, fmt.Sprintf("EXECUTE renew%d", i))
	}
	if err := c.Text(ctx, strings.Join(prepare, "\n;"), func(racelab.Answer) {}); err != nil { // one may end with a comment
		return err
	}
	again := strings.Join(execute[1:], "; ")
	n.crowded = execute[0]
	n.back = n.crowded + "; " + again
	n.age = strings.Join(aging, "; ") + "; " + again
	n.empty = "TRUNCATE " + strings.Join(n.tables, ", ") + "; " + again + "; " + n.age
	return nil
}

// sendAhead runs the set-ups of sessions that only open a transaction, beside
// what brings the tables back.
func (r *run) sendAhead(ctx context.Context) {
	for i, described := range r.spec.Sessions {
		if s := r.sessions[i]; described.Setup != nil && s.begun == nil && begins(*described.Setup) {
			s.begun = begin(ctx, s.conn, *described.Setup)
		}
	}
}

var errNoValue = errors.New("the server gave no value")

// value is the first that a text gives, of all its statements.
func value(ctx context.Context, c racelab.Conn, text string) (first string, err error) {
	found := false
	err = c.Text(ctx, text, func(a racelab.Answer) {
		if a.Table != nil && len(a.Table.Rows) > 0 && !found {
			first, found = a.Table.Rows[0][0].(string)
		}
	})
	if err == nil && !found {
		err = errNoValue
	}
	return first, err
}
