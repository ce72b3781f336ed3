package stage_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/racelab/racelab/internal/stage"
)

// places are where the server is killed: before and after each statement of
// two-by-four, in each of its 70 schedules, ten a schedule.
const places = 2 * 5 * 70

// A server that is killed in the middle of an exploration is an error that
// says so, wherever it happens, and leaves nothing behind.
func TestAServerKilledAtAnyStepIsAnError(t *testing.T) {
	kills := 10
	switch {
	case os.Getenv("RACELAB_SOAK") != "":
		kills = 100
	case testing.Short():
		kills = 2
	}
	for _, e := range dsn.SQL {
		if !hasServer(e) {
			continue
		}
		t.Run(e.Name, func(t *testing.T) {
			enginetest.Require(t, e)
			apart := places/kills | 1 // prime to ten: no two of ten are at the same place of a schedule
			for i := range kills {
				at := 1 + i*apart
				t.Run(fmt.Sprint("at step ", at), func(t *testing.T) { killAt(t, e, int64(at)) })
			}
		})
	}
}

func killAt(t *testing.T, e racelab.Engine, at int64) {
	leaks := goleak.IgnoreCurrent()
	tmp, err := os.MkdirTemp("", "kill")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", tmp)
	server, err := e.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var steps atomic.Int64
	kill := func() {
		if steps.Add(1) != at {
			return
		}
		pids, _ := filepath.Glob(filepath.Join(tmp, "*", "server.pid"))
		for _, file := range pids {
			b, _ := os.ReadFile(file)
			pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
			if err != nil || syscall.Kill(pid, syscall.SIGKILL) != nil {
				t.Errorf("could not kill the server of %s", file)
			}
		}
	}
	s := twoByFour
	s.Strategies = []racelab.Strategy{{Name: "transaction", Body: map[string]racelab.Body{"a": func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
		kill()
		tx, err := env.DB.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		defer tx.Rollback()
		kill()
		var n int64
		if err := tx.QueryRowContext(ctx, "SELECT n FROM item WHERE id = ?", env.Args.Int("id")).Scan(&n); err != nil {
			return nil, err
		}
		kill()
		if _, err := tx.ExecContext(ctx, "UPDATE item SET n = ? WHERE id = ?", n+1, env.Args.Int("id")); err != nil {
			return nil, err
		}
		kill()
		err = tx.Commit()
		kill()
		return nil, err
	}}}}
	sel, err := stage.Select(&s, &s.Strategies[0], e, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = sel.Explore(ctx, server, stage.Exploration{Workers: 2})
	switch {
	case steps.Load() < at:
		t.Errorf("there are only %d steps", steps.Load())
	case err == nil:
		t.Error("the exploration went on without its server")
	case ctx.Err() != nil || stage.LostControl(err) || stage.Diverged(err):
		t.Errorf("it ended with %v", err) // which is no exit 4
	}
	_ = server.Close() // it may say once more that the server has gone
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	goleak.VerifyNone(t, leaks)
}
