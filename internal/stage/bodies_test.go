package stage_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
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
