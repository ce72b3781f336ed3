package sqlgate

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
	"github.com/racelab/racelab/internal/tables"
)

// conn is a connection whose operations pass the gate.
type conn struct {
	intake *Intake
	gate   racelab.Gate
	under  racelab.Conn
	driver driver.Conn

	inTx    bool
	lost    bool // not to be used again
	dropped bool // by a fault: there is nothing any more to talk to

	loses time.Duration // what it has been told about deadlocks, or unsaid
	said  bool          // in the transaction that is open, if one is
}

// unsaid is what a connection knows about deadlocks when the transaction in
// which it was told has been rolled back: all sorts of things.
const unsaid = -1

// do passes one operation through the gate: run gives it to the engine.
func (c *conn) do(ctx context.Context, kind racelab.OpKind, text string, args []driver.NamedValue, run func(context.Context) (racelab.Result, error)) error {
	if c.dropped {
		return driver.ErrBadConn
	}
	if kind != racelab.Commit && kind != racelab.Rollback {
		c.intake.settle(c)
	}
	op := racelab.Op{Session: c.intake.session, Conn: c.under.ID(), Kind: kind, Text: text, Pos: position()}
	if place := racelab.Place(ctx); place != "" {
		op.Pos = place
	}
	if ctx.Value(byContext{}) != nil {
		op.Pos = "" // whoever comes first: the session, or database/sql
	}
	for _, a := range args {
		op.Args = append(op.Args, racelab.ValueOf(a.Value))
	}
	op, err := c.gate.Enter(ctx, op)
	if err != nil {
		c.lost = true // a COMMIT or ROLLBACK that did not run leaves its transaction open
		return err
	}
	var result racelab.Result
	if op.Fault == racelab.DropBefore {
		err = c.drop(ctx, driver.ErrBadConn)
	} else if err = ctx.Err(); err != nil {
		// Not sent. Of the drivers, pgx would say that the connection is bad.
	} else if err = c.loseDeadlocks(ctx, kind, op.Loses); err == nil {
		bounded, stop := c.bounded(ctx)
		result, err = run(bounded)
		stop()
	}
	if op.Fault == racelab.DropAfter {
		result, err = racelab.Result{}, c.drop(ctx, racelab.ErrDropped)
	}
	result.Class = c.intake.dialect.Classify(err)
	c.noteSaid(kind, text, err)
	if result.Class == racelab.ConnectionLost || result.Class == racelab.Canceled {
		c.lost = true // what is left of a canceled statement is the driver's secret
		if !c.dropped && (kind == racelab.Commit || kind == racelab.Rollback || !c.isOpen()) {
			err = c.drop(ctx, err) // so that its locks are free when the step is over
		}
	}
	if leave := c.gate.Leave(ctx, op, result); leave != nil {
		return leave
	}
	return err
}

