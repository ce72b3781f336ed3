package sqlgate_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
)

func send(t *testing.T, conn *sql.Conn, text string) (gave []racelab.Table, err error) {
	t.Helper()
	must(t, conn.Raw(func(c any) error {
		gave, err = c.(interface {
			Message(context.Context, string) ([]racelab.Table, error)
		}).Message(t.Context(), text)
		return nil
	}))
	return gave, err
}

func TestAMessageOfSeveralStatementsIsOneOperation(t *testing.T) {
	i := intake(t)
	l := &log{}
	db := i.DB(l)
	defer db.Close()
	conn, err := db.Conn(t.Context())
	must(t, err)
	for _, c := range []struct {
		text  string
		gave  int
		fails bool
	}{
		{"SELECT id FROM account; SELECT balance FROM account WHERE id = 2", 2, false},
		{"BEGIN; UPDATE account SET balance = 1 WHERE id = 1", 2, false},
		{"SELECT balance FROM account WHERE id = 1; COMMIT", 2, false},
		{"BEGIN; UPDATE account SET balance = 2 WHERE id = 1; ROLLBACK", 3, false},
		{"SELECT 1; UPDATE account SET balance = -1; SELECT 2", 1, true},
	} {
		gave, err := send(t, conn, c.text)
		if len(gave) != c.gave || (err != nil) != c.fails {
			t.Errorf("%s gives %v, %v", c.text, gave, err)
		}
	}
	must(t, conn.Close())
	want := []string{
		"exec SELECT id FROM account; SELECT balance FROM account WHERE id = 2: ok [[20]]",
		"begin BEGIN; UPDATE account SET balance = 1 WHERE id = 1: ok",
		"commit SELECT balance FROM account WHERE id = 1; COMMIT: ok [[1]]",
		"rollback BEGIN; UPDATE account SET balance = 2 WHERE id = 1; ROLLBACK: ok",
		"exec SELECT 1; UPDATE account SET balance = -1; SELECT 2: check-violation [[1]]",
	}
	for i, line := range l.lines { // where in this file it was sent from
		l.lines[i], _, _ = strings.Cut(line, " at ")
	}
	if diff := cmp.Diff(want, l.lines); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
}

// place is a gate that keeps where operations come from.
type place struct{ at []string }

func (p *place) Enter(_ context.Context, op racelab.Op) (racelab.Op, error) {
	p.at = append(p.at, op.Pos)
	return op, nil
}

func (p *place) Leave(context.Context, racelab.Op, racelab.Result) error { return nil }

func TestASessionMaySayWhereItIs(t *testing.T) {
	p := &place{}
	db := intake(t).DB(p)
	defer db.Close()
	_, err := db.ExecContext(racelab.At(t.Context(), "step r1"), "SELECT 1")
	must(t, err)
	if diff := cmp.Diff([]string{"step r1"}, p.at); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAConnectionThatIsForOneRunIsNotReused(t *testing.T) {
	i := intake(t)
	i.Once = true
	g := &connections{}
	for range 2 {
		db := i.DB(g)
		_, err := db.Exec("SELECT 1")
		must(t, err)
		must(t, db.Close())
	}
	if len(g.ids) != 2 || g.ids[0] == g.ids[1] {
		t.Errorf("connections %v: want two", g.ids)
	}
}

// SQLite knows no level in a BEGIN, so that one which is left there fails.
func TestALevelOfWhichNothingIsLeft(t *testing.T) {
	for _, plain := range []bool{false, true} {
		i := intake(t)
		i.PlainLevel = plain
		db := i.DB(&log{})
		defer db.Close()
		conn, err := db.Conn(t.Context())
		must(t, err)
		_, err = conn.ExecContext(t.Context(), "BEGIN ISOLATION LEVEL SERIALIZABLE")
		if (err == nil) != plain {
			t.Errorf("with plain levels %v, BEGIN gives %v", plain, err)
		}
		if _, err = send(t, conn, "ROLLBACK; BEGIN ISOLATION LEVEL SERIALIZABLE; ROLLBACK"); plain && err != nil {
			t.Error(err)
		}
		must(t, conn.Close())
	}
}
