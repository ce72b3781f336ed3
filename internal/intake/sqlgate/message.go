package sqlgate

import (
	"context"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// Message sends a text as it is, which may be several statements, as one
// operation, and returns what each statement that was done gave, in the
// server's own text form: no columns if it gives no rows. A session reaches it
// by (*sql.Conn).Raw.
func (c *conn) Message(ctx context.Context, text string) (gave []racelab.Table, err error) {
	text = c.intake.rewrite(text)
	kind := kindOfAll(text)
	err = c.do(ctx, kind, text, nil, func(ctx context.Context) (r racelab.Result, err error) {
		err = c.under.Text(ctx, text, func(a racelab.Answer) {
			if a.Table == nil {
				return
			}
			gave = append(gave, *a.Table)
			if len(a.Table.Columns) > 0 {
				r.Rows = a.Table
			}
		})
		return r, err
	})
	c.noteText(kind, err)
	c.inTx = c.inTx || err != nil // it may have begun one before it failed
	return gave, err
}

// kindOfAll is the kind of the last statement that begins or ends a
// transaction: so it is known whether one is open afterwards.
func kindOfAll(text string) racelab.OpKind {
	kind := racelab.Exec
	for _, statement := range sqltext.Statements(text) {
		if k := kindOf(statement); k != racelab.Exec {
			kind = k
		}
	}
	return kind
}
