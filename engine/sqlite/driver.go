package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/racelab/racelab"
)

// driverConn is a conn as database/sql uses it.
type driverConn struct{ c *conn }

func (d driverConn) Close() error { return d.c.Close() }

func (d driverConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	return d.c.exec(ctx, text, args)
}

func (d driverConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := d.c.query(ctx, text, args)
	if err != nil {
		return nil, err
	}
	return rows, nil
}

func (d driverConn) Begin() (driver.Tx, error) {
	return d.BeginTx(context.Background(), driver.TxOptions{})
}

func (d driverConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if l := sql.IsolationLevel(o.Isolation); l != sql.LevelDefault && l != sql.LevelSerializable {
		return nil, fmt.Errorf("begin a transaction: SQLite has no isolation level but %s", racelab.Serializable)
	}
	if _, err := d.c.exec(ctx, "BEGIN", nil); err != nil {
		return nil, err
	}
	return tx(d), nil
}

func (d driverConn) Prepare(text string) (driver.Stmt, error) {
	return d.PrepareContext(context.Background(), text)
}

func (d driverConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	s, err := d.c.inner.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return stmt{d.c, text, s}, nil
}

type tx struct{ c *conn }

// Commit ends the transaction in any case: database/sql takes it for over.
func (t tx) Commit() error {
	_, err := t.c.exec(context.Background(), "COMMIT", nil)
	if err != nil && t.c.inTx {
		_ = t.Rollback()
	}
	return err
}

func (t tx) Rollback() error {
	_, err := t.c.exec(context.Background(), "ROLLBACK", nil)
	return err
}

// stmt is a prepared statement. Only its text is kept for running it: SQLite
// prepares again in microseconds, and the waiting is then in one place.
type stmt struct {
	c    *conn
	text string
	s    driver.Stmt
}

func (s stmt) Close() error  { return s.s.Close() }
func (s stmt) NumInput() int { return s.s.NumInput() }

func (s stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.c.exec(ctx, s.text, args)
}

func (s stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return driverConn{s.c}.QueryContext(ctx, s.text, args)
}

func (s stmt) Exec([]driver.Value) (driver.Result, error) {
	return nil, driver.ErrSkip
}

func (s stmt) Query([]driver.Value) (driver.Rows, error) {
	return nil, driver.ErrSkip
}
