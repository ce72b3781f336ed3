package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
	"github.com/racelab/racelab/internal/tables"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// conn is a connection that waits instead of failing with SQLITE_BUSY where
// waiting can help. One goroutine uses it at a time.
type conn struct {
	world *world
	id    racelab.ConnID
	inner *preparedConn

	inTx       bool     // between BEGIN and COMMIT or ROLLBACK
	began      bool     // a SAVEPOINT began the transaction
	savepoints []string // their names, the outermost first
	snapshot   bool     // a statement of the transaction has run: it reads an old state from now on

	// Guarded by world.mu:
	writes bool // it holds the write lock for its transaction
	parked bool // it waits, and nothing has told it to try again
	tries  int  // of the statement that waits, in vain
	again  chan struct{}
}

func connID(n int) racelab.ConnID { return racelab.ConnID(fmt.Sprintf("%d.%d", os.Getpid(), n)) }

func newConn(w *world, n int, inner *preparedConn) *conn {
	return &conn{world: w, id: connID(n), inner: inner, again: make(chan struct{}, 1)}
}

func (c *conn) ID() racelab.ConnID  { return c.id }
func (c *conn) Driver() driver.Conn { return driverConn{c} }

// LoseDeadlocks does nothing: SQLite fails at once who would have to wait
// while others wait for it.
func (c *conn) LoseDeadlocks(context.Context, time.Duration) error { return nil }

func (c *conn) Close() error {
	c.world.mu.Lock()
	_, open := c.world.conns[c.id]
	delete(c.world.conns, c.id)
	c.world.mu.Unlock()
	if !open {
		return nil
	}
	err := c.inner.Close()
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	c.world.freed()
	return err
}

// wake lets a parked connection try again. world.mu is held.
func (c *conn) wake() {
	c.parked = false
	select {
	case c.again <- struct{}{}:
	default: // it has been told already
	}
}

// do runs one statement, and waits as SQLite's busy handler would.
func (c *conn) do(ctx context.Context, text string, run func() error) error {
	w := c.world
	var limit <-chan time.Time
	queued := false
	for {
		w.mu.Lock()
		seen := w.ended
		w.mu.Unlock()
		err := run()
		w.mu.Lock()
		if !isBusy(err) || c.snapshot {
			c.note(text, err)
			if queued {
				c.leaveQueue()
			}
			if queued || !c.inTx {
				w.freed()
			}
			w.mu.Unlock()
			return err
		}
		c.tries++
		if !queued {
			queued, c.tries = true, 1
			w.queue = append(w.queue, c)
			if d := w.config.BusyLimit; d > 0 {
				timer := time.NewTimer(d)
				defer timer.Stop()
				limit = timer.C
			}
		}
		// What ended during the try may have been what it waits for.
		retry := w.ended != seen && w.queue[0] == c
		c.parked = !retry
		w.mu.Unlock()
		if retry {
			continue
		}
		if stop := c.park(ctx, limit, err); stop != nil {
			return stop
		}
	}
}

// park waits until there is reason to try again: nil. Otherwise it takes the
// connection from the queue and says why the wait is over: the statement's own
// busy error after the limit, or the context's.
func (c *conn) park(ctx context.Context, limit <-chan time.Time, busy error) error {
	w := c.world
	foreign := time.NewTicker(retryEvery)
	defer foreign.Stop()
	for {
		var stop error
		select {
		case <-c.again:
			return nil
		case <-foreign.C:
		case <-limit:
			stop = busy
		case <-ctx.Done():
			stop = ctx.Err()
		}
		w.mu.Lock()
		first := w.queue[0] == c
		if stop != nil {
			c.parked = false
			c.leaveQueue()
			w.freed() // the next one's turn
		}
		w.mu.Unlock()
		// A try that only another process can have made worthwhile does not
		// count as unparked: nothing that can be seen from here has changed.
		if stop != nil || first {
			return stop
		}
	}
}

// leaveQueue: world.mu is held.
func (c *conn) leaveQueue() {
	c.world.queue = slices.DeleteFunc(c.world.queue, func(q *conn) bool { return q == c })
}

func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == lib.SQLITE_BUSY
}

func isConstraint(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == lib.SQLITE_CONSTRAINT
}

