package enginetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/racelab/racelab"
)

func (s *suite) waits(t *testing.T) {
	t.Run("for a row", func(t *testing.T) {
		what := "row"
		if s.engine.Dialect.Features&racelab.RowLocks == 0 {
			what = "database"
		}
		s.oneWait(t, "COMMIT", what, addOne, "BEGIN", addOne)
	})
	t.Run("for a row until the rollback", func(t *testing.T) {
		s.oneWait(t, "ROLLBACK", "", addOne, "BEGIN", addOne)
	})
	s.only(t, s.has(racelab.RowLocks), "for a row that is read for update", func(t *testing.T) {
		const read = "SELECT * FROM account WHERE id = 1 FOR UPDATE"
		s.oneWait(t, "COMMIT", "row", read, "BEGIN", read)
	})
	s.only(t, s.has(racelab.RowLocks), "for a key that another transaction inserts", func(t *testing.T) {
		const insert = "INSERT INTO account (id, balance) VALUES (7, 0)"
		s.oneWait(t, "ROLLBACK", "", insert, "BEGIN", insert)
	})
	s.only(t, s.has(racelab.Immediate), "for the database's one writer", func(t *testing.T) {
		s.oneWait(t, "COMMIT", "database", "BEGIN IMMEDIATE", "BEGIN IMMEDIATE")
	})
	s.only(t, s.has(racelab.AdvisoryLocks), "for an advisory lock", func(t *testing.T) {
		d := s.engine.Dialect
		s.oneWait(t, d.AdvisoryUnlock(7), "advisory", d.AdvisoryLock(7), d.AdvisoryLock(7))
	})
	s.only(t, s.has(racelab.AdvisoryLocks), "for an advisory lock of another world: none", func(t *testing.T) {
		here, there := s.world(t, ""), s.world(t, "")
		a, b := s.connect(t, here), s.connect(t, there)
		a.exec(t, s.engine.Dialect.AdvisoryLock(7))
		other := b.start(t, s.engine.Dialect.AdvisoryLock(7))
		settle(t, there, other)
		if !other.ended() {
			t.Error("it waits")
		}
		a.exec(t, s.engine.Dialect.AdvisoryUnlock(7))
		if err := other.end(); err != nil {
			t.Error(err)
		}
	})
	s.only(t, s.has(racelab.Concurrent), "for a table's definition", func(t *testing.T) {
		s.oneWait(t, "COMMIT", "metadata", "ALTER TABLE note ADD COLUMN more integer", "BEGIN", "SELECT * FROM note")
	})
	s.only(t, s.has(racelab.RowLocks) || s.has(racelab.Immediate), "are served in the order of arrival", s.fifo)
	t.Run("of a crowd all end", s.crowd)
	t.Run("of others are not asked for", func(t *testing.T) {
		w := s.world(t, "")
		c := s.connectN(t, w, 3)
		c[0].exec(t, "BEGIN", addOne)
		c[1].start(t, addOne)
		untilBlocked(t, w, c, c[1])
		if got := blocked(t, w, c[0], c[2]); len(got) != 0 {
			t.Errorf("blocked: %v, of sessions that do not wait", got)
		}
		if got := blocked(t, w); len(got) != 0 {
			t.Errorf("blocked: %v, of none", got)
		}
		c[0].exec(t, "COMMIT")
	})
	t.Run("are not what takes long", func(t *testing.T) {
		w := s.world(t, "")
		c := s.connect(t, w)
		ctx, stop := context.WithCancel(t.Context())
		busy := make(chan error)
		go func() { busy <- c.try(ctx, s.dialect.Busy) }()
		for range 200 {
			if got := blocked(t, w, c); len(got) != 0 {
				t.Errorf("blocked: %v, which runs", got)
			}
		}
		stop()
		if err := <-busy; err == nil {
			t.Error("the statement that takes a minute has ended")
		}
	})
	t.Run("for one that is none of ours say so", s.outside)
}

// oneWait lets A hold something, B wait for it with a statement and go on with
// the release, and asks at each moment. An empty what is not compared.
func (s *suite) oneWait(t *testing.T, release, what, wants string, holds ...string) {
	t.Helper()
	w := s.world(t, "")
	c := s.connectN(t, w, 3)
	a, b := c[0], c[1]
	a.exec(t, holds...)
	if got := blocked(t, w, c...); len(got) != 0 {
		t.Fatalf("blocked before anybody waits: %v", got)
	}
	waiting := b.start(t, wants)
	untilBlocked(t, w, c, b)
	waits, err := w.Waits(t.Context(), connIDs(c))
	if err != nil {
		t.Fatal(err)
	}
	if len(waits) != 1 || waits[0].Conn != b.ID() || !slices.Equal(waits[0].On, []racelab.ConnID{a.ID()}) || waits[0].Outside != "" ||
		what != "" && waits[0].What != what {
		t.Errorf("waits %+v, want %s on %s for %q", waits, b.ID(), a.ID(), what)
	}
	if waiting.ended() {
		t.Error("the statement ended although it was blocked")
	}
	a.exec(t, release)
	if err := waiting.end(); err != nil {
		t.Errorf("after the release: %v", err)
	}
	if got := blocked(t, w, c...); len(got) != 0 {
		t.Errorf("blocked after the release: %v", got)
	}
	if waits, err = w.Waits(t.Context(), connIDs(c)); err != nil || len(waits) != 0 {
		t.Errorf("waits after the release: %+v, %v", waits, err)
	}
}

