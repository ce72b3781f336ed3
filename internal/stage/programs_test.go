package stage_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
)

// A program is a small one whose answer was worked out by hand: at which levels
// of each engine it shows an outcome that no serial order gives.
type program struct {
	name     string
	setup    []string
	state    string // the table that is compared
	needs    racelab.Feature
	bodies   map[string]racelab.Body // by role, in the order a, b
	spelled  map[string]string       // by engine: a statement that each spells in its own way
	faults   int                     // connections lost in a schedule, at most
	violated map[string][]racelab.Level
	anomaly  string // what it is called there; "" is no known one
	witness  string // part of the schedule that shows it
	// refused is where some schedule refuses a call that no serial order refuses.
	refused map[string][]racelab.Level
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

var (
	weak       = []racelab.Level{racelab.ReadUncommitted, racelab.ReadCommitted}
	repeatable = append(slices.Clone(weak), racelab.RepeatableRead)
	snapshot   = append(slices.Clone(repeatable), racelab.RepeatableReadSnapshot)
	// everywhere are all levels of all engines.
	everywhere = map[string][]racelab.Level{
		"sqlite":   {racelab.Serializable},
		"postgres": append(slices.Clone(repeatable), racelab.Serializable),
		"mysql":    append(slices.Clone(snapshot), racelab.Serializable),
	}
)

var programs = []program{
	{
		name:    "write skew",
		anomaly: "write-skew",
		setup:   []string{"CREATE TABLE doctor (id INTEGER PRIMARY KEY, duty INTEGER)", "INSERT INTO doctor VALUES (1, 1), (2, 1)"},
		state:   "doctor",
		bodies:  map[string]racelab.Body{"a": goOffCall(1), "b": goOffCall(2)},
		violated: map[string][]racelab.Level{
			"postgres": repeatable,
			"mysql":    snapshot,
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
	{
		name:   "upsert",
		setup:  []string{"CREATE TABLE counter (id INTEGER PRIMARY KEY, n INTEGER)"},
		state:  "counter",
		bodies: map[string]racelab.Body{"a": countUp, "b": countUp},
		spelled: map[string]string{
			"sqlite":   "INSERT INTO counter (id, n) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = counter.n + 1",
			"postgres": "INSERT INTO counter (id, n) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = counter.n + 1",
			"mysql":    "INSERT INTO counter (id, n) VALUES (1, 1) ON DUPLICATE KEY UPDATE n = n + 1",
		},
	},
	{
		// InnoDB's SERIALIZABLE locks the gap that was read, for both: a deadlock.
		name:     "check, then insert",
		anomaly:  "duplicate",
		setup:    []string{"CREATE TABLE member (name VARCHAR(20))"},
		state:    "member",
		bodies:   map[string]racelab.Body{"a": joinOnce, "b": joinOnce},
		violated: map[string][]racelab.Level{"postgres": repeatable, "mysql": snapshot},
	},
	{
		name:   "check, then insert a unique key",
		setup:  []string{"CREATE TABLE member (name VARCHAR(20) PRIMARY KEY)"},
		state:  "member",
		bodies: map[string]racelab.Body{"a": joinOrFind, "b": joinOrFind},
	},
	{
		// The second one's error is one that no serial order gives. PostgreSQL's
		// SERIALIZABLE and InnoDB's snapshots abort it instead.
		anomaly:  "duplicate",
		name:     "check, then insert a unique key, and not expect it",
		setup:    []string{"CREATE TABLE member (name VARCHAR(20) PRIMARY KEY)"},
		state:    "member",
		bodies:   map[string]racelab.Body{"a": joinOnce, "b": joinOnce},
		violated: map[string][]racelab.Level{"postgres": repeatable, "mysql": repeatable},
	},
	{
		// PostgreSQL's SERIALIZABLE may abort the one whose job the other one
		// skipped, which then has the second job while the first is free.
		name:     "skip locked",
		setup:    jobs(2),
		state:    "job",
		needs:    racelab.RowLocks | racelab.SkipLocked,
		violated: map[string][]racelab.Level{"postgres": {racelab.Serializable}},
		bodies:   map[string]racelab.Body{"a": inTx(takeJob("a", " FOR UPDATE SKIP LOCKED")), "b": inTx(takeJob("b", " FOR UPDATE SKIP LOCKED"))},
	},
	{
		// Who finds nothing that is free looks whether anything is left: while
		// the other has not committed, there is. InnoDB's SERIALIZABLE waits to
		// see.
		name:    "skip locked, and nothing is free",
		setup:   jobs(1),
		state:   "job",
		needs:   racelab.RowLocks | racelab.SkipLocked,
		bodies:  map[string]racelab.Body{"a": inTx(takeJob("a", " FOR UPDATE SKIP LOCKED")), "b": inTx(takeJob("b", " FOR UPDATE SKIP LOCKED"))},
		refused: map[string][]racelab.Level{"postgres": everywhere["postgres"], "mysql": snapshot},
	},
	{
		// InnoDB's SERIALIZABLE ends it in a deadlock, its snapshots and
		// PostgreSQL's notice, and so does SQLite.
		name:     "look for a job, then take it",
		anomaly:  "lost-update",
		setup:    jobs(2),
		state:    "job",
		bodies:   map[string]racelab.Body{"a": inTx(takeJob("a", "")), "b": inTx(takeJob("b", ""))},
		violated: map[string][]racelab.Level{"postgres": weak, "mysql": repeatable},
	},
	{
		name:     "look for a job, then take it, without a transaction",
		anomaly:  "lost-update",
		setup:    jobs(2),
		state:    "job",
		bodies:   map[string]racelab.Body{"a": takeJobAlone("a"), "b": takeJobAlone("b")},
		violated: everywhere,
	},
	{
		// An answer that is lost is no answer: what is done again is done twice.
		name:     "again when the connection is lost",
		setup:    item,
		faults:   1,
		bodies:   map[string]racelab.Body{"a": untilAnswered(addTen), "b": addOneAlone},
		violated: everywhere,
		witness:  "(drop after)",
	},
	{
		// In or out: nobody knows, and both are right.
		name:   "give up when the connection is lost",
		setup:  item,
		faults: 1,
		bodies: map[string]racelab.Body{"a": addTen, "b": addOneAlone},
	},
	{
		name:   "again when the connection is lost, once by its number",
		setup:  append(slices.Clone(item), "CREATE TABLE request (id INTEGER PRIMARY KEY)"),
		faults: 1,
		bodies: map[string]racelab.Body{"a": untilAnswered(addTenOnce), "b": addOneAlone},
	},
}

var countUp = inTx(func(ctx context.Context, env *racelab.Env, tx *sql.Tx) (racelab.Value, error) {
	_, err := tx.ExecContext(ctx, env.Args["spelled"].(string))
	return nil, err
})

var joinOnce = inTx(func(ctx context.Context, _ *racelab.Env, tx *sql.Tx) (racelab.Value, error) {
	n, err := number(ctx, tx, "SELECT COUNT(*) FROM member WHERE name = 'x'")
	if err != nil || n > 0 {
		return n, err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO member (name) VALUES ('x')")
	return n, err
})

// joinOrFind knows that somebody may be in between.
func joinOrFind(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	v, err := joinOnce(ctx, env)
	if env.Dialect.Classify(err) == racelab.UniqueViolation {
		return int64(1), nil
	}
	return v, err
}

func jobs(n int) []string {
	setup := []string{"CREATE TABLE job (id INTEGER PRIMARY KEY, worker VARCHAR(8))"}
	for i := range n {
		setup = append(setup, fmt.Sprintf("INSERT INTO job VALUES (%d, NULL)", i+1))
	}
	return setup
}

func takeJob(worker, lock string) func(context.Context, *racelab.Env, *sql.Tx) (racelab.Value, error) {
	return func(ctx context.Context, _ *racelab.Env, tx *sql.Tx) (racelab.Value, error) {
		id, err := number(ctx, tx, "SELECT id FROM job WHERE worker IS NULL ORDER BY id LIMIT 1"+lock)
		if errors.Is(err, sql.ErrNoRows) {
			left, err := number(ctx, tx, "SELECT COUNT(*) FROM job WHERE worker IS NULL")
			if err == nil && left > 0 {
				err = racelab.ErrRefused
			}
			return "nothing is left", err
		}
		if err != nil {
			return nil, err
		}
		_, err = tx.ExecContext(ctx, "UPDATE job SET worker = ? WHERE id = ?", worker, id)
		return id, err
	}
}

func takeJobAlone(worker string) racelab.Body {
	return func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
		var id int64
		if err := env.DB.QueryRowContext(ctx, "SELECT id FROM job WHERE worker IS NULL ORDER BY id LIMIT 1").Scan(&id); err != nil {
			return nil, err
		}
		_, err := env.DB.ExecContext(ctx, "UPDATE job SET worker = ? WHERE id = ?", worker, id)
		return id, err
	}
}

var addTen = inTx(func(ctx context.Context, _ *racelab.Env, tx *sql.Tx) (racelab.Value, error) {
	_, err := tx.ExecContext(ctx, "UPDATE item SET n = n + 10 WHERE id = 1")
	return nil, err
})

// addTenOnce leaves its number behind, and does nothing if it is there.
func addTenOnce(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	v, err := inTx(func(ctx context.Context, _ *racelab.Env, tx *sql.Tx) (racelab.Value, error) {
		if _, err := tx.ExecContext(ctx, "INSERT INTO request (id) VALUES (7)"); err != nil {
			return nil, err
		}
		_, err := tx.ExecContext(ctx, "UPDATE item SET n = n + 10 WHERE id = 1")
		return nil, err
	})(ctx, env)
	if env.Dialect.Classify(err) == racelab.UniqueViolation {
		return nil, nil
	}
	return v, err
}

func untilAnswered(body racelab.Body) racelab.Body {
	return func(ctx context.Context, env *racelab.Env) (v racelab.Value, err error) {
		for range env.Tries {
			if v, err = body(ctx, env); env.Dialect.Classify(err) != racelab.ConnectionLost {
				break
			}
		}
		return v, err
	}
}

func addOneAlone(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	_, err := env.DB.ExecContext(ctx, "UPDATE item SET n = n + 1 WHERE id = 1")
	return nil, err
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

func (p program) scenario(e racelab.Engine) *racelab.Scenario {
	args := racelab.Args{"spelled": p.spelled[e.Name]}
	state := p.state
	if state == "" {
		state = "item"
	}
	return &racelab.Scenario{
		Name: "program", Setup: func(racelab.Dialect) []string { return p.setup }, State: []string{state},
		Cast:       []racelab.Role{{Name: "a", Calls: []racelab.Args{args}}, {Name: "b", Calls: []racelab.Args{args}}},
		Strategies: []racelab.Strategy{{Name: "it", Needs: p.needs, Body: p.bodies}},
	}
}

func TestProgramsWorkedOutByHand(t *testing.T) {
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		for _, level := range e.Dialect.Levels {
			// Programs over the same tables take turns in one world.
			worlds := map[string]*stage.Cells{}
			for _, p := range programs {
				s := p.scenario(e)
				if s.Because(&s.Strategies[0], e, "") != "" {
					continue // what the engine does not have it cannot get wrong
				}
				t.Run(fmt.Sprint(p.name, " ", level), func(t *testing.T) {
					sel, err := stage.Select(s, &s.Strategies[0], e, level)
					if err != nil {
						t.Fatal(err)
					}
					tables := fmt.Sprint(p.setup, s.State, s.Cast)
					cells, open := worlds[tables]
					if !open {
						if cells, err = sel.NewCells(t.Context(), server, stage.Controlled{}, 1); err != nil {
							t.Fatal(err)
						}
						worlds[tables] = cells
					}
					x, err := cells.Explore(t.Context(), sel.Strategy, stage.Exploration{Faults: p.faults})
					if err != nil {
						t.Fatal(err)
					}
					p.check(t, e, level, x)
				})
			}
			for _, cells := range worlds {
				if err := cells.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

// check holds what was found against what was worked out.
func (p program) check(t *testing.T, e racelab.Engine, level racelab.Level, x stage.Explored) {
	t.Helper()
	want := slices.Contains(p.violated[e.Name], level)
	if got := x.Violations > 0; got != want || !x.Complete {
		t.Fatalf("violated %v, want %v; complete %v: %s: %s", got, want, x.Complete, x.Schedule, x.Judgement.Why)
	}
	if x.Replayed.OK != x.Replayed.Of || x.Checked.OK != x.Checked.Of {
		t.Errorf("replayed %+v, checked %+v", x.Replayed, x.Checked)
	}
	if got, want := x.Classes[racelab.Refused] > 0, slices.Contains(p.refused[e.Name], level); got != want && p.refused != nil {
		t.Errorf("refused %v, want %v", got, want)
	}
	if p.faults > 0 && x.Classes[racelab.ConnectionLost] == 0 {
		t.Error("no call has ended with a lost connection")
	}
	if !want {
		return
	}
	if !strings.Contains(x.Schedule.String(), p.witness) {
		t.Errorf("%s shows it, and not %s", x.Schedule, p.witness)
	}
	// At READ UNCOMMITTED the history alone does not always say
	// what a read saw: then nothing is named.
	a, named := x.Explain()
	if named && string(a.Name) != p.anomaly || !named && p.anomaly != "" && level != racelab.ReadUncommitted {
		t.Errorf("%s is called %q, want %q", x.Schedule, a.Name, p.anomaly)
	}
}
