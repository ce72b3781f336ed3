package stage_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/internal/control"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/sqltext"
	"github.com/racelab/racelab/internal/stage"
)

// soon bounds a run that would hang if something is wrong.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func run(t *testing.T, cell *stage.Cell, text string) (racelab.History, error) {
	t.Helper()
	ctx := soon(t)
	h, err := cell.Run(ctx, explore.Plan{Schedule: schedule(t, text)})
	if ctx.Err() != nil {
		t.Fatalf("the run does not end: %v", err)
	}
	return h, err
}

// steps are what was done, in order: "A1 BEGIN: ok".
func steps(h racelab.History) (steps []string) {
	for _, e := range h.Events {
		if e.Kind == racelab.Left {
			steps = append(steps, fmt.Sprintf("%s %s: %s", e.Op.Name(), sqltext.Inline(e.Op.Text, e.Op.Args), e.Result.Class))
		}
	}
	return steps
}

// idle is a session that only looks once.
func idle(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	var n int64
	err := env.DB.QueryRowContext(ctx, "SELECT n FROM item WHERE id = 2").Scan(&n)
	return n, err
}

// What database/sql offers besides Query and Exec is steps like any other.
func everyWay(ctx context.Context, env *racelab.Env) (_ racelab.Value, err error) {
	read, err := env.DB.PrepareContext(ctx, "SELECT n FROM item WHERE id = ?")
	if err != nil {
		return nil, err
	}
	defer read.Close()
	var before, inside int64
	if err := read.QueryRowContext(ctx, 1).Scan(&before); err != nil {
		return nil, err
	}
	tx, err := env.DB.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	if err := tx.StmtContext(ctx, read).QueryRowContext(ctx, 1).Scan(&inside); err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, "SELECT id FROM item ORDER BY id")
	if err != nil {
		return nil, err
	}
	rows.Next() // and not to the end
	if err := rows.Close(); err != nil {
		return nil, err
	}
	write, err := tx.PrepareContext(ctx, "UPDATE item SET n = n + ? WHERE id = 1")
	if err != nil {
		return nil, err
	}
	defer write.Close()
	for range 2 {
		if _, err := write.ExecContext(ctx, 10); err != nil {
			return nil, err
		}
	}
	return before + inside, tx.Commit()
}

func TestEveryWayOfDatabaseSQLIsSteps(t *testing.T) {
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		cell := open(t, selected(t, e, "", everyWay, everyWay), server)
		h, err := run(t, cell, "A1 A2 A3 A4 A5 B1 A6 A7")
		if err != nil {
			t.Fatal(err)
		}
		ways := func(of string) []string {
			all := []string{
				"1 SELECT n FROM item WHERE id = 1: ok", "2 BEGIN: ok", "3 SELECT n FROM item WHERE id = 1: ok", "4 SELECT id FROM item ORDER BY id: ok",
				"5 UPDATE item SET n = n + 10 WHERE id = 1: ok", "6 UPDATE item SET n = n + 10 WHERE id = 1: ok", "7 COMMIT: ok",
			}
			for i := range all {
				all[i] = of + all[i]
			}
			return all
		}
		a, b := ways("A"), ways("B")
		want := slices.Concat(a[:5], b[:1], a[5:], b[1:])
		if diff := cmp.Diff(want, steps(h)); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
		if n := h.Final[0].Rows[0][1]; n != int64(90) {
			t.Errorf("n is %v, want 90", n)
		}
		for range 5 {
			runAgain(t, cell, h)
		}
	})
}

