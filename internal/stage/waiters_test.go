package stage_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/stage"
)

// selected is a selection of a scenario over item that has one strategy, with a
// session for each body.
func selected(t *testing.T, e racelab.Engine, l racelab.Level, bodies ...racelab.Body) stage.Selection {
	t.Helper()
	s := &racelab.Scenario{
		Name: "program", Setup: func(racelab.Dialect) []string { return item }, State: []string{"item"},
		Strategies: []racelab.Strategy{{Name: "it", Body: map[string]racelab.Body{}}},
	}
	for i, b := range bodies {
		role := string(racelab.Letter(i))
		s.Cast = append(s.Cast, racelab.Role{Name: role, Calls: []racelab.Args{nil}})
		s.Strategies[0].Body[role] = b
	}
	sel, err := stage.Select(s, &s.Strategies[0], e, l)
	if err != nil {
		t.Fatal(err)
	}
	return sel
}

func open(t *testing.T, sel stage.Selection, server racelab.Server) *stage.Cell {
	t.Helper()
	cell, err := sel.NewCell(t.Context(), server, stage.Controlled{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cell.Close(); err != nil {
			t.Error(err)
		}
	})
	return cell
}

func schedule(t *testing.T, text string) racelab.Schedule {
	t.Helper()
	s, err := racelab.ParseSchedule(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// classes are those with which the calls of a run returned.
func classes(h racelab.History) map[racelab.SessionID]racelab.Class {
	classes := map[racelab.SessionID]racelab.Class{}
	for _, e := range h.Events {
		if e.Kind == racelab.Returned {
			classes[e.Op.Session] = e.Result.Class
		}
	}
	return classes
}

var lockThenAdd = inTx(func(ctx context.Context, _ *racelab.Env, tx *sql.Tx) (racelab.Value, error) {
	n, err := number(ctx, tx, "SELECT n FROM item WHERE id = 1 FOR UPDATE")
	if err != nil {
		return nil, err
	}
	_, err = tx.ExecContext(ctx, "UPDATE item SET n = ? WHERE id = 1", n+10)
	return n, err
})

// One COMMIT frees two who wait for the same row. Who gets it, and what the
// other one then does, must be the same every time.
func TestOneCommitFreesTwoAlwaysInTheSameOrder(t *testing.T) {
	times := 100
	if testing.Short() {
		times = 5
	}
	// Without row locks there is one lock, with a queue of our own: TestOneCommitFreesOneAfterAnother.
	onEnginesThat(t, hasRowLocks, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		for name, c := range map[string]struct {
			body     racelab.Body
			schedule string
		}{
			"for update":          {lockThenAdd, "A1 A2 C1 B1 C2 B2 A3 A4"},
			"update":              {addTen, "A1 A2 C1 B1 C2 B2 A3"},
			"update, two at once": {addTen, "A1 C1 B1 A2 B2 C2 A3"},
		} {
			for _, level := range []racelab.Level{racelab.ReadCommitted, racelab.RepeatableRead} {
				t.Run(fmt.Sprint(name, " ", level), func(t *testing.T) {
					cell := open(t, selected(t, e, level, c.body, c.body, c.body), server)
					h, err := cell.Run(t.Context(), explore.Plan{Schedule: schedule(t, c.schedule)})
					if err != nil {
						t.Fatal(err)
					}
					waited := map[racelab.SessionID]bool{}
					for _, e := range h.Events {
						waited[e.Op.Session] = waited[e.Op.Session] || e.Kind == racelab.Waiting
					}
					if !waited["B"] || !waited["C"] {
						t.Fatalf("B and C have to wait: %s", text(t, h.Events))
					}
					for range times {
						runAgain(t, cell, h)
					}
				})
			}
		}
	})
}

// addTwice changes a row twice before it wants the other one, so that InnoDB
// would rather roll back somebody else.
var addTwice = inTx(func(ctx context.Context, _ *racelab.Env, tx *sql.Tx) (racelab.Value, error) {
	for _, id := range []int{1, 1, 2} {
		if _, err := tx.ExecContext(ctx, "UPDATE item SET n = n + 1 WHERE id = ?", id); err != nil {
			return nil, err
		}
	}
	return nil, nil
})

// On PostgreSQL whoever closes a deadlock is its victim, and the one the
// schedule names is if it names one, every time.
func TestTheScheduleDecidesWhoLosesADeadlock(t *testing.T) {
	// SQLite has no deadlocks, and InnoDB chooses by itself.
	onEnginesThat(t, isPostgres, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		cell := open(t, selected(t, e, "", addToBoth(1, 2), addToBoth(2, 1)), server)
		for text, victim := range map[string]racelab.SessionID{
			"A1 A2 B1 B2 A3 B3":           "B",
			"A1 A2 B1 B2 B3 A3":           "A",
			"A1 A2 B1 B2 A3 B3(victim A)": "A",
			"A1 A2 B1 B2 B3 A3(victim B)": "B",
		} {
			for range 20 {
				h, err := cell.Run(t.Context(), explore.Plan{Schedule: schedule(t, text)})
				if err != nil {
					t.Fatalf("%s: %v", text, err)
				}
				for id, got := range classes(h) {
					want := racelab.OK
					if id == victim {
						want = racelab.Deadlock
					}
					if got != want {
						t.Fatalf("%s: %s ended with %s, want %s", text, id, got, want)
					}
				}
			}
		}
	})
}

