package sqlgate_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/sqlite"
	"github.com/racelab/racelab/internal/intake/sqlgate"
	"github.com/racelab/racelab/internal/sqltext"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// log is a gate that writes down, and refuses what it is told to.
type log struct {
	mu     sync.Mutex
	lines  []string
	refuse string // text of the operation not to let in
	hold   string // text of the operation whose result is not to be seen
}

var errGate = errors.New("the gate stays shut")

func (l *log) Enter(_ context.Context, op racelab.Op) (racelab.Op, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != "" && op.Text == l.refuse {
		return op, errGate
	}
	op.Step = len(l.lines) + 1
	return op, nil
}

func (l *log) Leave(_ context.Context, op racelab.Op, r racelab.Result) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := fmt.Sprintf("%s %s: %s", op.Kind, sqltext.Inline(op.Text, op.Args), r.Class)
	if r.Rows != nil {
		line += fmt.Sprint(" ", r.Rows.Rows)
	}
	if r.Affected > 0 {
		line += fmt.Sprint(" ", r.Affected)
	}
	if !strings.HasPrefix(op.Pos, "sqlgate_test.go:") && op.Kind != racelab.Rollback {
		line += " at " + op.Pos
	}
	l.lines = append(l.lines, line)
	if l.hold != "" && op.Text == l.hold {
		return errGate
	}
	return nil
}

func open(t *testing.T) (*log, *sql.DB) {
	t.Helper()
	l := &log{}
	db := intake(t).DB(l)
	t.Cleanup(func() { db.Close() })
	return l, db
}

func intake(t *testing.T) *sqlgate.Intake {
	t.Helper()
	server, err := sqlite.Engine.Start(t.Context(), "")
	must(t, err)
	t.Cleanup(func() { server.Close() })
	world, err := server.Open(t.Context(), racelab.Config{Setup: []string{
		"CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER CHECK (balance >= 0))",
		"INSERT INTO account VALUES (1, 10), (2, 20)",
	}})
	must(t, err)
	t.Cleanup(func() { world.Close() })
	i := sqlgate.New(world, sqlite.Engine.Dialect, "A")
	t.Cleanup(func() { i.Close() })
	return i
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryWayIntoTheDatabasePassesTheGate(t *testing.T) {
	l, db := open(t)
	ctx := t.Context()
	var n int
	must(t, db.QueryRowContext(ctx, "SELECT balance FROM account WHERE id = ?", 1).Scan(&n))
	_, err := db.ExecContext(ctx, "UPDATE account SET balance = ? WHERE id = ?", 11, 1)
	must(t, err)

	stmt, err := db.PrepareContext(ctx, "SELECT balance FROM account WHERE id = ?")
	must(t, err)
	must(t, stmt.QueryRow(2).Scan(&n))
	must(t, stmt.Close())
	stmt, err = db.Prepare("UPDATE account SET balance = balance + ?")
	must(t, err)
	_, err = stmt.Exec(1)
	must(t, err)
	must(t, stmt.Close())

	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
	must(t, err)
	rows, err := tx.Query("SELECT id FROM account")
	must(t, err)
	for rows.Next() {
	}
	must(t, rows.Close())
	must(t, tx.Commit())
	tx, err = db.Begin()
	must(t, err)
	must(t, tx.Rollback())

	conn, err := db.Conn(ctx)
	must(t, err)
	_, err = conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	must(t, err)
	_, err = conn.ExecContext(ctx, "commit;")
	must(t, err)
	must(t, conn.Close())
	_, err = db.Exec("UPDATE account SET balance = -1")
	if err == nil {
		t.Error("the check did not hold")
	}

	want := []string{
		"query SELECT balance FROM account WHERE id = 1: ok [[10]]",
		"exec UPDATE account SET balance = 11 WHERE id = 1: ok 1",
		"query SELECT balance FROM account WHERE id = 2: ok [[20]]",
		"exec UPDATE account SET balance = balance + 1: ok 2",
		"begin BEGIN ISOLATION LEVEL SERIALIZABLE: ok",
		"query SELECT id FROM account: ok [[1] [2]]",
		"commit COMMIT: ok",
		"begin BEGIN: ok",
		"rollback ROLLBACK: ok",
		"begin BEGIN IMMEDIATE: ok",
		"commit commit;: ok",
		"exec UPDATE account SET balance = -1: check-violation",
	}
	if diff := cmp.Diff(want, l.lines); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
}

func TestTheGateCanEndAnOperationUnrun(t *testing.T) {
	l, db := open(t)
	l.refuse = "UPDATE account SET balance = 0"
	if _, err := db.Exec(l.refuse); !errors.Is(err, errGate) {
		t.Errorf("the operation gave %v", err)
	}
	var sum int
	must(t, db.QueryRow("SELECT sum(balance) FROM account").Scan(&sum))
	if sum != 30 {
		t.Errorf("sum %d: the operation ran", sum)
	}
}

func TestTheGateCanWithholdAResult(t *testing.T) {
	l, db := open(t)
	l.hold = "UPDATE account SET balance = 0"
	if _, err := db.Exec(l.hold); !errors.Is(err, errGate) {
		t.Errorf("the operation gave %v", err)
	}
	var sum int
	must(t, db.QueryRow("SELECT sum(balance) FROM account").Scan(&sum))
	if sum != 0 {
		t.Errorf("sum %d: the operation did not run", sum)
	}
}

func TestAConnectionSurvivesItsDatabase(t *testing.T) {
	i := intake(t)
	g := &connections{}
	for range 2 {
		db := i.DB(g)
		_, err := db.Exec("SELECT 1")
		must(t, err)
		must(t, db.Close())
	}
	if len(g.ids) != 2 || g.ids[0] != g.ids[1] {
		t.Errorf("connections %v: want the same twice", g.ids)
	}
}

type connections struct{ ids []racelab.ConnID }

func (c *connections) Enter(_ context.Context, op racelab.Op) (racelab.Op, error) {
	c.ids = append(c.ids, op.Conn)
	return op, nil
}
func (c *connections) Leave(context.Context, racelab.Op, racelab.Result) error { return nil }

func TestAConnectionInATransactionIsNotReused(t *testing.T) {
	i := intake(t)
	g := &connections{}
	for range 2 {
		db := i.DB(g)
		if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
			t.Fatalf("the transaction of the database before is still open: %v", err)
		}
		must(t, db.Close())
	}
	if len(g.ids) != 2 || g.ids[0] == g.ids[1] {
		t.Errorf("connections %v: want two", g.ids)
	}
}