// bounded ends ctx with the gate's run, if the gate has one: whoever gave none
// of his own would keep the engine busy for ever.
func (c *conn) bounded(ctx context.Context) (context.Context, func()) {
	gate, ok := c.gate.(interface{ Running() context.Context })
	if !ok {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(gate.Running(), cancel)
	return ctx, func() { stop(); cancel() }
}

// drop takes the connection away, and returns err when the engine has forgotten
// it. A connection that is bad before anything was sent on it is replaced by
// database/sql, if no transaction was open; the session sees any other loss.
func (c *conn) drop(ctx context.Context, err error) error {
	c.dropped = true
	_ = c.under.Close() // the engine may complain that it went without a word
	if end := c.intake.world.End(context.WithoutCancel(ctx), []racelab.ConnID{c.under.ID()}); end != nil {
		return end
	}
	return err
}

func (c *conn) loseDeadlocks(ctx context.Context, kind racelab.OpKind, after time.Duration) error {
	if after == c.loses || kind == racelab.Begin || kind == racelab.Commit || kind == racelab.Rollback {
		return nil // who waits for no lock closes no deadlock
	}
	c.loses, c.said = after, true
	return c.under.LoseDeadlocks(ctx, after)
}

// noteSaid follows what becomes of what was said in a transaction.
func (c *conn) noteSaid(kind racelab.OpKind, text string, err error) {
	switch words := sqltext.Words(text); {
	case kind == racelab.Begin:
		c.said = false
	case !c.said || err == nil && (len(words) == 0 || !words[0].Is("ROLLBACK")):
	default:
		c.loses = unsaid
	}
}

func (c *conn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (result driver.Result, err error) {
	execer, ok := c.driver.(driver.ExecerContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	text = c.intake.rewrite(text)
	kind := kindOf(text)
	err = c.do(ctx, kind, text, args, func(ctx context.Context) (racelab.Result, error) {
		result, err = execer.ExecContext(ctx, c.intake.dialect.Rebind(text), args)
		return affected(kind, result, err), err
	})
	c.noteText(kind, err)
	return result, err
}

func (c *conn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (rows driver.Rows, err error) {
	queryer, ok := c.driver.(driver.QueryerContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	text = c.intake.rewrite(text)
	return c.query(ctx, text, args, func(ctx context.Context) (driver.Rows, error) {
		return queryer.QueryContext(ctx, c.intake.dialect.Rebind(text), args)
	})
}

func (c *conn) query(ctx context.Context, text string, args []driver.NamedValue, run func(context.Context) (driver.Rows, error)) (driver.Rows, error) {
	var buffer *tables.Buffer
	err := c.do(ctx, racelab.Query, text, args, func(ctx context.Context) (racelab.Result, error) {
		rows, err := run(ctx)
		if err != nil {
			return racelab.Result{}, err
		}
		if buffer, err = tables.Drain(rows); err != nil {
			return racelab.Result{}, err
		}
		t := buffer.Table()
		return racelab.Result{Rows: &t}, nil
	})
	if err != nil {
		return nil, err
	}
	return buffer, nil
}

// kindOf tells the statements that end or begin a transaction from the rest.
func kindOf(text string) racelab.OpKind {
	words := sqltext.Words(text)
	if len(words) == 0 {
		return racelab.Exec
	}
	switch first := words[0]; {
	case first.Is("BEGIN"), first.Is("START"):
		return racelab.Begin
	case first.Is("COMMIT") && !second(words, "PREPARED"), first.Is("END"):
		return racelab.Commit
	case first.Is("ROLLBACK") && !slices.ContainsFunc(words, func(t sqltext.Token) bool { return t.Is("TO") }) && !second(words, "PREPARED"), first.Is("ABORT"):
		return racelab.Rollback
	}
	return racelab.Exec
}

func second(words []sqltext.Token, keyword string) bool {
	return len(words) > 1 && words[1].Is(keyword)
}

// noteText follows transactions that the session spells itself.
func (c *conn) noteText(kind racelab.OpKind, err error) {
	switch {
	case err == nil && kind == racelab.Begin:
		c.inTx = true
	case err == nil && (kind == racelab.Commit || kind == racelab.Rollback):
		c.inTx = false
	}
}

// affected reads how many rows a statement changed. Drivers repeat an old
// count for statements that change none.
func affected(kind racelab.OpKind, r driver.Result, err error) racelab.Result {
	if err != nil || r == nil || kind != racelab.Exec {
		return racelab.Result{}
	}
	n, err := r.RowsAffected()
	if err != nil {
		return racelab.Result{} // a statement that counts nothing
	}
	return racelab.Result{Affected: n}
}

func (c *conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

func (c *conn) BeginTx(ctx context.Context, o driver.TxOptions) (_ driver.Tx, err error) {
	if c.intake.PlainLevel {
		o.Isolation = 0
	}
	text := "BEGIN"
	if l := racelab.LevelOf(sql.IsolationLevel(o.Isolation)); l != "" {
		text += " ISOLATION LEVEL " + string(l)
	}
	if o.ReadOnly {
		text += " READ ONLY"
	}
	var under driver.Tx
	err = c.do(ctx, racelab.Begin, text, nil, func(context.Context) (racelab.Result, error) {
		if b, ok := c.driver.(driver.ConnBeginTx); ok {
			under, err = b.BeginTx(ctx, o)
		} else if o != (driver.TxOptions{}) {
			err = fmt.Errorf("begin a transaction: the driver knows no options")
		} else {
			//lint:ignore SA1019 a driver may have nothing newer
			under, err = c.driver.Begin()
		}
		return racelab.Result{}, err
	})
	if err != nil {
		return nil, err
	}
	c.inTx = true
	// database/sql ends a transaction without a context: keep what ctx carries.
	t := &tx{c, under, context.WithoutCancel(ctx), ctx, make(chan struct{})}
	c.intake.began(t)
	return t, nil
}

// byContext marks the end of a transaction whose context has ended.
type byContext struct{}

type tx struct {
	c     *conn
	under driver.Tx
	ctx   context.Context
	begun context.Context // ends the transaction when it ends
	ended chan struct{}
}

func (t *tx) Commit() error   { return t.end(racelab.Commit, "COMMIT", t.under.Commit) }
func (t *tx) Rollback() error { return t.end(racelab.Rollback, "ROLLBACK", t.under.Rollback) }

func (t *tx) end(kind racelab.OpKind, text string, run func() error) error {
	defer t.c.intake.over(t)
	t.c.inTx = false
	ctx := t.ctx
	if t.begun.Err() != nil {
		ctx = context.WithValue(ctx, byContext{}, true)
	}
	return t.c.do(ctx, kind, text, nil, func(context.Context) (racelab.Result, error) { return racelab.Result{}, run() })
}

// Close gives the physical connection back to its session, unless it is not
// fit for another use.
func (c *conn) Close() error {
	if c.dropped {
		return nil
	}
	if c.intake.Once {
		// What it held must be free before the next run begins.
		return errors.Join(c.under.Close(), c.intake.world.End(context.Background(), []racelab.ConnID{c.under.ID()}))
	}
	if !c.IsValid() || c.inTx || c.loseDeadlocks(context.Background(), racelab.Exec, 0) != nil {
		return c.under.Close()
	}
	c.intake.giveBack(c.under)
	return nil
}

// IsValid asks the driver too: a context that ends just when its statement has
// succeeded may take the connection with it.
func (c *conn) IsValid() bool {
	return !c.lost && c.isOpen()
}

func (c *conn) isOpen() bool {
	v, ok := c.driver.(driver.Validator)
	return !ok || v.IsValid()
}

func (c *conn) ResetSession(ctx context.Context) error {
	if c.lost {
		return driver.ErrBadConn
	}
	if r, ok := c.driver.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := c.driver.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}
