package stage_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/stage"
)

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
	inTurn(t, anyEngine, func(t *testing.T, e racelab.Engine, server racelab.Server) {
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

// endless are statements that never end by themselves, and what counts those
// that a server still runs.
var endless = map[string]struct{ statement, running string }{
	"sqlite":   {"WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT COUNT(*) FROM t", ""},
	"postgres": {"SELECT pg_sleep(3600)", "SELECT COUNT(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sl%'"},
	"mysql":    {"SELECT SLEEP(3600)", "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User sleep'"},
}

// Whoever interrupts a run does not wait for its statements, and leaves none.
func TestAnInterruptEndsAStatementThatNeverEnds(t *testing.T) {
	inTurn(t, anyEngine, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		running := func() string { // of an embedded engine
			stacks := make([]byte, 1<<20)
			return fmt.Sprint(strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "sqlite3VdbeExec("))
		}
		if count := endless[e.Name].running; count != "" {
			outside := outside(t, server)
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
	inTurn(t, anyEngine, func(t *testing.T, e racelab.Engine, server racelab.Server) {
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
