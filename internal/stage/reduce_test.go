package stage_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
)

// compareReduced explores by brute force and reduced, which have to come to the
// same outcomes, and returns how many schedules each took.
func compareReduced(t *testing.T, sel stage.Selection, server racelab.Server, how stage.Controlled) (all, reduced int) {
	t.Helper()
	var outcomes [2][]string
	var schedules [2]int
	for i := range 2 {
		x, err := sel.Explore(t.Context(), server, stage.Exploration{Controlled: how, Reduced: i == 1, Budget: 20000})
		if err != nil {
			t.Fatal(err)
		}
		if !x.Complete {
			t.Fatalf("not complete after %d schedules", x.Schedules)
		}
		for _, o := range x.Outcomes {
			outcomes[i] = append(outcomes[i], o.Results+" | "+o.State)
		}
		slices.Sort(outcomes[i])
		schedules[i] = x.Schedules
	}
	if diff := cmp.Diff(outcomes[0], outcomes[1]); diff != "" {
		t.Errorf("outcomes of %d schedules and of %d reduced (-all +reduced):\n%s", schedules[0], schedules[1], diff)
	}
	return schedules[0], schedules[1]
}

func TestReducedFindsWhatBruteForceFinds(t *testing.T) {
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		deposit, _ := scenario.Named("deposit")
		for _, level := range e.Dialect.Levels {
			for i := range deposit.Strategies {
				st := &deposit.Strategies[i]
				if deposit.Because(st, e, level) != "" || st.Name == "serializable-retry" {
					continue
				}
				t.Run(fmt.Sprint(level, " ", st.Name), func(t *testing.T) {
					all, reduced := compareReduced(t, choose(t, e, "deposit/"+st.Name, level), server, stage.Controlled{})
					t.Logf("%d of %d", reduced, all)
				})
			}
		}
	})
}

// threeByFour is three sessions of BEGIN, a read, UPDATE and COMMIT.
func threeByFour(read string, ids ...int64) *racelab.Scenario {
	s := &racelab.Scenario{
		Name: "three-by-four",
		Setup: func(racelab.Dialect) []string {
			return []string{"CREATE TABLE item (id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO item VALUES (1, 0), (2, 0), (3, 0)"}
		},
		State: []string{"item"},
		Strategies: []racelab.Strategy{{Name: "transaction", Body: map[string]racelab.Body{"a": func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
			return inTx(func(ctx context.Context, env *racelab.Env, tx *sql.Tx) (racelab.Value, error) {
				id := env.Args.Int("id")
				var n int64
				if err := tx.QueryRowContext(ctx, read, id).Scan(&n); err != nil {
					return nil, err
				}
				_, err := tx.ExecContext(ctx, "UPDATE item SET n = ? WHERE id = ?", n+1, id)
				return n, err
			})(ctx, env)
		}}}},
	}
	for _, id := range ids {
		s.Cast = append(s.Cast, racelab.Role{Name: "a", Calls: []racelab.Args{{"id": id}}})
	}
	return s
}

func TestReductionLeavesFew(t *testing.T) {
	onEnginesThat(t, hasRowLocks, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		explore := func(s *racelab.Scenario, reduced bool) stage.Explored {
			sel, err := stage.Select(s, &s.Strategies[0], e, racelab.ReadCommitted)
			if err != nil {
				t.Fatal(err)
			}
			x, err := sel.Explore(t.Context(), server, stage.Exploration{Reduced: reduced})
			if err != nil || !x.Complete {
				t.Fatalf("complete %v: %v", x.Complete, err)
			}
			return x
		}
		apart := explore(threeByFour("SELECT n FROM item WHERE id = ?", 1, 2, 3), true)
		t.Logf("different rows: %d of 34650", apart.Schedules)
		if apart.Schedules > 20 {
			t.Errorf("%d schedules for different rows, want 20 at most", apart.Schedules)
		}
		locked := threeByFour("SELECT n FROM item WHERE id = ? FOR UPDATE", 1, 1, 1)
		few, all := explore(locked, true), explore(locked, false)
		t.Logf("one row, locked: %d of %d", few.Schedules, all.Schedules)
		if few.Schedules*10 > all.Schedules {
			t.Errorf("%d of %d schedules for one row, want a tenth at most", few.Schedules, all.Schedules)
		}
	})
}
