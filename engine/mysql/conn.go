package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/racelab/racelab"
)

// An innerConn is what the driver's connection can do.
type innerConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

// A conn is a session's connection.
type conn struct {
	world *world
	inner innerConn
	id    uint64
	once  sync.Once

	warned bool // Text: the server's list of warnings is not empty
}

func (c *conn) ID() racelab.ConnID  { return connID(c.id) }
func (c *conn) Driver() driver.Conn { return session{c} }

// LoseDeadlocks does nothing: InnoDB ends a deadlock at once, and chooses the
// transaction that has changed least.
func (c *conn) LoseDeadlocks(context.Context, time.Duration) error { return nil }

func (c *conn) Close() error {
	c.world.mu.Lock()
	delete(c.world.conns, c)
	c.world.mu.Unlock()
	c.end()
	return nil
}

// end closes the connection on both sides: a server does not notice that its
// client has gone while a statement waits for a lock, and would run it later.
func (c *conn) end() {
	c.once.Do(func() {
		c.kill()
		// The server hangs up as it was told, so an error says nothing.
		_ = c.inner.Close()
	})
}

func (c *conn) kill() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	// An error says that the connection or the server has ended already.
	_, _ = c.world.admin.ExecContext(ctx, "KILL "+strconv.FormatUint(c.id, 10))
}

// End asks until the server lists none of the connections any more: it takes
// one off the list after its transaction is rolled back and its locks are free.
// (unlink_thd in MariaDB's mysqld.cc, close_connection in MySQL's connection_handler_per_thread.cc)
func (w *world) End(ctx context.Context, conns []racelab.ConnID) error {
	c, err := w.admin.Conn(ctx)
	if err != nil {
		return fmt.Errorf("end connections: %w", err)
	}
	defer c.Close()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	var ours []uint64
	for first := true; ; first = false {
		rows, err := c.QueryContext(ctx, "SHOW FULL PROCESSLIST")
		if err != nil {
			return fmt.Errorf("end connections: %w", err)
		}
		processes, err := scanProcesses(rows)
		if err = errors.Join(err, rows.Close()); err != nil {
			return fmt.Errorf("end connections: %w", err)
		}
		if first {
			// A server that was restarted counts from 1 again, for everybody.
			for _, p := range processes {
				if p.db == w.name && slices.Contains(conns, connID(p.id)) {
					ours = append(ours, p.id)
				}
			}
		}
		left := slices.DeleteFunc(slices.Clone(ours), func(id uint64) bool {
			return !slices.ContainsFunc(processes, func(p process) bool { return p.id == id })
		})
		if len(left) == 0 {
			return nil
		}
		for _, id := range left {
			// An error says that it has ended already, or that the list cannot be had either.
			_, _ = c.ExecContext(ctx, "KILL "+strconv.FormatUint(id, 10))
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("end connections: %w", ctx.Err())
		}
	}
}

// finish passes on how an operation ended. One that its context ended goes on
// in the server, until that is told.
func (c *conn) finish(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		c.kill()
	}
	return err
}

func connID(id uint64) racelab.ConnID { return racelab.ConnID(strconv.FormatUint(id, 10)) }

func connectionID(ctx context.Context, c innerConn) (uint64, error) {
	rows, err := c.QueryContext(ctx, "SELECT CONNECTION_ID()", nil)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	id := make([]driver.Value, 1)
	if err := rows.Next(id); err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(fmt.Sprint(id[0]), 10, 64)
	if err != nil {
		return 0, err
	}
	if err := rows.Next(id); err != io.EOF {
		return 0, err
	}
	return n, nil
}
