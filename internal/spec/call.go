package spec

import (
	"context"
	"database/sql"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
	"github.com/racelab/racelab/internal/tables"
)

// A call is a session's while it runs.
type call struct {
	played *Played
	env    *racelab.Env
	conn   *sql.Conn
	transaction
	done    racelab.Shown // what was committed has shown
	changed bool          // something was committed, be it a read
	aborted error         // the first that ended a transaction which might have gone through
}

// body is what a session does: it sends all its messages, whatever they come
// to, and returns what the transactions that were committed have shown. If none
// was, and one was aborted or refused, that is how the call ended.
func (p *Played) body(messages []message) racelab.Body {
	return func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
		conn, err := env.DB.Conn(ctx)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		c := &call{played: p, env: env, conn: conn}
		for _, m := range messages {
			if err := c.send(racelab.At(ctx, m.place()), m); err != nil {
				return nil, err
			}
		}
		if c.open { // it ends with its session
			if err := c.statement(racelab.At(ctx, "the end"), "", "ROLLBACK"); err != nil {
				return nil, err
			}
		}
		switch {
		case c.aborted == nil:
		case !c.changed:
			return nil, c.aborted
		default: // it happened in part, which no serial order gives
			c.done = append(c.done, racelab.Table{Name: "and in part " + string(env.Dialect.Classify(c.aborted))})
		}
		if c.done == nil {
			return nil, nil
		}
		return c.done, nil
	}
}

// send gives a message to the server. Its error is one after which nothing more
// can be sent.
func (c *call) send(ctx context.Context, m message) error {
	if c.env.Dialect.Transactions.Batched && (len(m.statements) > 1 || c.played.Remains == racelab.RemainsInSchema || strings.ContainsAny(m.text, `\$?`)) {
		return c.batch(ctx, m)
	}
	for _, statement := range m.statements {
		if err := c.statement(ctx, m.step, statement); err != nil {
			return err
		}
	}
	return nil
}

// statement sends a statement as a program would. Where an engine would let a
// transaction go on after it was told to try again, it is rolled back as it would
// be elsewhere: what is left of it is not sent, and its end is ROLLBACK.
func (c *call) statement(ctx context.Context, step, text string) error {
	kind := kindOf(sqltext.Words(text))
	if c.skips() {
		switch kind {
		case beginning, committing, rollingBack:
			if err := c.one(ctx, "", "ROLLBACK", rollingBack); err != nil || kind != beginning {
				return err
			}
		case goingBack:
		default:
			return nil
		}
	}
	return c.one(ctx, step, text, kind)
}

func (c *call) one(ctx context.Context, step, text string, kind kindOfStatement) error {
	shown := racelab.Table{Name: step}
	var err error
	if givesRows(text) {
		var rows *sql.Rows
		if rows, err = c.conn.QueryContext(ctx, text); err == nil {
			shown, err = tables.Scan(rows)
			if e := rows.Close(); err == nil {
				err = e
			}
			shown.Name = step
		}
	} else {
		_, err = c.conn.ExecContext(ctx, text)
	}
	return c.note(ctx, step, text, kind, shown, err)
}

// batch sends several statements as one message. The server does them in order
// until one fails. Where no transaction is open they are one, which a BEGIN among
// them makes the session's: https://www.postgresql.org/docs/current/protocol-flow.html
func (c *call) batch(ctx context.Context, m message) error {
	var gave []racelab.Table
	var err error
	raw := c.conn.Raw(func(conn any) error {
		gave, err = conn.(interface {
			Message(context.Context, string) ([]racelab.Table, error)
		}).Message(ctx, m.text)
		return nil
	})
	if err == nil {
		err = raw
	}
	if err != nil { // the end of a transaction of its own is part of the last statement
		gave = gave[:min(len(gave), len(m.statements)-1)]
	}
	own := false // the open transaction is the message's own, which ends with it
	for i, statement := range m.statements {
		if !c.open {
			c.open, own = true, true
		}
		kind := kindOf(sqltext.Words(statement))
		own = own && kind != beginning && kind != committing && kind != rollingBack
		shown, failed := racelab.Table{Name: m.step}, error(nil)
		if i < len(gave) {
			shown.Columns, shown.Rows = gave[i].Columns, gave[i].Rows
		} else {
			failed = err
		}
		if lost := c.note(ctx, m.step, statement, kind, shown, failed); lost != nil {
			return lost
		}
		if failed != nil {
			break
		}
	}
	if own {
		c.commit()
	}
	return nil
}

// note keeps what a statement came to.
func (c *call) note(ctx context.Context, step, text string, kind kindOfStatement, shown racelab.Table, err error) error {
	rules := c.env.Dialect.Transactions
	class := c.env.Dialect.Classify(err)
	if class == racelab.ConnectionLost || class == racelab.Canceled || ctx.Err() != nil {
		return err
	}
	if err != nil {
		c.played.refusals.refused(step, text, class, err)
		c.fail(step, class, err, kind, rules.FailWhole)
		return nil
	}
	c.played.refusals.accepted(step, text)
	if c.open && rules.Commits != nil && rules.Commits(text) {
		c.commit()
	}
	switch kind {
	case beginning:
		c.open = true
	case committing:
		c.commit()
		c.open = chains(sqltext.Words(text))
	case rollingBack:
		c.rollBack()
		c.open = chains(sqltext.Words(text))
	case saving:
		c.save(lastName(text))
	case goingBack:
		c.backTo(lastName(text))
	case releasing:
		c.release(lastName(text))
	default:
		if len(shown.Columns) > 0 {
			shown = c.played.labelled(shown, text)
			c.shown = append(c.shown, shown)
		}
		c.wrote = c.wrote || !isSetting(text)
		if !c.open {
			c.commit()
		}
	}
	return nil
}
