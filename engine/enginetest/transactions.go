package enginetest

import (
	"cmp"
	"testing"

	"github.com/racelab/racelab"
)

func (s *suite) transactions(t *testing.T) {
	w := s.world(t, "")
	a, b := s.connect(t, w), s.connect(t, w)
	balance := func(t *testing.T, want int64) {
		t.Helper()
		if got := b.number(t, readOne); got != want {
			t.Errorf("another session reads balance %d, want %d", got, want)
		}
	}

	t.Run("a commit is seen by others", func(t *testing.T) {
		a.exec(t, "BEGIN", addOne, "COMMIT")
		balance(t, 101)
	})
	t.Run("a rollback leaves nothing", func(t *testing.T) {
		a.exec(t, "BEGIN", addOne, "ROLLBACK")
		balance(t, 101)
	})
	t.Run("database/sql begins, commits and rolls back", func(t *testing.T) {
		for _, end := range []string{"commit", "rollback"} {
			tx, err := a.sql.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatalf("begin: %v", err)
			}
			if _, err := tx.Exec(s.engine.Dialect.Rebind("UPDATE account SET balance = balance + ? WHERE id = ?"), 5, 1); err != nil {
				t.Fatalf("update: %v", err)
			}
			if end == "commit" {
				err = tx.Commit()
			} else {
				err = tx.Rollback()
			}
			if err != nil {
				t.Fatalf("%s: %v", end, err)
			}
		}
		balance(t, 106)
	})
	s.only(t, s.has(racelab.Savepoints), "a savepoint keeps what came before it", func(t *testing.T) {
		a.exec(t, "BEGIN", addOne, "SAVEPOINT here", addOne, "ROLLBACK TO SAVEPOINT here", "COMMIT")
		balance(t, 107)
		a.exec(t, "BEGIN", "SAVEPOINT here", addOne, "RELEASE SAVEPOINT here", "COMMIT")
		balance(t, 108)
	})
	s.only(t, s.has(racelab.Savepoints), "a savepoint outlives an error", func(t *testing.T) {
		a.exec(t, "BEGIN", addOne, "SAVEPOINT here")
		s.expect(t, a.try(t.Context(), "INSERT INTO account (id, balance) VALUES (1, 0)"), racelab.UniqueViolation)
		s.expect(t, a.try(t.Context(), "SELECT 1"), cmp.Or(s.dialect.AfterError, racelab.OK))
		a.exec(t, "ROLLBACK TO SAVEPOINT here", "COMMIT")
		balance(t, 109)
	})
	t.Run("generated keys ascend", func(t *testing.T) {
		before := a.number(t, "SELECT MAX(id) FROM entry")
		a.exec(t, "INSERT INTO entry (account_id, amount) VALUES (1, 1)")
		if after := a.number(t, "SELECT MAX(id) FROM entry"); after <= before {
			t.Errorf("key %d after %d", after, before)
		}
	})
	t.Run("a row that keeps its value counts as changed", func(t *testing.T) {
		r, err := a.sql.ExecContext(t.Context(), "UPDATE account SET balance = balance WHERE id = 1")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := r.RowsAffected(); err != nil || n != 1 {
			t.Errorf("%d rows (%v), want 1", n, err)
		}
	})
	t.Run("placeholders are rebound", func(t *testing.T) {
		got := a.number(t, "SELECT balance FROM account /* why? */ WHERE name <> '?' AND name = ? AND id = ?", "one", 1)
		if got != 109 {
			t.Errorf("balance %d, want 109", got)
		}
	})
}
