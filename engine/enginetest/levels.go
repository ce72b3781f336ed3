package enginetest

import (
	"slices"
	"testing"

	"github.com/racelab/racelab"
)

// A Phenomenon is something that a serial execution cannot show, by its name
// in Berenson et al., "A Critique of ANSI SQL Isolation Levels" (1995).
type Phenomenon string

const (
	DirtyRead         Phenomenon = "dirty read"          // P1
	NonRepeatableRead Phenomenon = "non-repeatable read" // P2
	LostUpdate        Phenomenon = "lost update"         // P4
	WriteSkew         Phenomenon = "write skew"          // A5B
)

func (s *suite) levels(t *testing.T) {
	phenomena := map[Phenomenon]func(*testing.T, racelab.World) bool{
		DirtyRead:         s.dirtyRead,
		NonRepeatableRead: s.nonRepeatableRead,
		LostUpdate:        s.lostUpdate,
		WriteSkew:         s.writeSkew,
	}
	for _, level := range s.engine.Dialect.Levels {
		t.Run(string(level), func(t *testing.T) {
			t.Run("is what the session reports", func(t *testing.T) {
				c := s.connect(t, s.world(t, level))
				text, _ := c.one(t, s.dialect.Level).(string)
				if got, err := racelab.ParseLevel(text); err != nil || got != level {
					t.Errorf("the session reports %q, want %s", text, level)
				}
			})
			for p, happens := range phenomena {
				t.Run(string(p), func(t *testing.T) {
					want := slices.Contains(s.dialect.Allows[level], p)
					if got := happens(t, s.world(t, level)); got != want {
						t.Errorf("happens: %v, want %v", got, want)
					}
				})
			}
		})
	}
	t.Run("the first is the default", func(t *testing.T) {
		c := s.connect(t, s.world(t, ""))
		text, _ := c.one(t, s.dialect.Level).(string)
		if got, _ := racelab.ParseLevel(text); got != s.engine.Dialect.Levels[0] {
			t.Errorf("the session reports %q, want %s", text, s.engine.Dialect.Levels[0])
		}
	})
	t.Run("one that it has not is refused", func(t *testing.T) {
		w, err := s.server.Open(t.Context(), racelab.Config{Level: "CHAOS"})
		if err == nil {
			w.Close()
			t.Error("a world opened at level CHAOS")
		}
	})
}

const (
	readOne = "SELECT balance FROM account WHERE id = 1"
	addOne  = "UPDATE account SET balance = balance + 1 WHERE id = 1"
)

func (s *suite) dirtyRead(t *testing.T, w racelab.World) bool {
	a, b := s.connect(t, w), s.connect(t, w)
	a.exec(t, "BEGIN", addOne)
	read := b.number(t, readOne)
	a.exec(t, "ROLLBACK")
	return read != 100
}

func (s *suite) nonRepeatableRead(t *testing.T, w racelab.World) bool {
	a, b := s.connect(t, w), s.connect(t, w)
	a.exec(t, "BEGIN")
	first := a.number(t, readOne)
	write := b.start(t, addOne)
	settle(t, w, write)
	second := a.number(t, readOne)
	a.exec(t, "COMMIT")
	if err := write.end(); err != nil {
		t.Fatalf("the write beside the reader: %v", err)
	}
	return first != second
}

// lostUpdate lets two transactions write what they made of the same read. If
// one is refused, the class must be the declared one.
func (s *suite) lostUpdate(t *testing.T, w racelab.World) bool {
	a, b := s.connect(t, w), s.connect(t, w)
	for _, c := range []*session{a, b} {
		c.exec(t, "BEGIN")
		c.number(t, readOne)
	}
	committed, refused := s.race(t, w,
		a, "UPDATE account SET balance = 101 WHERE id = 1",
		b, "UPDATE account SET balance = 102 WHERE id = 1")
	if committed == 2 {
		return true
	}
	level, _ := racelab.ParseLevel(a.one(t, s.dialect.Level).(string))
	for _, class := range refused {
		if want := s.dialect.Stale[level]; class != want {
			t.Errorf("refused with class %s, want %s", class, want)
		}
	}
	return false
}

// writeSkew lets two transactions each write one of two rows that both read.
func (s *suite) writeSkew(t *testing.T, w racelab.World) bool {
	a, b := s.connect(t, w), s.connect(t, w)
	for _, c := range []*session{a, b} {
		c.exec(t, "BEGIN")
		c.number(t, "SELECT SUM(balance) FROM account")
	}
	committed, refused := s.race(t, w,
		a, "UPDATE account SET balance = 0 WHERE id = 1",
		b, "UPDATE account SET balance = 0 WHERE id = 2")
	for _, class := range refused {
		if !class.Aborted() {
			t.Errorf("refused with class %s, which says that nothing can be tried again", class)
		}
	}
	return committed == 2
}

// race gives two open transactions a write each, one after the other, and ends
// both as their errors ask for.
func (s *suite) race(t *testing.T, w racelab.World, a *session, qa string, b *session, qb string) (committed int, refused []racelab.Class) {
	t.Helper()
	first := a.start(t, qa)
	settle(t, w, first)
	open := []*pending{first, b.start(t, qb)}
	settle(t, w, open...)
	eventually(t, "both transactions end", func() bool {
		open = slices.DeleteFunc(open, func(p *pending) bool {
			if !p.ended() {
				return false
			}
			err := p.err
			if err == nil {
				err = p.session.try(t.Context(), "COMMIT")
			}
			if err == nil {
				committed++
				return true
			}
			refused = append(refused, s.engine.Dialect.Classify(err))
			p.session.exec(t, "ROLLBACK")
			return true
		})
		return len(open) == 0
	})
	return committed, refused
}