// note keeps what is known of the connection's transaction after a statement
// has ended with err. world.mu is held.
func (c *conn) note(text string, err error) {
	c.parked = false
	words := sqltext.Words(text)
	if len(words) == 0 {
		return
	}
	if err != nil {
		if c.inTx && isConstraint(err) { // it wrote, and took that back; the lock stays
			c.snapshot, c.writes = true, true
		}
		return
	}
	second := func(keyword string) bool { return len(words) > 1 && words[1].Is(keyword) }
	switch first := words[0]; {
	case first.Is("BEGIN"):
		c.inTx = true
		c.writes = second("IMMEDIATE") || second("EXCLUSIVE")
		c.snapshot = c.writes
	case first.Is("SAVEPOINT"):
		if c.savepoints = append(c.savepoints, lastName(words)); !c.inTx {
			c.inTx, c.began = true, true // outside a transaction it begins one
		}
	case first.Is("RELEASE"):
		c.release(lastName(words))
	case first.Is("COMMIT"), first.Is("END"), first.Is("ROLLBACK") && !slices.ContainsFunc(words, func(t sqltext.Token) bool { return t.Is("TO") }):
		c.endTx()
	case first.Is("ROLLBACK"), first.Is("PRAGMA"):
	case c.inTx:
		c.snapshot = true
		c.writes = c.writes || writes(words)
	}
}

func (c *conn) endTx() {
	c.inTx, c.began, c.writes, c.snapshot, c.savepoints = false, false, false, false, nil
}

// release gives up a savepoint and those made since. The one that began the
// transaction ends it.
func (c *conn) release(name string) {
	for i, s := range slices.Backward(c.savepoints) {
		if strings.EqualFold(s, name) {
			c.savepoints = c.savepoints[:i]
			break
		}
	}
	if c.began && len(c.savepoints) == 0 {
		c.endTx()
	}
}

func lastName(words []sqltext.Token) string {
	name := ""
	for _, t := range words {
		if t.Kind == sqltext.Word || t.Kind == sqltext.Name {
			name = t.Inside()
		}
	}
	return name
}

// writes reports whether a statement changes data. One that begins with WITH
// says so only later.
func writes(words []sqltext.Token) bool {
	if !words[0].Is("WITH") {
		return !words[0].Is("SELECT") && !words[0].Is("VALUES") && !words[0].Is("EXPLAIN")
	}
	return slices.ContainsFunc(words, func(t sqltext.Token) bool {
		return t.Is("INSERT") || t.Is("UPDATE") || t.Is("DELETE") || t.Is("REPLACE")
	})
}

func (c *conn) exec(ctx context.Context, text string, args []driver.NamedValue) (result driver.Result, err error) {
	err = c.do(ctx, text, func() error {
		result, err = c.inner.ExecContext(ctx, text, args)
		return err
	})
	if words := sqltext.Words(text); err == nil && (len(words) == 0 || !counted(words[0])) {
		result = driver.RowsAffected(0)
	}
	return result, err
}

// counted reports whether SQLite counts the rows that a statement which begins
// like that changes. After the others sqlite3_changes repeats an old count,
// which may be of an earlier run.
func counted(first sqltext.Token) bool {
	return slices.ContainsFunc([]string{"INSERT", "UPDATE", "DELETE", "REPLACE", "WITH"}, first.Is)
}

func (c *conn) query(ctx context.Context, text string, args []driver.NamedValue) (buffer *tables.Buffer, err error) {
	err = c.do(ctx, text, func() error {
		rows, err := c.inner.QueryContext(ctx, text, args)
		if err == nil {
			buffer, err = tables.Drain(rows)
		}
		return err
	})
	return buffer, err
}

// Text runs the statements one by one. SQLite's text form is that of its own
// shell; it has no notices.
func (c *conn) Text(ctx context.Context, text string, heard func(racelab.Answer)) error {
	for _, statement := range sqltext.Statements(text) {
		buffer, err := c.query(ctx, statement, nil)
		if said := (*sqlite.Error)(nil); errors.As(err, &said) {
			return &racelab.ServerError{Notice: racelab.Notice{Severity: "ERROR", Message: said.Error()}, Err: err}
		}
		if err != nil {
			return err
		}
		t := buffer.Table()
		for _, row := range t.Rows {
			for i, v := range row {
				row[i] = textOf(v)
			}
		}
		heard(racelab.Answer{Table: &t})
	}
	return nil
}