// What is seen of a deadlock is the same every time: who waits, for whom, and
// who loses, whether that is who closed it or not.
func TestTheSameDeadlockGivesTheSameHistory(t *testing.T) {
	times := 100
	if testing.Short() {
		times = 5
	}
	onEnginesThat(t, hasRowLocks, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		cell := open(t, selected(t, e, "", addTwice, addToBoth(2, 1)), server)
		for name, text := range map[string]string{
			"closed by who has changed less": "A1 A2 A3 B1 B2 A4 B3", "closed by who has changed more": "A1 A2 A3 B1 B2 B3 A4",
		} {
			t.Run(name, func(t *testing.T) {
				h, err := cell.Run(t.Context(), explore.Plan{Schedule: schedule(t, text)})
				if err != nil {
					t.Fatal(err)
				}
				lost := 0
				for _, class := range classes(h) {
					if class == racelab.Deadlock {
						lost++
					}
				}
				if lost != 1 {
					t.Fatalf("%s: %v", text, classes(h))
				}
				for range times {
					runAgain(t, cell, h)
				}
			})
		}
	})
}

// InnoDB rolls back who has changed least, and cannot be asked for another.
func TestAVictimThatTheEngineDoesNotChooseDoesNotFit(t *testing.T) {
	onEnginesThat(t, isMySQL, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		cell := open(t, selected(t, e, "", addTwice, addToBoth(2, 1)), server)
		const closed = "A1 A2 A3 B1 B2 A4 B3"
		h, err := cell.Run(t.Context(), explore.Plan{Schedule: schedule(t, closed)})
		if err != nil {
			t.Fatal(err)
		}
		if got := classes(h); got["A"] != racelab.OK || got["B"] != racelab.Deadlock {
			t.Fatalf("%s: %v, and B has changed less", closed, got)
		}
		_, err = cell.Run(t.Context(), explore.Plan{Schedule: schedule(t, closed+"(victim A)")})
		if !stage.Diverged(err) || !strings.Contains(err.Error(), "B3 closes no deadlock whose victim is A") {
			t.Errorf("the victim was A, or the error is not clear: %v", err)
		}
		// The world is as good as before.
		if _, err := cell.Run(t.Context(), explore.Plan{Schedule: schedule(t, closed)}); err != nil {
			t.Error(err)
		}
	})
}

// Where the victim can be chosen, each is a schedule of its own.
func TestAnExplorationTriesBothVictims(t *testing.T) {
	onEnginesThat(t, isPostgres, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		sel := selected(t, e, "", addToBoth(1, 2), addToBoth(2, 1))
		search := sel.Search([]*stage.Cell{open(t, sel, server)})
		lost := map[string]racelab.Class{} // by session, of each schedule with a deadlock
		search.Judged = func(h racelab.History) {
			schedule := explore.ScheduleOf(h)
			for id, class := range classes(h) {
				if class == racelab.Deadlock {
					lost[fmt.Sprint(schedule[:6], " ", id)] = class
				}
			}
		}
		r, err := search.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !r.Complete || r.Violations > 0 || r.Aborted == 0 || r.Deadlocked != r.Aborted {
			t.Errorf("%+v", r)
		}
		for _, want := range []string{
			"A1 A2 B1 B2 A3 B3 B", "A1 A2 B1 B2 A3 B3(victim A) A",
			"A1 A2 B1 B2 B3 A3 A", "A1 A2 B1 B2 B3 A3(victim B) B",
		} {
			if lost[want] == "" {
				t.Errorf("no schedule that begins with %s loses", want)
			}
		}
	})
}