// A second connection of a session does not see what the first one has not
// committed, and its steps are the session's.
func TestASecondConnectionIsOfTheSameSession(t *testing.T) {
	outAndIn := func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
		tx, err := env.DB.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, "UPDATE item SET n = 0 WHERE id = 1"); err != nil {
			return nil, err
		}
		var outside int64
		if err := env.DB.QueryRowContext(ctx, "SELECT n FROM item WHERE id = 1").Scan(&outside); err != nil {
			return nil, err
		}
		return outside, tx.Commit()
	}
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		cell := open(t, selected(t, e, "", outAndIn, idle), server)
		h, err := run(t, cell, "A1 A2 B1 A3")
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"A1 BEGIN: ok", "A2 UPDATE item SET n = 0 WHERE id = 1: ok", "B1 SELECT n FROM item WHERE id = 2: ok",
			"A3 SELECT n FROM item WHERE id = 1: ok", "A4 COMMIT: ok",
		}
		if diff := cmp.Diff(want, steps(h)); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
		conns := map[racelab.ConnID]bool{}
		for _, e := range h.Events {
			if e.Kind == racelab.Left && e.Op.Session == "A" {
				conns[e.Op.Conn] = true
			}
			if e.Kind == racelab.Returned && e.Op.Session == "A" && e.Result.Value != int64(50) {
				t.Errorf("the second connection read %v, and the first had not committed", e.Result.Value)
			}
		}
		if len(conns) != 2 {
			t.Errorf("A used %d connections, want 2", len(conns))
		}
		for range 5 {
			runAgain(t, cell, h)
		}
	})
}

// A session whose second connection wants what its first one holds waits for
// itself, and no engine sees that as a deadlock.
func TestASessionThatWaitsForItselfIsSaidSo(t *testing.T) {
	inItsOwnWay := func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
		tx, err := env.DB.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, "UPDATE item SET n = 0 WHERE id = 1"); err != nil {
			return nil, err
		}
		if _, err := env.DB.ExecContext(ctx, "UPDATE item SET n = 1 WHERE id = 1"); err != nil {
			return nil, err
		}
		return nil, tx.Commit()
	}
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		cell := open(t, selected(t, e, "", inItsOwnWay, idle), server)
		_, err := run(t, cell, "")
		if !stage.LostControl(err) || !strings.Contains(err.Error(), "A3") || !strings.Contains(err.Error(), "itself") {
			t.Errorf("it ended with %v", err)
		}
		if _, err := run(t, cell, "B1"); !stage.LostControl(err) { // and the world is as good as before
			t.Errorf("it ended with %v", err)
		}
	})
}

// A session that ends its goroutine is said so at once, and the next run has
// another one for it.
func TestASessionThatEndsItsGoroutineIsSaidSo(t *testing.T) {
	exits := func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
		if _, err := idle(ctx, env); err != nil {
			return nil, err
		}
		runtime.Goexit()
		return nil, nil
	}
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		cell := open(t, selected(t, e, "", exits, idle), server)
		for range 3 {
			began := time.Now()
			_, err := run(t, cell, "")
			if !stage.LostControl(err) || !strings.Contains(err.Error(), "session A has ended its goroutine") {
				t.Errorf("it ended with %v", err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		}
	})
}

// A deadline that has passed before a statement ends it, whatever it is on, and
// nothing of it is left.
func TestADeadlineThatHasPassedEndsAStatement(t *testing.T) {
	const add = "UPDATE item SET n = n + 1 WHERE id = 1"
	ways := map[string]func(ctx, late context.Context, db *sql.DB) error{
		"database": func(_, late context.Context, db *sql.DB) error {
			_, err := db.ExecContext(late, add)
			return err
		},
		"begin": func(_, late context.Context, db *sql.DB) error {
			tx, err := db.BeginTx(late, nil)
			if err == nil {
				tx.Rollback()
			}
			return err
		},
		"connection": func(ctx, late context.Context, db *sql.DB) error {
			c, err := db.Conn(ctx)
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.ExecContext(late, add)
			return err
		},
		"transaction": func(ctx, late context.Context, db *sql.DB) error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()
			if _, err := tx.ExecContext(ctx, add); err != nil {
				return err
			}
			_, err = tx.ExecContext(late, add)
			return err
		},
		"prepared": func(ctx, late context.Context, db *sql.DB) error {
			s, err := db.PrepareContext(ctx, add)
			if err != nil {
				return err
			}
			defer s.Close()
			_, err = s.ExecContext(late)
			return err
		},
	}
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		for name, use := range ways {
			t.Run(name, func(t *testing.T) {
				late := func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
					late, cancel := context.WithDeadline(ctx, time.Unix(0, 0))
					defer cancel()
					return nil, use(ctx, late, env.DB)
				}
				cell := open(t, selected(t, e, "", late, addTen), server)
				for range 2 {
					h, err := run(t, cell, "")
					if err != nil {
						t.Fatal(err)
					}
					want := map[racelab.SessionID]racelab.Class{"A": racelab.Canceled, "B": racelab.OK}
					if diff := cmp.Diff(want, classes(h)); diff != "" {
						t.Errorf("classes (-want +got):\n%s", diff)
					}
					if n := h.Final[0].Rows[0][1]; n != int64(60) {
						t.Errorf("n is %v, want 60", n)
					}
					runAgain(t, cell, h)
				}
			})
		}
	})
}

