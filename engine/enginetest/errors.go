package enginetest

import (
	"testing"
	"time"

	"github.com/racelab/racelab"
)

// errors provokes every class for real.
func (s *suite) errors(t *testing.T) {
	t.Run("constraints and syntax", s.constraints)
	s.only(t, s.has(racelab.RowLocks), "deadlock", s.deadlock)

	s.only(t, s.has(racelab.NoWait), "lock not available", func(t *testing.T) {
		w := s.world(t, "")
		a, b := s.connect(t, w), s.connect(t, w)
		a.exec(t, "BEGIN", addOne)
		s.expect(t, b.try(t.Context(), "SELECT * FROM account WHERE id = 1 FOR UPDATE NOWAIT"), racelab.LockNotAvailable)
		a.exec(t, "COMMIT")
		b.exec(t, "SELECT * FROM account WHERE id = 1 FOR UPDATE NOWAIT")
	})
	s.only(t, s.has(racelab.SkipLocked), "a locked row is skipped", func(t *testing.T) {
		w := s.world(t, "")
		a, b := s.connect(t, w), s.connect(t, w)
		a.exec(t, "BEGIN", addOne)
		if got := b.number(t, "SELECT id FROM account ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"); got != 2 {
			t.Errorf("row %d, want 2", got)
		}
		a.exec(t, "COMMIT")
	})
	s.only(t, s.dialect.LockTimeout != "", "lock timeout", func(t *testing.T) {
		w := s.world(t, "")
		a, b := s.connect(t, w), s.connect(t, w)
		a.exec(t, "BEGIN", addOne)
		b.exec(t, s.dialect.LockTimeout)
		s.expect(t, b.try(t.Context(), addOne), racelab.LockTimeout)
		a.exec(t, "COMMIT")
	})
	s.only(t, !s.has(racelab.Concurrent), "busy", func(t *testing.T) {
		w := open(t, s.server, racelab.Config{Setup: schema(s.engine.Dialect), BusyLimit: 50 * time.Millisecond})
		a, b := s.connect(t, w), s.connect(t, w)
		a.exec(t, "BEGIN", addOne)
		s.expect(t, b.try(t.Context(), addOne), racelab.Busy)
		a.exec(t, "COMMIT")
		b.exec(t, addOne)
	})
	s.only(t, s.dialect.Kill != nil, "connection lost", func(t *testing.T) {
		w := s.world(t, "")
		a, b := s.connect(t, w), s.connect(t, w)
		busy := b.start(t, s.dialect.Busy)
		a.exec(t, s.dialect.Kill(b.ID()))
		s.expect(t, busy.end(), racelab.ConnectionLost)
		if err := b.try(t.Context(), "SELECT 1"); err == nil {
			t.Error("the connection works again")
		}
	})
}

func (s *suite) constraints(t *testing.T) {
	c := s.connect(t, s.world(t, ""))
	tests := []struct {
		name, query string
		want        racelab.Class
	}{
		{"the same key twice", "INSERT INTO account (id, balance) VALUES (1, 0)", racelab.UniqueViolation},
		{"a row without its parent", "INSERT INTO entry (account_id, amount) VALUES (99, 1)", racelab.ForeignKeyViolation},
		{"a parent with rows", "DELETE FROM account WHERE id = 1", racelab.ForeignKeyViolation},
		{"a number over 32 bits", "UPDATE account SET balance = 2147483648 WHERE id = 1", racelab.CheckViolation},
		{"a sum over 32 bits", "UPDATE account SET balance = balance + 2147483647 WHERE id = 1", racelab.CheckViolation},
		{"a number under 32 bits", "UPDATE account SET balance = -2147483649 WHERE id = 1", racelab.CheckViolation},
		{"a negative unsigned number", "INSERT INTO entry (account_id, amount) VALUES (1, -1)", racelab.CheckViolation},
		{"an unsigned difference below 0", "UPDATE entry SET amount = amount - 11 WHERE account_id = 1", racelab.CheckViolation},
		{"a misspelt keyword", "SELEKT 1", racelab.SyntaxError},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.expect(t, c.try(t.Context(), test.query), test.want)
			_, _, err := Text(t.Context(), c, test.query)
			s.expect(t, err, test.want) // the spec files' way must class alike
		})
	}
	t.Run("the largest numbers fit", func(t *testing.T) {
		c.exec(t, "UPDATE account SET balance = 2147483647 WHERE id = 1", "UPDATE account SET balance = -2147483648 WHERE id = 2",
			"UPDATE entry SET amount = 2147483647 WHERE account_id = 1")
	})
	t.Run("an engine's failure is never unclassed", func(t *testing.T) {
		if got := s.engine.Dialect.Classify(c.try(t.Context(), "SELECT * FROM nowhere")); got == "" || got == racelab.OK {
			t.Errorf("class %q", got)
		}
		s.expect(t, nil, racelab.OK)
		s.expect(t, racelab.ErrRefused, racelab.Refused)
	})
}

// deadlock lets two sessions take two rows in opposite order, and looks at what
// is left of it: a victim's past must not count as waiting.
func (s *suite) deadlock(t *testing.T) {
	w := s.world(t, "")
	a, b := s.connect(t, w), s.connect(t, w)
	all := []*session{a, b}
	const addTwo = "UPDATE account SET balance = balance + 1 WHERE id = 2"
	for range 2 {
		a.exec(t, "BEGIN", addOne)
		b.exec(t, "BEGIN", addTwo)
		first := a.start(t, addTwo)
		untilBlocked(t, w, all, a)
		second := b.start(t, addOne)
		var victim, survivor *pending
		select {
		case <-first.done:
			victim, survivor = first, second
		case <-second.done:
			victim, survivor = second, first
		}
		if victim.err == nil { // the other one was the victim, and already made way
			victim, survivor = survivor, victim
		}
		s.expect(t, victim.end(), racelab.Deadlock)
		victim.session.exec(t, "ROLLBACK")
		if err := survivor.end(); err != nil {
			t.Fatalf("the survivor: %v", err)
		}
		survivor.session.exec(t, "COMMIT")
		if got := blocked(t, w, all...); len(got) != 0 {
			t.Fatalf("blocked after the deadlock: %v", got)
		}
	}
	a.exec(t, "BEGIN", addOne)
	waiting := b.start(t, addOne)
	untilBlocked(t, w, all, b)
	a.exec(t, "COMMIT")
	if err := waiting.end(); err != nil {
		t.Fatalf("a wait after the deadlock: %v", err)
	}
	if got := blocked(t, w, all...); len(got) != 0 {
		t.Fatalf("blocked after the release: %v", got)
	}
}
