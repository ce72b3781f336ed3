package stage_test

import (
	"cmp"
	"context"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/racelab/racelab/internal/stage"
)

// exploreBody explores two sessions that do the same, on SQLite.
func exploreBody(t *testing.T, body racelab.Body) stage.Explored {
	t.Helper()
	s := &racelab.Scenario{
		Name: "program", State: []string{"item"},
		Setup: func(racelab.Dialect) []string {
			return []string{"CREATE TABLE item (id INTEGER PRIMARY KEY, n INTEGER, at TIMESTAMP)", "INSERT INTO item (id, n) VALUES (1, 0), (2, 0)"}
		},
		Cast:       []racelab.Role{{Name: "a", Calls: []racelab.Args{nil}}, {Name: "a", Calls: []racelab.Args{nil}}},
		Strategies: []racelab.Strategy{{Name: "it", Body: map[string]racelab.Body{"a": body}}},
	}
	for _, e := range dsn.SQL {
		if e.Dialect.Features&racelab.Immediate == 0 {
			continue
		}
		server, err := e.Start(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		sel, err := stage.Select(s, &s.Strategies[0], e, "")
		if err != nil {
			t.Fatal(err)
		}
		x, err := sel.Explore(t.Context(), server, stage.Exploration{Budget: 200})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	t.Fatal("no engine is embedded")
	return stage.Explored{}
}

func set(v func() any) racelab.Body {
	return func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
		_, err := env.DB.ExecContext(ctx, "UPDATE item SET n = ? WHERE id = 1", v())
		return nil, err
	}
}

func give(v func() racelab.Value) racelab.Body {
	return func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
		_, err := env.DB.ExecContext(ctx, "UPDATE item SET n = n + 1 WHERE id = 1")
		return v(), err
	}
}

// twice makes two updates, each in a goroutine of its own; other decides which
// one comes first.
func twice(other func() bool) racelab.Body {
	return func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
		first, second := 1, 2
		if other() {
			first, second = 2, 1
		}
		for _, id := range []int{first, second} {
			done := make(chan error)
			go func() {
				_, err := env.DB.ExecContext(ctx, "UPDATE item SET n = n + 1 WHERE id = "+string(rune('0'+id)))
				done <- err
			}()
			if err := <-done; err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
}

// now and then it reads once more.
func sometimesMore(more func() bool) racelab.Body {
	return func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
		if more() {
			if _, err := env.DB.ExecContext(ctx, "UPDATE item SET n = n + 1 WHERE id = 2"); err != nil {
				return nil, err
			}
		}
		_, err := env.DB.ExecContext(ctx, "UPDATE item SET n = n + 1 WHERE id = 1")
		return nil, err
	}
}

// everyThird is true at every third call: two sessions call twice a run, so it
// is never the same for two runs in a row.
func everyThird() func() bool {
	var n atomic.Int64
	return func() bool { return n.Add(1)%3 == 0 }
}

func TestWhatNobodyControlsIsNamed(t *testing.T) {
	for name, test := range map[string]struct {
		body  racelab.Body
		cause check.Cause
		says  string // in the sentence
	}{
		"a random argument":           {set(func() any { return rand.Int64N(1 << 40) }), check.ByChance, "A1 (UPDATE item SET n = ? WHERE id = 1) was given "},
		"a random result":             {give(func() racelab.Value { return rand.Int64N(1 << 40) }), check.ByChance, "A.1 returned "},
		"a time as a number":          {set(func() any { return time.Now().UnixNano() }), check.ByTime, "A1 (UPDATE item SET n = ? WHERE id = 1) was given "},
		"a time as a text":            {set(func() any { return time.Now().Format(time.RFC3339Nano) }), check.ByTime, "pass a time.Time"},
		"a time as a result":          {give(func() racelab.Value { return time.Now().String() }), check.ByTime, "A.1 returned "},
		"another order of statements": {twice(everyThird()), check.ByGoroutine, " was UPDATE item SET n = n + 1 WHERE id = "},
		"a statement now and then":    {sometimesMore(everyThird()), check.ByGoroutine, "in one goroutine"},
		"what the engine answers": {func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
			var n int64
			return nil, env.DB.QueryRowContext(ctx, "SELECT random() AS n").Scan(&n)
		}, check.ByEngine, "A1 (SELECT random() AS n) gave "},
		"what the engine writes": {func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
			_, err := env.DB.ExecContext(ctx, "UPDATE item SET n = random() WHERE id = 1")
			return nil, err
		}, check.ByEngine, "the final state has "},
	} {
		t.Run(name, func(t *testing.T) {
			x := exploreBody(t, test.body)
			for _, r := range []stage.Replay{x.Replayed, x.Checked} {
				if r.Of > 0 && r.Different != "" && (r.Cause != test.cause || r.OK == r.Of) {
					t.Errorf("%+v: want %s", r, test.cause)
				}
			}
			if said := cmp.Or(x.Replayed.Different, x.Checked.Different); !strings.Contains(said, test.says) {
				t.Errorf("it says %q, and not %q", said, test.says)
			}
		})
	}
}

func TestATimeIsNoDifference(t *testing.T) {
	x := exploreBody(t, func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
		if _, err := env.DB.ExecContext(ctx, "UPDATE item SET n = n + 1, at = CURRENT_TIMESTAMP WHERE id = ? AND ? IS NOT NULL", 1, time.Now()); err != nil {
			return nil, err
		}
		var at time.Time
		err := env.DB.QueryRowContext(ctx, "SELECT at FROM item WHERE id = 1").Scan(&at)
		return time.Now(), err
	})
	if x.Violations > 0 || !x.Complete || x.Checked.OK != x.Checked.Of || x.Checked.Of == 0 {
		t.Errorf("%d violations, complete %v, checked %+v: %s", x.Violations, x.Complete, x.Checked, x.Judgement.Why)
	}
}
