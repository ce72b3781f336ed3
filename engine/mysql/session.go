package mysql

import (
	"context"
	"database/sql/driver"
)

// A session is the driver's connection as database/sql sees it, with two
// differences: what its context ends also ends in the server, and statements
// that do not wait for locks say so in their errors. Close does nothing: the
// connection outlives the *sql.DB on top of it.
type session struct{ *conn }

func (s session) Close() error { return nil }

func (s session) Begin() (driver.Tx, error) {
	return s.BeginTx(context.Background(), driver.TxOptions{})
}

func (s session) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := s.inner.BeginTx(ctx, o)
	return tx, s.finish(err)
}

func (s session) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	s.world.runs(q)
	r, err := s.inner.ExecContext(ctx, q, args)
	return r, s.finish(mark(q, err))
}

func (s session) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	s.world.runs(q)
	rows, err := s.inner.QueryContext(ctx, q, args)
	if err != nil {
		return nil, s.finish(mark(q, err))
	}
	return markRows(q, rows), nil
}

func (s session) Prepare(q string) (driver.Stmt, error) {
	return s.PrepareContext(context.Background(), q)
}

func (s session) PrepareContext(ctx context.Context, q string) (driver.Stmt, error) {
	stmt, err := s.inner.PrepareContext(ctx, q)
	if err != nil {
		return nil, s.finish(mark(q, err))
	}
	return prepared{stmt.(innerStmt), s, q}, nil
}

func (s session) CheckNamedValue(v *driver.NamedValue) error { return s.inner.CheckNamedValue(v) }
func (s session) IsValid() bool                              { return s.inner.IsValid() }
func (s session) Ping(ctx context.Context) error             { return s.finish(s.inner.Ping(ctx)) }
func (s session) ResetSession(ctx context.Context) error     { return s.inner.ResetSession(ctx) }

type innerStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
	driver.NamedValueChecker
}

type prepared struct {
	innerStmt
	session session
	text    string
}

func (p prepared) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	p.session.world.runs(p.text)
	r, err := p.innerStmt.ExecContext(ctx, args)
	return r, p.session.finish(mark(p.text, err))
}

func (p prepared) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	p.session.world.runs(p.text)
	rows, err := p.innerStmt.QueryContext(ctx, args)
	if err != nil {
		return nil, p.session.finish(mark(p.text, err))
	}
	return markRows(p.text, rows), nil
}
