package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// chooseSources finds out where this server says who holds what.
func (w *world) chooseSources(ctx context.Context) error {
	var printsLocks, schema bool
	err := w.admin.QueryRowContext(ctx, "SELECT @@GLOBAL.innodb_status_output_locks, @@performance_schema").Scan(&printsLocks, &schema)
	if err != nil {
		return err
	}
	// MySQL 8 has a table that is always up to date.
	switch {
	case w.server.product.Name == "MySQL" && schema:
		w.rowHolders = dataLockWaits
	case printsLocks:
		w.rowHolders = printedLocks
	default:
		w.rowHolders = cachedLockWaits
	}
	w.lockHolders = userLockHolders
	if schema {
		var enabled string
		err := w.admin.QueryRowContext(ctx, "SELECT ENABLED FROM performance_schema.setup_instruments WHERE NAME = 'wait/lock/metadata/sql/mdl'").Scan(&enabled)
		if err == nil && strings.EqualFold(enabled, "YES") {
			w.lockHolders = metadataLocks
		} // without the right to read it: as if it were off
	}
	return nil
}

// printedLocks computes the holders from the text that says who waits. That
// prints ten locks of a transaction; where it leaves some out, ask the cache.
func printedLocks(ctx context.Context, c *sql.Conn, s status) (edges, error) {
	if e, complete := s.holders(); complete {
		return e, nil
	}
	return cachedLockWaits(ctx, c, s)
}

func dataLockWaits(ctx context.Context, c *sql.Conn, _ status) (edges, error) {
	return queryEdges(ctx, c, `SELECT r.PROCESSLIST_ID, b.PROCESSLIST_ID FROM performance_schema.data_lock_waits w
		JOIN performance_schema.threads r ON r.THREAD_ID = w.REQUESTING_THREAD_ID
		JOIN performance_schema.threads b ON b.THREAD_ID = w.BLOCKING_THREAD_ID`)
}

// cachedLockWaits reads information_schema's lock waits. They come from a cache
// that is filled anew only if nobody has read it for a tenth of a second, and
// does not say when that was. So the question is asked within a transaction,
// with a number in its text: only a cache that was filled by this very question
// shows this transaction with this number. Until then it asks again.
func cachedLockWaits(ctx context.Context, c *sql.Conn, _ status) (edges, error) {
	const idle = 110 * time.Millisecond
	if _, err := c.ExecContext(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
		return nil, err
	}
	for range 50 {
		number := fmt.Sprintf("racelab asks at %d", time.Now().UnixNano())
		var fresh bool
		err := c.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id = CONNECTION_ID()"+
			" AND INSTR(trx_query, '"+number+"') > 0").Scan(&fresh)
		if err != nil {
			return nil, err
		}
		if fresh {
			e, err := readCache(ctx, c)
			if err == nil {
				_, err = c.ExecContext(ctx, "COMMIT")
			}
			return e, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(idle):
		}
	}
	return nil, errors.New("others read information_schema.INNODB_TRX all the time, which keeps the server from bringing it up to date")
}

// readCache leaves out whoever waits for or in a transaction that cannot be
// told from another one: all that have written nothing have the number 0.
func readCache(ctx context.Context, c *sql.Conn) (edges, error) {
	e, err := queryEdges(ctx, c, "SELECT requesting_trx_id, blocking_trx_id FROM information_schema.INNODB_LOCK_WAITS")
	if err != nil {
		return nil, err
	}
	lockers, err := queryEdges(ctx, c, "SELECT trx_id, trx_mysql_thread_id FROM information_schema.INNODB_TRX WHERE trx_lock_structs > 0")
	if err != nil {
		return nil, err
	}
	byThread := edges{}
waiters:
	for waiter, holders := range e {
		if len(lockers[waiter]) != 1 {
			continue
		}
		for _, holder := range holders {
			if len(lockers[holder]) != 1 {
				delete(byThread, lockers[waiter][0])
				continue waiters
			}
			byThread.add(lockers[waiter][0], lockers[holder][0])
		}
	}
	return byThread, nil
}

func queryEdges(ctx context.Context, c *sql.Conn, query string) (edges, error) {
	rows, err := c.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	e := edges{}
	for rows.Next() {
		var waiter, holder uint64
		if err := rows.Scan(&waiter, &holder); err != nil {
			return nil, err
		}
		e.add(waiter, holder)
	}
	return e, rows.Err()
}

func metadataLocks(ctx context.Context, c *sql.Conn, _ []process) (edges, error) {
	rows, err := c.QueryContext(ctx, `SELECT l.OBJECT_TYPE, COALESCE(l.OBJECT_SCHEMA, ''), COALESCE(l.OBJECT_NAME, ''),
			l.LOCK_TYPE, l.LOCK_STATUS, t.PROCESSLIST_ID
		FROM performance_schema.metadata_locks l
		JOIN performance_schema.threads t ON t.THREAD_ID = l.OWNER_THREAD_ID
		WHERE t.PROCESSLIST_ID IS NOT NULL`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var claims []claim
	for rows.Next() {
		var m claim
		if err := rows.Scan(&m.kind, &m.schema, &m.name, &m.mode, &m.status, &m.thread); err != nil {
			return nil, err
		}
		claims = append(claims, m)
	}
	return claimHolders(claims), rows.Err()
}

// userLockHolders is what a server without metadata_locks can say: who holds a
// lock by GET_LOCK, if its name stands in the waiting statement.
func userLockHolders(ctx context.Context, c *sql.Conn, processes []process) (edges, error) {
	e := edges{}
	for _, p := range processes {
		name, ok := p.userLockName()
		if p.waitsFor() != "advisory" || !ok {
			continue
		}
		var holder sql.Null[uint64]
		if err := c.QueryRowContext(ctx, "SELECT IS_USED_LOCK(?)", name).Scan(&holder); err != nil {
			return nil, err
		}
		if holder.Valid {
			e.add(p.id, holder.V)
		}
	}
	return e, nil
}
