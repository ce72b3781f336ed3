package stage_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
)

// A program is a small one whose answer was worked out by hand: at which levels
// of each engine it shows an outcome that no serial order gives.
type program struct {
	name     string
	setup    []string
	needs    racelab.Feature
	bodies   map[string]racelab.Body // by role, in the order a, b
	violated map[string][]racelab.Level
	anomaly  string // what it is called there
}

func inTx(steps func(ctx context.Context, env *racelab.Env, tx *sql.Tx) (racelab.Value, error)) racelab.Body {
	return func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
		tx, err := env.DB.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		defer tx.Rollback()
		v, err := steps(ctx, env, tx)
		if err != nil {
			return nil, err
		}
		return v, tx.Commit()
	}
}

func number(ctx context.Context, tx *sql.Tx, query string) (n int64, err error) {
	err = tx.QueryRowContext(ctx, query).Scan(&n)
	return n, err
}

func goOffCall(id int) racelab.Body {
	return inTx(func(ctx context.Context, _ *racelab.Env, tx *sql.Tx) (racelab.Value, error) {
		n, err := number(ctx, tx, "SELECT COUNT(*) FROM doctor WHERE duty = 1")
		if err != nil || n < 2 {
			return n, err
		}
		_, err = tx.ExecContext(ctx, "UPDATE doctor SET duty = 0 WHERE id = ?", id)
		return n, err
	})
}

var item = []string{"CREATE TABLE item (id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO item VALUES (1, 50), (2, 50)"}

var weak = []racelab.Level{racelab.ReadUncommitted, racelab.ReadCommitted}

var programs = []program{
	{
		name:    "write skew",
		anomaly: "write-skew",
		setup:   []string{"CREATE TABLE doctor (id INTEGER PRIMARY KEY, duty INTEGER)", "INSERT INTO doctor VALUES (1, 1), (2, 1)"},
		bodies:  map[string]racelab.Body{"a": goOffCall(1), "b": goOffCall(2)},
		violated: map[string][]racelab.Level{
			"postgres": append(slices.Clone(weak), racelab.RepeatableRead),
			"mysql":    append(slices.Clone(weak), racelab.RepeatableRead, racelab.RepeatableReadSnapshot),
		},
	},
	{
		name:    "read skew",
		anomaly: "read-skew",
		setup:   item,
		bodies: map[string]racelab.Body{
			"a": inTx(func(ctx context.Context, _ *racelab.Env, tx *sql.Tx) (racelab.Value, error) {
				x, err := number(ctx, tx, "SELECT n FROM item WHERE id = 1")
				if err != nil {
					return nil, err
				}
				y, err := number(ctx, tx, "SELECT n FROM item WHERE id = 2")
				return x + y, err
			}),
			"b": inTx(func(ctx context.Context, _ *racelab.Env, tx *sql.Tx) (racelab.Value, error) {
				if _, err := tx.ExecContext(ctx, "UPDATE item SET n = 40 WHERE id = 1"); err != nil {
					return nil, err
				}
				_, err := tx.ExecContext(ctx, "UPDATE item SET n = 60 WHERE id = 2")
				return nil, err
			}),
		},
		violated: map[string][]racelab.Level{"postgres": weak, "mysql": weak},
	},
	{
		name:    "phantom",
		anomaly: "phantom",
		setup:   item,
		bodies: map[string]racelab.Body{
			"a": inTx(func(ctx context.Context, _ *racelab.Env, tx *sql.Tx) (racelab.Value, error) {
				first, err := number(ctx, tx, "SELECT COUNT(*) FROM item WHERE n = 50")
				if err != nil {
					return nil, err
				}
				second, err := number(ctx, tx, "SELECT COUNT(*) FROM item WHERE n = 50")
				return fmt.Sprint(first, " ", second), err
			}),
			"b": func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
				_, err := env.DB.ExecContext(ctx, "INSERT INTO item VALUES (3, 50)")
				return nil, err
			},
		},
		violated: map[string][]racelab.Level{"postgres": weak, "mysql": weak},
	},
	{
		name:    "dirty read",
		anomaly: "dirty-read",
		setup:   item,
		bodies: map[string]racelab.Body{
			"a": func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
				var n int64
				err := env.DB.QueryRowContext(ctx, "SELECT n FROM item WHERE id = 1").Scan(&n)
				return n, err
			},
			"b": func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
				tx, err := env.DB.BeginTx(ctx, nil)
				if err != nil {
					return nil, err
				}
				defer tx.Rollback()
				_, err = tx.ExecContext(ctx, "UPDATE item SET n = 99 WHERE id = 1")
				return nil, err
			},
		},
		// PostgreSQL's READ UNCOMMITTED is READ COMMITTED.
		violated: map[string][]racelab.Level{"mysql": {racelab.ReadUncommitted}},
	},
	{
		name:   "nowait",
		setup:  item,
		needs:  racelab.RowLocks | racelab.NoWait,
		bodies: map[string]racelab.Body{"a": takeOrRefuse, "b": takeOrRefuse},
	},
	{
		// Who loses a deadlock is aborted, which is no violation.
		name:   "opposite order",
		setup:  item,
		needs:  racelab.RowLocks,
		bodies: map[string]racelab.Body{"a": addToBoth(1, 2), "b": addToBoth(2, 1)},
	},
	{
		name:   "savepoint",
		setup:  item,
		needs:  racelab.Savepoints,
		bodies: map[string]racelab.Body{"a": undoInside, "b": undoInside},
		// A snapshot that grew old is an abort, which is no violation.
	},
}

