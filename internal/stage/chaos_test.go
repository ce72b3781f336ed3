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

// A server that is killed in the middle of an exploration is an error that
// says so, wherever it happens, and leaves nothing behind.
func TestAServerKilledAtAnyStepIsAnError(t *testing.T) {
	every := 40 // steps; the exploration has some 400 that are counted
	if os.Getenv("RACELAB_SOAK") != "" {
		every = 6
	}
	for _, e := range dsn.Engines {
		if e.Dialect.Features&racelab.Concurrent == 0 {
			continue // it has no server
		}
		t.Run(e.Name, func(t *testing.T) {
			enginetest.Require(t, e)
			for at := 1; at < 400; at += every {
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
	inner := s.Strategies[0].Body["a"]
	s.Strategies = []racelab.Strategy{{Name: "transaction", Body: map[string]racelab.Body{"a": func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
		kill()
		v, err := inner(ctx, env)
		kill()
		return v, err
	}}}}
	sel, err := stage.Select(&s, &s.Strategies[0], e, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = sel.Explore(ctx, server, stage.Exploration{Workers: 2})
	switch {
	case err == nil && steps.Load() >= at:
		t.Error("the exploration went on without its server")
	case err != nil && (ctx.Err() != nil || stage.LostControl(err)):
		t.Errorf("it ended with %v", err)
	}
	_ = server.Close() // it may say once more that the server has gone
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	goleak.VerifyNone(t, leaks)
}
