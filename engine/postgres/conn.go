package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/racelab/racelab"
)

type conn struct {
	driver  *stdlib.Conn
	heard   func(racelab.Answer) // of the text that runs now, or nil
	patient bool                 // it looks for deadlocks only when told to
}

// never is longer than any run. A session that waits looks for a deadlock once,
// deadlock_timeout after it began to wait. One that never gets there is never a
// victim.
const never = time.Hour

// LoseDeadlocks works only with a superuser's rights, as on a private server.
// In a transaction that has failed it cannot be said, and need not be: nothing
// waits there any more.
func (c *conn) LoseDeadlocks(ctx context.Context, after time.Duration) error {
	if !c.patient || c.driver.Conn().PgConn().TxStatus() == 'E' {
		return nil
	}
	if after == 0 {
		after = never
	}
	_, err := c.driver.Conn().PgConn().Exec(ctx, fmt.Sprintf("SET deadlock_timeout = %d", after.Milliseconds())).ReadAll()
	return err
}

func newConn(ctx context.Context, config *pgx.ConnConfig) (*conn, error) {
	c := &conn{}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if c.heard != nil {
			notice := noticeOf((*pgconn.PgError)(n))
			c.heard(racelab.Answer{Notice: &notice})
		}
	}
	config.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) {
		if c.heard != nil {
			c.heard(racelab.Answer{Notification: &racelab.Notification{Channel: n.Channel, Payload: n.Payload, From: connID(int32(n.PID))}})
		}
	}
	// What was canceled must have ended when its error returns: else it goes
	// on beside a run that believes it is over, and may still write. So the
	// server is asked to cancel and its answer awaited; only if none comes is
	// the connection given up.
	config.BuildContextWatcherHandler = func(pg *pgconn.PgConn) ctxwatch.Handler {
		return canceler{pg}
	}
	d, err := stdlib.GetConnector(*config).Connect(ctx)
	if err != nil {
		return nil, err
	}
	c.driver = d.(*stdlib.Conn)
	return c, nil
}

// A canceler asks the server to cancel what a connection runs, and waits until it
// has been asked: the server hangs up when it has signalled the session, which
// PostgreSQL 15 does twice (processCancelRequest and signal_child in its
// postmaster.c). A signal that came later would cancel what is sent next. pgx's own
// handler sleeps for a tenth of a second instead, which on a busy machine is not
// always enough.
type canceler struct{ conn *pgconn.PgConn }

func (c canceler) HandleCancel(context.Context) {
	deadline := time.Now().Add(grace)
	_ = c.conn.Conn().SetDeadline(deadline)
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	if c.conn.CancelRequest(ctx) != nil {
		_ = c.conn.Conn().Close() // nobody knows what the server will do
	}
}

func (c canceler) HandleUnwatchAfterCancel() { _ = c.conn.Conn().SetDeadline(time.Time{}) }

func (c *conn) pg() *pgconn.PgConn { return c.driver.Conn().PgConn() }

func (c *conn) ID() racelab.ConnID { return connID(int32(c.pg().PID())) }

// Idle reports whether the connection was in no transaction when it last answered.
func (c *conn) Idle() bool { return c.pg().TxStatus() == 'I' }

func (c *conn) Driver() driver.Conn { return c.driver }

func (c *conn) Close() error { return hangUp(c.driver.Conn()) }

// Text uses the simple protocol, which takes several statements and answers in
// text.
func (c *conn) Text(ctx context.Context, sql string, heard func(racelab.Answer)) error {
	c.heard = heard
	defer func() { c.heard = nil }()
	results := c.pg().Exec(ctx, sql)
	for results.NextResult() {
		if t, ok := readText(results.ResultReader()); ok {
			heard(racelab.Answer{Table: &t})
		}
	}
	err := results.Close()
	if said := (*pgconn.PgError)(nil); errors.As(err, &said) {
		err = &racelab.ServerError{Notice: noticeOf(said), Err: err}
	}
	if err != nil {
		return fmt.Errorf("run as text: %w", err)
	}
	return nil
}

// readText reads a result to its end, and reports whether it got there: if not,
// Close gives the error. A text without a statement in it gives no result.
func readText(r *pgconn.ResultReader) (racelab.Table, bool) {
	fields := r.FieldDescriptions()
	t := racelab.Table{}
	for _, f := range fields {
		t.Columns = append(t.Columns, f.Name)
	}
	for r.NextRow() {
		row := make([]racelab.Value, len(fields))
		for i, v := range r.Values() {
			if v != nil {
				row[i] = string(v)
			}
		}
		t.Rows = append(t.Rows, row)
	}
	tag, err := r.Close()
	return t, err == nil && tag.String() != ""
}

func noticeOf(e *pgconn.PgError) racelab.Notice {
	n := racelab.Notice{Severity: e.Severity, Message: e.Message, Detail: e.Detail, Hint: e.Hint, Context: e.Where,
		Position: int(e.Position), Query: e.InternalQuery}
	if n.Query != "" {
		n.Position = int(e.InternalPosition)
	}
	return n
}