func addToBoth(first, second int) racelab.Body {
	return inTx(func(ctx context.Context, _ *racelab.Env, tx *sql.Tx) (racelab.Value, error) {
		for _, id := range []int{first, second} {
			if _, err := tx.ExecContext(ctx, "UPDATE item SET n = n + 1 WHERE id = ?", id); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
}

var takeOrRefuse = inTx(func(ctx context.Context, env *racelab.Env, tx *sql.Tx) (racelab.Value, error) {
	n, err := number(ctx, tx, "SELECT n FROM item WHERE id = 1 FOR UPDATE NOWAIT")
	if env.Dialect.Classify(err) == racelab.LockNotAvailable {
		return nil, racelab.ErrRefused
	}
	if err != nil {
		return nil, err
	}
	_, err = tx.ExecContext(ctx, "UPDATE item SET n = ? WHERE id = 1", n+1)
	return nil, err
})

var undoInside = inTx(func(ctx context.Context, _ *racelab.Env, tx *sql.Tx) (racelab.Value, error) {
	for _, q := range []string{
		"UPDATE item SET n = n + 1 WHERE id = 1", "SAVEPOINT here",
		"UPDATE item SET n = n + 10 WHERE id = 1", "ROLLBACK TO SAVEPOINT here",
	} {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return nil, err
		}
	}
	return nil, nil
})

func TestProgramsWorkedOutByHand(t *testing.T) {
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		for _, p := range programs {
			s := &racelab.Scenario{
				Name: "program", Setup: func(racelab.Dialect) []string { return p.setup },
				Cast:       []racelab.Role{{Name: "a", Calls: []racelab.Args{nil}}, {Name: "b", Calls: []racelab.Args{nil}}},
				Strategies: []racelab.Strategy{{Name: "it", Needs: p.needs, Body: p.bodies}},
			}
			s.State = []string{"item"}
			if p.name == "write skew" {
				s.State = []string{"doctor"}
			}
			if s.Strategies[0].Because(e, "") != "" {
				continue // what the engine does not have it cannot get wrong
			}
			for _, level := range e.Dialect.Levels {
				t.Run(fmt.Sprint(p.name, " ", level), func(t *testing.T) {
					sel, err := stage.Select(s, &s.Strategies[0], e, level)
					if err != nil {
						t.Fatal(err)
					}
					x, err := sel.Explore(t.Context(), server, stage.Exploration{})
					if err != nil {
						t.Fatal(err)
					}
					want := slices.Contains(p.violated[e.Name], level)
					if got := x.Violations > 0; got != want || !x.Complete {
						t.Fatalf("violated %v, want %v; complete %v: %s: %s", got, want, x.Complete, x.Schedule, x.Judgement.Why)
					}
					if x.Replayed.OK != x.Replayed.Of {
						t.Errorf("replayed %+v", x.Replayed)
					}
					if !want {
						return
					}
					// At READ UNCOMMITTED the history alone does not always say
					// what a read saw: then nothing is named.
					a, named := stage.Explain(*x.Witness)
					if named && string(a.Name) != p.anomaly || !named && level != racelab.ReadUncommitted {
						t.Errorf("%s is called %q, want %s", x.Schedule, a.Name, p.anomaly)
					}
				})
			}
		}
	})
}

// On PostgreSQL the one that closes a deadlock is its victim, every time.
func TestTheCloserOfADeadlockLosesIt(t *testing.T) {
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		if e.Name != "postgres" {
			return // SQLite has no deadlocks, and InnoDB chooses by itself
		}
		s := &racelab.Scenario{
			Name: "program", Setup: func(racelab.Dialect) []string { return item }, State: []string{"item"},
			Cast:       []racelab.Role{{Name: "a", Calls: []racelab.Args{nil}}, {Name: "b", Calls: []racelab.Args{nil}}},
			Strategies: []racelab.Strategy{{Name: "it", Body: map[string]racelab.Body{"a": addToBoth(1, 2), "b": addToBoth(2, 1)}}},
		}
		sel, err := stage.Select(s, &s.Strategies[0], e, "")
		if err != nil {
			t.Fatal(err)
		}
		for schedule, victim := range map[string]racelab.CallID{"A1 A2 B1 B2 A3 B3": "B.1", "A1 A2 B1 B2 B3 A3": "A.1"} {
			parsed, err := racelab.ParseSchedule(schedule)
			if err != nil {
				t.Fatal(err)
			}
			for range 20 {
				x, err := sel.Replay(t.Context(), server, stage.Controlled{}, parsed)
				if err != nil {
					t.Fatal(err)
				}
				if got := x.Judgement.Outcome.Calls[victim].Class; got != racelab.Deadlock {
					t.Fatalf("%s: %s ended with %s: %s", schedule, victim, got, x.Judgement.Outcome.Results(nil))
				}
			}
		}
	})
}
