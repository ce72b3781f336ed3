package stage_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/internal/control"
	"github.com/racelab/racelab/internal/stage"
)

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

// outside is a session beside all cells, in a database of its own.
func outside(t *testing.T, server racelab.Server) racelab.Conn {
	t.Helper()
	w, err := server.Open(t.Context(), racelab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	c, err := w.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A connection that the server ends is no error of the program's: the run
// cannot be trusted, and says where.
func TestAConnectionThatTheServerEndsIsAnError(t *testing.T) {
	inTurn(t, hasServer, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		outside := outside(t, server)
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
				if !errors.Is(err, control.ErrConnectionEnded) || !strings.Contains(err.Error(), c.says) {
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
