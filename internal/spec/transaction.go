package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// A transaction is what a session's open one has come to so far; or, if none is
// open, what its next statement does by itself.
type transaction struct {
	open     bool
	shown    racelab.Shown
	wrote    bool // it has done more than to change settings
	failed   bool // nothing of it will be committed, unless it goes back to a savepoint
	refusing bool // the server itself refuses what follows
	err      error
	saved    []savepoint
}

type savepoint struct {
	name  string
	shown int
}

// skips reports whether statements are not sent.
func (t *transaction) skips() bool { return t.open && t.failed && !t.refusing }

// save remembers how far it has got.
func (t *transaction) save(name string) {
	t.saved = append(t.saved, savepoint{name, len(t.shown)})
}

// last is where the savepoint of a name stands: an older one of that name is out
// of reach; -1 if there is none.
func (t *transaction) last(name string) int {
	for i, s := range slices.Backward(t.saved) {
		if s.name == name {
			return i
		}
	}
	return -1
}

// backTo forgets what came after a savepoint.
func (t *transaction) backTo(name string) {
	if i := t.last(name); i >= 0 {
		t.shown, t.saved = t.shown[:t.saved[i].shown], t.saved[:i+1]
		t.failed, t.err = false, nil
	}
}

// release forgets a savepoint, and those after it. What came after it stays.
func (t *transaction) release(name string) {
	if i := t.last(name); i >= 0 {
		t.saved = t.saved[:i]
	}
}

// fail keeps an error. Where transactions fail whole nothing more is done in one
// after any error; elsewhere it is, and there one that says that somebody else was
// in the way ends it too.
func (c *call) fail(step string, class racelab.Class, err error, kind kindOfStatement, failWhole bool) {
	inTheWay := class.Aborted() || class == racelab.LockNotAvailable
	if class == racelab.LockNotAvailable {
		err = fmt.Errorf("%w: %w", racelab.ErrRefused, err)
	}
	switch {
	case class == racelab.TransactionFailed: // it had failed before
	case !inTheWay && kind == committing:
		c.done = append(c.done, failure(step, class))
	case !inTheWay:
		c.shown = append(c.shown, failure(step, class))
	case c.err == nil:
		c.err = err
	}
	over := kind == committing && failWhole // a COMMIT that fails is a rollback
	if c.open && !over {
		c.failed, c.refusing = c.failed || failWhole || inTheWay || kind == committing, failWhole
		return
	}
	c.failed = true
	c.commit()
}

func failure(step string, class racelab.Class) racelab.Table {
	return racelab.Table{Name: step + " " + string(class)}
}

// commit ends the transaction. If it has failed that was a rollback, and all
// that is left of it is why.
func (c *call) commit() {
	switch {
	case c.err != nil:
		if c.aborted == nil {
			c.aborted = c.err
		}
	case c.failed:
		c.done = append(c.done, slices.DeleteFunc(slices.Clone(c.shown), func(t racelab.Table) bool { return t.Columns != nil })...)
	default:
		c.done = append(c.done, c.shown...)
		c.changed = c.changed || c.wrote
	}
	c.transaction = transaction{}
}

// rollBack ends it because the session says so.
func (c *call) rollBack() {
	if c.err != nil && c.aborted == nil {
		c.aborted = c.err
	}
	c.transaction = transaction{}
}

// A kindOfStatement says what a statement does to transactions.
type kindOfStatement uint8

const (
	ordinary kindOfStatement = iota
	beginning
	committing
	rollingBack
	goingBack
	saving
	releasing
)

func kindOf(tokens []sqltext.Token) kindOfStatement {
	if len(tokens) == 0 {
		return ordinary
	}
	has := func(keyword string) bool {
		return slices.ContainsFunc(tokens, func(t sqltext.Token) bool { return t.Is(keyword) })
	}
	switch first := tokens[0]; {
	case has("PREPARED"):
	case first.Is("BEGIN"), first.Is("START"):
		return beginning
	case first.Is("COMMIT"), first.Is("END"):
		return committing
	case first.Is("ROLLBACK") && has("TO"):
		return goingBack
	case first.Is("ROLLBACK"), first.Is("ABORT"):
		return rollingBack
	case first.Is("SAVEPOINT"):
		return saving
	case first.Is("RELEASE"):
		return releasing
	}
	return ordinary
}

// chains reports whether the end of a transaction begins the next one.
func chains(tokens []sqltext.Token) bool {
	i := slices.IndexFunc(tokens, func(t sqltext.Token) bool { return t.Is("CHAIN") })
	return i > 0 && !tokens[i-1].Is("NO")
}

// lastName is the savepoint that a statement names.
func lastName(text string) string {
	name := ""
	for _, t := range sqltext.Words(text) {
		if t.Kind == sqltext.Word || t.Kind == sqltext.Name {
			name = t.Inside()
		}
	}
	return strings.ToLower(name)
}

// givesRows reports whether a statement may give rows.
func givesRows(text string) bool {
	tokens := sqltext.Words(text)
	return slices.ContainsFunc([]string{
		"SELECT", "VALUES", "TABLE", "WITH", "SHOW", "EXPLAIN", "FETCH", "EXECUTE", "CALL", "DESCRIBE", "PRAGMA", "CHECK", "ANALYZE", "HANDLER",
	}, tokens[0].Is) || slices.ContainsFunc(tokens, func(t sqltext.Token) bool { return t.Is("RETURNING") })
}

// isSetting reports whether a statement only changes what its connection knows.
func isSetting(text string) bool {
	return changesSettings[strings.ToUpper(sqltext.Words(text)[0].Text)]
}

func textOf(v racelab.Value) string { return fmt.Sprintf("%T %v", v, v) }
