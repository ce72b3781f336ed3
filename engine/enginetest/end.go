package enginetest

import (
	"context"
	"testing"

	"github.com/racelab/racelab"
)

// end ends connections whose process is taken for dead: this one lives, so
// that the suite can see what became of them.
func (s *suite) end(t *testing.T) {
	ended := func(t *testing.T, w racelab.World, sessions ...*session) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := w.End(ctx, connIDs(sessions)); err != nil {
			t.Fatal(err)
		}
	}
	const addTwo = "UPDATE account SET balance = balance + 1 WHERE id = 2"

	s.only(t, s.dialect.Kill != nil, "a statement that waits never runs", func(t *testing.T) {
		w := s.world(t, "")
		c := s.connectN(t, w, 3)
		a, b := c[0], c[1]
		a.exec(t, "BEGIN", addOne)
		b.exec(t, "BEGIN", addTwo)
		waiting := b.start(t, addOne)
		untilBlocked(t, w, c, b)
		ended(t, w, b)
		if s.engine.Dialect.Features&racelab.NoWait != 0 { // its locks are free at once
			c[2].exec(t, "SELECT * FROM account WHERE id = 2 FOR UPDATE NOWAIT")
		}
		if got := blocked(t, w, a, c[2]); len(got) != 0 {
			t.Errorf("blocked: %v", got)
		}
		a.exec(t, "COMMIT")
		s.expect(t, waiting.end(), racelab.ConnectionLost)
		if one, two := c[2].number(t, readOne), c[2].number(t, "SELECT balance FROM account WHERE id = 2"); one != 101 || two != 200 {
			t.Errorf("balances %d and %d, want 101 and 200: what was ended must not have written", one, two)
		}
	})
	s.only(t, s.has(racelab.AdvisoryLocks), "an advisory lock is free", func(t *testing.T) {
		w := s.world(t, "")
		a, b := s.connect(t, w), s.connect(t, w)
		a.exec(t, s.engine.Dialect.AdvisoryLock(7))
		waiting := b.start(t, s.engine.Dialect.AdvisoryLock(7))
		untilBlocked(t, w, []*session{a, b}, b)
		ended(t, w, a)
		if err := waiting.end(); err != nil {
			t.Error(err)
		}
	})
	s.only(t, s.dialect.Kill != nil, "many at once", func(t *testing.T) {
		w := s.world(t, "")
		c := s.connectN(t, w, 5)
		for _, c := range c[1:] {
			c.exec(t, "BEGIN", "INSERT INTO entry (account_id, amount) VALUES (2, 1)")
		}
		ended(t, w, c[1:]...)
		for _, c := range c[1:] {
			s.expect(t, c.try(t.Context(), "COMMIT"), racelab.ConnectionLost)
		}
		if got := c[0].number(t, "SELECT COUNT(*) FROM entry"); got != 2 {
			t.Errorf("%d rows, want 2", got)
		}
	})
	t.Run("none, or one that has ended, is no error", func(t *testing.T) {
		w := s.world(t, "")
		c := s.connect(t, w)
		c.exec(t, addOne)
		c.sql.Close()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		ended(t, w)
		ended(t, w, c)
		ended(t, w, c)
	})
	t.Run("another world's goes on", func(t *testing.T) {
		w, other := s.world(t, ""), s.world(t, "")
		theirs := s.connect(t, other)
		theirs.exec(t, "BEGIN", addOne)
		ended(t, w, theirs)
		theirs.exec(t, "COMMIT")
		if got := theirs.number(t, readOne); got != 101 {
			t.Errorf("balance %d, want 101", got)
		}
	})
}
