package check_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/sqlite"
	"github.com/racelab/racelab/internal/check"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
)

// exhibit is a scenario of two sessions that do the same, each on a row of its
// own in the table t (id, v), of which 1 and 2 are there with v = 1.
func exhibit(body racelab.Body) *racelab.Scenario {
	return &racelab.Scenario{
		Name: "exhibit",
		Setup: func(d racelab.Dialect) []string {
			return []string{
				"CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)",
				"CREATE TABLE users (" + d.AutoKey("id") + ", email VARCHAR(20))",
				"INSERT INTO t (id, v) VALUES (1, 1), (2, 1)",
			}
		},
		State:     []string{"t", "users"},
		Generated: []string{"users.id"},
		Cast: []racelab.Role{
			{Name: "one", Calls: []racelab.Args{{"id": int64(1)}}},
			{Name: "one", Calls: []racelab.Args{{"id": int64(2)}}},
		},
		Strategies: []racelab.Strategy{{Name: "plain", Body: map[string]racelab.Body{"one": body}}},
	}
}

// offDuty goes off duty if somebody else stays.
func offDuty(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	var n int64
	if err := env.DB.QueryRowContext(ctx, "SELECT count(*) FROM t WHERE v = 1").Scan(&n); err != nil || n < 2 {
		return n, err
	}
	_, err := env.DB.ExecContext(ctx, "UPDATE t SET v = 0 WHERE id = ?", env.Args.Int("id"))
	return nil, err
}

// signUp puts in what is not there yet.
func signUp(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	var id int64
	err := env.DB.QueryRowContext(ctx, "SELECT id FROM users WHERE email = ?", "x").Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	_, err = env.DB.ExecContext(ctx, "INSERT INTO users (email) VALUES (?)", "x")
	return nil, err
}

// spend takes one if there is one.
func spend(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	var v int64
	if err := env.DB.QueryRowContext(ctx, "SELECT v FROM t WHERE id = 1").Scan(&v); err != nil || v < 1 {
		return v, err
	}
	_, err := env.DB.ExecContext(ctx, "UPDATE t SET v = v - 1 WHERE id = 1")
	return nil, err
}

// balance adds up two rows, or moves between them.
func balance(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	var a, b int64
	if env.Args.Int("id") == 1 {
		err := errors.Join(
			env.DB.QueryRowContext(ctx, "SELECT v FROM t WHERE id = 1").Scan(&a),
			env.DB.QueryRowContext(ctx, "SELECT v FROM t WHERE id = 2").Scan(&b))
		return a + b, err
	}
	_, err := env.DB.ExecContext(ctx, "UPDATE t SET v = v - 1 WHERE id = 1")
	_, err2 := env.DB.ExecContext(ctx, "UPDATE t SET v = v + 1 WHERE id = 2")
	return nil, errors.Join(err, err2)
}

func TestWitnessesOnSQLiteHaveTheirName(t *testing.T) {
	deposit, _ := scenario.Named("deposit")
	server, err := sqlite.Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for name, test := range map[string]struct {
		scenario *racelab.Scenario
		strategy string
		want     check.Name // "": none is violated
	}{
		"deposit":              {deposit, "read-modify-write", check.LostUpdate},
		"deposit, a mutex":     {deposit, "process-mutex", check.LostUpdate}, // of two processes
		"deposit, the fix":     {deposit, "atomic-update", ""},
		"deposit, in versions": {deposit, "optimistic-version", ""},
		"doctors on call":      {exhibit(offDuty), "plain", check.WriteSkew},
		"signing up":           {exhibit(signUp), "plain", check.Duplicate},
		"spending":             {exhibit(spend), "plain", check.LostUpdate},
		"a sum of two rows":    {exhibit(balance), "plain", check.ReadSkew},
	} {
		t.Run(name, func(t *testing.T) {
			strategy, _ := test.scenario.Strategy(test.strategy)
			selection, err := stage.Select(test.scenario, strategy, sqlite.Engine, "")
			if err != nil {
				t.Fatal(err)
			}
			cell, err := selection.NewCell(t.Context(), server, stage.Controlled{Processes: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer cell.Close()
			search := selection.Search([]*stage.Cell{cell})
			search.Budget = 2000
			judge, violations := search.Judge, 0
			for i, run := range search.Runners {
				search.Runners[i] = func(ctx context.Context, p explore.Plan) (racelab.History, error) {
					h, err := run(ctx, p)
					if err != nil {
						return h, err
					}
					v, err := judge.Judge(ctx, h)
					if err != nil || !v.Violated {
						return h, err
					}
					violations++
					a, _ := check.Explain(h, selection.Level)
					if a.Name != test.want {
						t.Errorf("%s: %q, because %s", explore.ScheduleOf(h), a.Name, a.Prose)
					}
					return h, err
				}
			}
			if _, err := search.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if (violations > 0) != (test.want != "") {
				t.Errorf("%d violations", violations)
			}
		})
	}
}
