package sqlgate

import (
	"context"
	"database/sql/driver"

	"github.com/racelab/racelab"
)

func (c *conn) Prepare(text string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), text)
}

// PrepareContext does not pass the gate: to prepare reads no data and takes no
// lock that another session could wait for.
func (c *conn) PrepareContext(ctx context.Context, text string) (s driver.Stmt, err error) {
	text = c.intake.rewrite(text)
	bound := c.intake.dialect.Rebind(text)
	if p, ok := c.driver.(driver.ConnPrepareContext); ok {
		s, err = p.PrepareContext(ctx, bound)
	} else {
		s, err = c.driver.Prepare(bound)
	}
	if err != nil {
		return nil, err
	}
	return &stmt{c, text, s}, nil
}

// stmt is a prepared statement whose executions pass the gate.
type stmt struct {
	c     *conn
	text  string
	under driver.Stmt
}

func (s *stmt) Close() error  { return s.under.Close() }
func (s *stmt) NumInput() int { return s.under.NumInput() }

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (result driver.Result, err error) {
	kind := kindOf(s.text)
	err = s.c.do(ctx, kind, s.text, args, func(ctx context.Context) (racelab.Result, error) {
		if e, ok := s.under.(driver.StmtExecContext); ok {
			result, err = e.ExecContext(ctx, args)
		} else {
			//lint:ignore SA1019 a driver may have nothing newer
			result, err = s.under.Exec(values(args))
		}
		return affected(kind, result, err), err
	})
	s.c.noteText(kind, err)
	return result, err
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.c.query(ctx, s.text, args, func(ctx context.Context) (driver.Rows, error) {
		if q, ok := s.under.(driver.StmtQueryContext); ok {
			return q.QueryContext(ctx, args)
		}
		//lint:ignore SA1019 a driver may have nothing newer
		return s.under.Query(values(args))
	})
}

func (s *stmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.ExecContext(context.Background(), named(args))
}

func (s *stmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), named(args))
}

func (s *stmt) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := s.under.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return s.c.CheckNamedValue(v)
}

func values(args []driver.NamedValue) []driver.Value {
	vs := make([]driver.Value, len(args))
	for i, a := range args {
		vs[i] = a.Value
	}
	return vs
}

func named(args []driver.Value) []driver.NamedValue {
	ns := make([]driver.NamedValue, len(args))
	for i, a := range args {
		ns[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	return ns
}