// A statement whose own context ends while it waits for another session is
// canceled, and nothing of it is left, before anybody makes another step.
func TestAWaitThatItsContextEnds(t *testing.T) {
	const add = "UPDATE item SET n = n + 1 WHERE id = 1"
	ways := map[string]struct {
		schedule string
		use      func(ctx, impatient context.Context, db *sql.DB) error
	}{
		"alone": {"A1 A2 B1 A3", func(_, impatient context.Context, db *sql.DB) error {
			_, err := db.ExecContext(impatient, add)
			return err
		}},
		"in a transaction": {"B1 A1 A2 B2 A3", func(ctx, impatient context.Context, db *sql.DB) error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()
			_, err = tx.ExecContext(impatient, add)
			return err
		}},
		"in its transaction": {"B1 A1 A2 B2 A3", func(_, impatient context.Context, db *sql.DB) error {
			tx, err := db.BeginTx(impatient, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()
			_, err = tx.ExecContext(impatient, add)
			return err
		}},
	}
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		for name, c := range ways {
			t.Run(name, func(t *testing.T) {
				var giveUp context.CancelFunc
				holder := inTx(func(ctx context.Context, _ *racelab.Env, tx *sql.Tx) (racelab.Value, error) {
					if _, err := tx.ExecContext(ctx, "UPDATE item SET n = 0 WHERE id = 1"); err != nil {
						return nil, err
					}
					n, err := number(ctx, tx, "SELECT n FROM item WHERE id = 2")
					giveUp()
					return n, err
				})
				waiter := func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
					impatient, cancel := context.WithCancel(ctx)
					defer cancel()
					giveUp = cancel
					return nil, c.use(ctx, impatient, env.DB)
				}
				leaks := goleak.IgnoreCurrent()
				cell, err := selected(t, e, "", holder, waiter).NewCell(t.Context(), server, stage.Controlled{})
				if err != nil {
					t.Fatal(err)
				}
				var first []string
				for i := range 10 {
					h, err := run(t, cell, c.schedule)
					if err != nil {
						t.Fatalf("run %d: %v: %v", i+1, err, steps(h))
					}
					want := map[racelab.SessionID]racelab.Class{"A": racelab.OK, "B": racelab.Canceled}
					if diff := cmp.Diff(want, classes(h)); diff != "" {
						t.Fatalf("run %d: classes (-want +got):\n%s", i+1, diff)
					}
					if n := h.Final[0].Rows[0][1]; n != int64(0) {
						t.Errorf("n is %v, want 0", n)
					}
					if i == 0 {
						first = steps(h)
					}
					if diff := cmp.Diff(first, steps(h)); diff != "" {
						t.Fatalf("run %d (-first +this):\n%s", i+1, diff)
					}
				}
				if err := cell.Close(); err != nil {
					t.Error(err)
				}
				goleak.VerifyNone(t, leaks)
			})
		}
	})
}