// fifo lets sessions take the same thing without changing it, and expects it
// to be handed on in the order of arrival.
func (s *suite) fifo(t *testing.T) {
	takes := []string{"BEGIN", "SELECT * FROM account WHERE id = 1 FOR UPDATE"}
	if !s.has(racelab.RowLocks) {
		takes = []string{"BEGIN IMMEDIATE"}
	}
	w, c, ps := s.queue(t, takes...)
	for i := 1; i < len(c); i++ {
		if err := ps[i].end(); err != nil {
			t.Fatalf("session %d: %v", i, err)
		}
		untilBlocked(t, w, c, c[i+1:]...)
		c[i].exec(t, "COMMIT")
	}
}

// crowd lets sessions change the same row. Who comes next is the engine's
// choice: PostgreSQL hands on the lock of a row's old version in order, and
// then lets all who had it race for the new one.
func (s *suite) crowd(t *testing.T) {
	w, c, ps := s.queue(t, "BEGIN", addOne)
	for left := ps[1:]; len(left) > 0; {
		eventually(t, "one of those who wait gets the row", func() bool {
			return slices.ContainsFunc(left, (*pending).ended)
		})
		left = slices.DeleteFunc(left, func(p *pending) bool {
			if !p.ended() {
				return false
			}
			if p.err != nil {
				t.Fatal(p.err)
			}
			p.session.exec(t, "COMMIT")
			return true
		})
	}
	if got := blocked(t, w, c...); len(got) != 0 {
		t.Errorf("blocked after all releases: %v", got)
	}
	if got := c[0].number(t, readOne); got != 104 {
		t.Errorf("balance %d, want 104", got)
	}
}

// queue lets three sessions wait for a fourth, the first, each only for those
// before it, and then lets the first one commit.
func (s *suite) queue(t *testing.T, takes ...string) (racelab.World, []*session, []*pending) {
	t.Helper()
	w := s.world(t, "")
	c := s.connectN(t, w, 4)
	c[0].exec(t, takes...)
	begins, take := takes[:len(takes)-1], takes[len(takes)-1]
	ps := make([]*pending, len(c))
	for i := 1; i < len(c); i++ {
		c[i].exec(t, begins...)
		ps[i] = c[i].start(t, take)
		untilBlocked(t, w, c, c[1:i+1]...)
		waits, err := w.Waits(t.Context(), connIDs(c[i:i+1]))
		if err != nil || len(waits) != 1 || len(waits[0].On) == 0 || waits[0].Outside != "" {
			t.Fatalf("waits %+v, %v", waits, err)
		}
		for _, on := range waits[0].On {
			if !slices.Contains(connIDs(c[:i]), on) {
				t.Errorf("session %d waits for %s, which did not come before it", i, on)
			}
		}
	}
	c[0].exec(t, "COMMIT")
	return w, c, ps
}

// outside lets a program that is none of racelab's hold the row.
func (s *suite) outside(t *testing.T) {
	w := s.world(t, "")
	b := s.connect(t, w)
	db, err := s.dialect.Open(w.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(t.Context(), addOne); err != nil {
		t.Fatal(err)
	}
	waiting := b.start(t, addOne)
	untilBlocked(t, w, []*session{b}, b)
	waits, err := w.Waits(t.Context(), connIDs([]*session{b}))
	if err != nil || len(waits) != 1 || len(waits[0].On) != 0 || waits[0].Outside == "" {
		t.Errorf("waits %+v, %v: want one that says who is outside", waits, err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := waiting.end(); err != nil {
		t.Error(err)
	}
}

// cancel ends a wait by the session's own context. A statement that is canceled while
// it waits has not written. What is sent next is not canceled: not even if the wait
// ends by itself at the same moment, and the server is asked too late.
func (s *suite) cancel(t *testing.T) {
	const times = 20
	w := s.world(t, "")
	a, b := s.connect(t, w), s.connect(t, w)
	want := int64(100)
	for i := range times {
		a.exec(t, "BEGIN", addOne)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.try(ctx, addOne) }()
		untilBlocked(t, w, []*session{b}, b)
		meanwhile := i%2 == 1
		if meanwhile {
			go stop()
			a.exec(t, "COMMIT")
		}
		stop()
		err := <-ended
		if errors.Is(err, context.DeadlineExceeded) {
			t.Fatal("the wait went on after its context was canceled")
		}
		if err != nil || !meanwhile {
			s.expect(t, err, racelab.Canceled)
		}
		for range times {
			if err = b.try(t.Context(), "SELECT 1"); err != nil {
				break
			}
		}
		if s.engine.Dialect.Classify(err) == racelab.Canceled {
			t.Fatalf("what came next was canceled: %v", err)
		} else if err != nil {
			b.Close() // which returns when the server has let go, too
			b = s.connect(t, w)
		} else if got := blocked(t, w, b); len(got) != 0 {
			t.Errorf("the session works and still waits: %v", got)
		}
		if meanwhile {
			want = a.number(t, readOne) // whether it has written is not said
			continue
		}
		a.exec(t, "COMMIT")
		if want++; a.number(t, readOne) != want {
			t.Fatal("what was canceled has written")
		}
	}
}
