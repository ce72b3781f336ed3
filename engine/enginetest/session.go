package enginetest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"testing"

	"github.com/racelab/racelab"
)

// A session is a world's connection with database/sql on top, as the intake
// uses it.
type session struct {
	racelab.Conn
	sql    *sql.Conn
	rebind func(string) string
}

// connect opens a session and closes it with the test.
func (s *suite) connect(tb testing.TB, w racelab.World) *session {
	tb.Helper()
	return connect(tb, w, s.engine.Dialect)
}

func connect(tb testing.TB, w racelab.World, d racelab.Dialect) *session {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	c, err := w.Connect(ctx)
	if err != nil {
		tb.Fatalf("connect: %v", err)
	}
	db := sql.OpenDB(lender{c.Driver()})
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		tb.Fatalf("put database/sql on the connection: %v", err)
	}
	tb.Cleanup(func() {
		conn.Close()
		db.Close()
		c.Close() // after a test that lost it, closing may report that
	})
	return &session{c, conn, d.Rebind}
}

func (s *suite) connectN(t *testing.T, w racelab.World, n int) []*session {
	t.Helper()
	sessions := make([]*session, n)
	for i := range sessions {
		sessions[i] = s.connect(t, w)
	}
	return sessions
}

// try runs a statement and returns its error.
func (s *session) try(ctx context.Context, query string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := s.sql.ExecContext(ctx, s.rebind(query), args...)
	return err
}

// exec runs statements that must succeed.
func (s *session) exec(tb testing.TB, queries ...string) {
	tb.Helper()
	for _, q := range queries {
		if err := s.try(context.Background(), q); err != nil {
			tb.Fatalf("%s: %v", q, err)
		}
	}
}

// one reads a single value that must be there.
func (s *session) one(tb testing.TB, query string, args ...any) racelab.Value {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var v any
	if err := s.sql.QueryRowContext(ctx, s.rebind(query), args...).Scan(&v); err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	return racelab.ValueOf(v)
}

// number reads a single whole number, which some drivers send as text.
func (s *session) number(tb testing.TB, query string, args ...any) int64 {
	tb.Helper()
	var n int64
	if _, err := fmt.Sscan(fmt.Sprint(s.one(tb, query, args...)), &n); err != nil {
		tb.Fatalf("%s: not a number: %v", query, err)
	}
	return n
}

// A pending is a statement that was given to the engine.
type pending struct {
	session *session
	done    chan struct{}
	err     error // when done
}

// start runs a statement beside the test, which may wait for others.
func (s *session) start(t *testing.T, query string) *pending {
	p := &pending{session: s, done: make(chan struct{})}
	ctx := t.Context()
	go func() {
		defer close(p.done)
		p.err = s.try(ctx, query)
	}()
	t.Cleanup(func() { <-p.done })
	return p
}

// end waits for the statement's end.
func (p *pending) end() error {
	<-p.done
	return p.err
}

func (p *pending) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// settle waits until each statement has ended or waits for another session.
func settle(t *testing.T, w racelab.World, ps ...*pending) {
	t.Helper()
	for _, p := range ps {
		eventually(t, "the statement ends or waits", func() bool {
			return p.ended() || len(blocked(t, w, p.session)) == 1
		})
	}
}

// A lender gives database/sql a connection that it must not close.
type lender struct{ c driver.Conn }

func (l lender) Connect(context.Context) (driver.Conn, error) { return lent{l.c}, nil }
func (l lender) Driver() driver.Driver                        { return nil }

type lent struct{ driver.Conn }

func (lent) Close() error { return nil }

func (l lent) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	return l.Conn.(driver.ExecerContext).ExecContext(ctx, q, args)
}

func (l lent) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	return l.Conn.(driver.QueryerContext).QueryContext(ctx, q, args)
}

func (l lent) PrepareContext(ctx context.Context, q string) (driver.Stmt, error) {
	return l.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, q)
}

func (l lent) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	return l.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
}

func (l lent) CheckNamedValue(v *driver.NamedValue) error {
	if c, ok := l.Conn.(driver.NamedValueChecker); ok {
		return c.CheckNamedValue(v)
	}
	return driver.ErrSkip
}