// Many leave it to the context to end a transaction that failed: database/sql
// then rolls back on a goroutine of its own.
func TestATransactionThatItsContextEnds(t *testing.T) {
	failed := errors.New("no")
	forgetful := func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		tx, err := env.DB.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE item SET n = 0 WHERE id = 1"); err != nil {
			return nil, err
		}
		return nil, failed
	}
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		cell := open(t, selected(t, e, "", forgetful, addTen), server)
		var first racelab.History
		for i := range 20 {
			h, err := run(t, cell, "A1 A2 B1 B2")
			if err != nil {
				t.Fatalf("run %d: %v", i+1, err)
			}
			want := map[racelab.SessionID]racelab.Class{"A": racelab.Other, "B": racelab.OK}
			if diff := cmp.Diff(want, classes(h)); diff != "" {
				t.Fatalf("classes (-want +got):\n%s", diff)
			}
			if n := h.Final[0].Rows[0][1]; n != int64(60) {
				t.Fatalf("n is %v, want 60", n)
			}
			if i == 0 {
				first = h
			}
			if diff := cmp.Diff(steps(first), steps(h)); diff != "" {
				t.Fatalf("run %d (-first +this):\n%s", i+1, diff)
			}
		}
	})
}

// A panic is the error of its call. The others go on.
func TestAPanicIsTheCallsError(t *testing.T) {
	panics := inTx(func(ctx context.Context, _ *racelab.Env, tx *sql.Tx) (racelab.Value, error) {
		if _, err := tx.ExecContext(ctx, "UPDATE item SET n = 0 WHERE id = 1"); err != nil {
			return nil, err
		}
		var none []int
		return none[len(none)], nil
	})
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		cell := open(t, selected(t, e, "", panics, addTen), server)
		h, err := run(t, cell, "B1 A1 A2")
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"B1 BEGIN: ok", "A1 BEGIN: ok", "A2 UPDATE item SET n = 0 WHERE id = 1: ok", "A3 ROLLBACK: ok",
			"B2 UPDATE item SET n = n + 10 WHERE id = 1: ok", "B3 COMMIT: ok",
		}
		if diff := cmp.Diff(want, steps(h)); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
		if got := classes(h); got["A"] != racelab.Panicked || got["B"] != racelab.OK {
			t.Errorf("classes %v", got)
		}
		runAgain(t, cell, h)
	})
}

// killing says how a session learns its own number, and how to end another's.
var killing = map[string]struct{ self, kill string }{
	"postgres": {"SELECT pg_backend_pid()", "SELECT pg_terminate_backend(%d)"},
	"mysql":    {"SELECT CONNECTION_ID()", "KILL %d"},
}

// A connection that the server ends is no error of the program's: the run
// cannot be trusted, and says where.
func TestAConnectionThatTheServerEndsIsAnError(t *testing.T) {
	onEnginesThat(t, hasServer, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		other, err := server.Open(t.Context(), racelab.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		outside, err := other.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer outside.Close()
		killed := false
		kill := func(ctx context.Context, id int64) error {
			killed = true
			_, _, err := enginetest.Text(ctx, outside, fmt.Sprintf(killing[e.Name].kill, id))
			return err
		}
		var victim atomic.Int64
		for name, c := range map[string]struct {
			schedule, says string
			a, b           racelab.Body
		}{
			"between two statements": {"", "A3 (UPDATE", inTx(func(ctx context.Context, env *racelab.Env, tx *sql.Tx) (racelab.Value, error) {
				id, err := number(ctx, tx, killing[e.Name].self)
				if err != nil || killed {
					return nil, err
				}
				if err := kill(ctx, id); err != nil {
					return nil, err
				}
				_, err = tx.ExecContext(ctx, "UPDATE item SET n = 0 WHERE id = 1")
				return nil, err
			}), idle},
			"while it waits": {"B1 B2 A1 A2 B3", "B3 (UPDATE", inTx(func(ctx context.Context, env *racelab.Env, tx *sql.Tx) (racelab.Value, error) {
				if _, err := tx.ExecContext(ctx, "UPDATE item SET n = 0 WHERE id = 1"); err != nil || killed {
					return nil, err
				}
				_, err := number(ctx, tx, "SELECT n FROM item WHERE id = 2")
				if err == nil {
					err = kill(ctx, victim.Load())
				}
				for err == nil {
					_, err = number(ctx, tx, "SELECT n FROM item WHERE id = 2")
				}
				return nil, err
			}), inTx(func(ctx context.Context, env *racelab.Env, tx *sql.Tx) (racelab.Value, error) {
				id, err := number(ctx, tx, killing[e.Name].self)
				if err != nil {
					return nil, err
				}
				victim.Store(id)
				_, err = tx.ExecContext(ctx, "UPDATE item SET n = 1 WHERE id = 1")
				return nil, err
			})},
		} {
			t.Run(name, func(t *testing.T) {
				killed = false
				leaks := goleak.IgnoreCurrent()
				cell, err := selected(t, e, "", c.a, c.b).NewCell(t.Context(), server, stage.Controlled{})
				if err != nil {
					t.Fatal(err)
				}
				_, err = run(t, cell, c.schedule)
				if !errors.Is(err, control.ErrServerLost) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("it ended with %v", err)
				}
				if h, err := run(t, cell, ""); err != nil { // nobody is killed any more
					t.Errorf("the world is of no more use: %v: %v", err, steps(h))
				}
				if err := cell.Close(); err != nil {
					t.Error(err)
				}
				goleak.VerifyNone(t, leaks)
			})
		}
	})
}

