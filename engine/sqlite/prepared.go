package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
	"github.com/racelab/racelab/internal/tables"
	"modernc.org/sqlite"
)

// innerConn is what modernc's connection can do.
type innerConn interface {
	driver.Conn
	driver.ExecerContext
	driver.QueryerContext
	driver.ConnPrepareContext
}

// A preparedConn keeps the statements that it has prepared: a scenario runs the
// same few again and again, and to prepare one takes as long as to run it.
// SQLite itself prepares a kept one again after the schema has changed.
type preparedConn struct {
	innerConn
	kept map[string]keptStmt
}

type keptStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// keepAtMost is for sessions that write their values into the text.
const keepAtMost = 100

func (c *preparedConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.keep(ctx, text)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return c.innerConn.ExecContext(ctx, text, args)
	}
	return s.ExecContext(ctx, args)
}

func (c *preparedConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.keep(ctx, text)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return c.innerConn.QueryContext(ctx, text, args)
	}
	return s.QueryContext(ctx, args)
}

// keep returns the text as a prepared statement, nil if it is not one to keep:
// a PRAGMA may work while it is prepared, and the schema changes rarely.
func (c *preparedConn) keep(ctx context.Context, text string) (keptStmt, error) {
	if s := c.kept[text]; s != nil {
		return s, nil
	}
	words := sqltext.Words(text)
	if len(words) == 0 || !isKept(words[0]) {
		return nil, nil
	}
	s, err := c.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if len(c.kept) == keepAtMost {
		if err := c.forget(); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	c.kept[text] = s.(keptStmt)
	return c.kept[text], nil
}

func isKept(first sqltext.Token) bool {
	for _, keyword := range []string{"SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "VALUES", "BEGIN", "COMMIT", "END", "ROLLBACK"} {
		if first.Is(keyword) {
			return true
		}
	}
	return false
}

func (c *preparedConn) forget() error {
	var errs []error
	for _, s := range c.kept {
		errs = append(errs, s.Close())
	}
	c.kept = map[string]keptStmt{}
	return errors.Join(errs...)
}

func (c *preparedConn) Close() error { return errors.Join(c.forget(), c.innerConn.Close()) }

// read runs a query to its end.
func (c *preparedConn) read(ctx context.Context, query string) (racelab.Table, error) {
	rows, err := c.QueryContext(ctx, query, nil)
	if err != nil {
		return racelab.Table{}, err
	}
	b, err := tables.Drain(rows)
	if err != nil {
		return racelab.Table{}, err
	}
	return b.Table(), nil
}

func (c *preparedConn) rollback() error {
	_, err := c.ExecContext(context.Background(), "ROLLBACK", nil)
	return err
}

// connect opens the file with these pragmas.
func connect(path string, pragmas ...string) (*preparedConn, error) {
	c, err := (&sqlite.Driver{}).Open(source(path, pragmas...))
	if err != nil {
		return nil, err
	}
	return &preparedConn{c.(innerConn), map[string]keptStmt{}}, nil
}