// endless are statements that never end by themselves, and what counts those
// that a server still runs.
var endless = map[string]struct{ statement, running string }{
	"sqlite":   {"WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT COUNT(*) FROM t", ""},
	"postgres": {"SELECT pg_sleep(3600)", "SELECT COUNT(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sl%'"},
	"mysql":    {"SELECT SLEEP(3600)", "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User sleep'"},
}

// Whoever interrupts a run does not wait for its statements, and leaves none.
func TestAnInterruptEndsAStatementThatNeverEnds(t *testing.T) {
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		running := func() string { // of an embedded engine
			stacks := make([]byte, 1<<20)
			return fmt.Sprint(strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "sqlite3VdbeExec("))
		}
		if count := endless[e.Name].running; count != "" {
			other, err := server.Open(t.Context(), racelab.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			outside, err := other.Connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer outside.Close()
			running = func() string {
				tables, _, err := enginetest.Text(t.Context(), outside, count)
				if err != nil {
					t.Error(err)
					return ""
				}
				return fmt.Sprint(tables[0].Rows[0][0])
			}
		}
		for name, of := range map[string]func(context.Context) context.Context{
			"with the context": func(ctx context.Context) context.Context { return ctx },
			"without":          context.WithoutCancel, // as db.Query is
		} {
			t.Run(name, func(t *testing.T) {
				leaks := goleak.IgnoreCurrent()
				entered := make(chan struct{})
				forever := func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
					close(entered)
					var n any
					err := env.DB.QueryRowContext(of(ctx), endless[e.Name].statement).Scan(&n)
					return nil, err
				}
				cell, err := selected(t, e, "", forever, idle).NewCell(t.Context(), server, stage.Controlled{})
				if err != nil {
					t.Fatal(err)
				}
				ctx, interrupt := context.WithCancel(soon(t))
				ended := make(chan error, 1)
				go func() {
					_, err := cell.Run(ctx, explore.Plan{})
					ended <- err
				}()
				<-entered
				for running() == "0" && ctx.Err() == nil {
				}
				interrupt()
				if err := <-ended; !errors.Is(err, context.Canceled) {
					t.Errorf("it ended with %v", err)
				}
				if err := cell.Close(); err != nil {
					t.Error(err)
				}
				if running() != "0" {
					t.Error("the engine still runs the statement")
				}
				goleak.VerifyNone(t, leaks)
			})
		}
	})
}

// A run that ends leaves nobody waiting, also who has no context.
func TestAWaitWithoutAContextEndsWithItsRun(t *testing.T) {
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		leaks := goleak.IgnoreCurrent()
		cell, err := selected(t, e, "", addTen, func(_ context.Context, env *racelab.Env) (racelab.Value, error) {
			_, err := env.DB.Exec("UPDATE item SET n = n + 1 WHERE id = 1")
			return nil, err
		}).NewCell(t.Context(), server, stage.Controlled{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := run(t, cell, "A1 A2 B1 A9"); !stage.Diverged(err) {
			t.Errorf("it ended with %v", err)
		}
		if h, err := run(t, cell, "A1 A2 B1 A3"); err != nil || h.Final[0].Rows[0][1] != int64(61) {
			t.Errorf("the world is of no more use: %v: %v", err, steps(h))
		}
		if err := cell.Close(); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, leaks)
	})
}
