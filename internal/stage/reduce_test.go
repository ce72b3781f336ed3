package stage_test

import (
	"context"
	"database/sql"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
)

// compareReduced holds a reduced search against brute force: both have to come to
// the same outcomes.
func compareReduced(t *testing.T, brute, reduced stage.Explored) {
	t.Helper()
	if !brute.Complete || !reduced.Complete {
		t.Fatalf("complete: %v after %d schedules, and %v after %d reduced", brute.Complete, brute.Schedules, reduced.Complete, reduced.Schedules)
	}
	t.Logf("%d of %d", reduced.Schedules, brute.Schedules)
	var outcomes [2][]string
	for i, x := range []stage.Explored{brute, reduced} {
		for _, o := range x.Outcomes {
			outcomes[i] = append(outcomes[i], o.Results+" | "+o.State)
		}
		slices.Sort(outcomes[i])
	}
	if diff := cmp.Diff(outcomes[0], outcomes[1]); diff != "" {
		t.Errorf("outcomes of %d schedules and of %d reduced (-all +reduced):\n%s", brute.Schedules, reduced.Schedules, diff)
	}
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
		explore := func(s *racelab.Scenario, how stage.Exploration) stage.Explored {
			sel, err := stage.Select(s, &s.Strategies[0], e, racelab.ReadCommitted)
			if err != nil {
				t.Fatal(err)
			}
			x, err := sel.Explore(t.Context(), server, how)
			if err != nil || how.Reduced && !x.Complete {
				t.Fatalf("complete %v: %v", x.Complete, err)
			}
			return x
		}
		apart := explore(threeByFour("SELECT n FROM item WHERE id = ?", 1, 2, 3), stage.Exploration{Reduced: true})
		t.Logf("different rows: %d of 34650", apart.Schedules)
		if apart.Schedules > 20 {
			t.Errorf("%d schedules for different rows, want 20 at most", apart.Schedules)
		}
		locked := threeByFour("SELECT n FROM item WHERE id = ? FOR UPDATE", 1, 1, 1)
		few := explore(locked, stage.Exploration{Reduced: true})
		// To see that there are ten times as many, not all of them have to be run.
		all := explore(locked, stage.Exploration{Budget: 11 * few.Schedules})
		t.Logf("one row, locked: %d of %d, complete %v", few.Schedules, all.Schedules, all.Complete)
		if few.Schedules*10 > all.Schedules {
			t.Errorf("%d of %d schedules for one row, want a tenth at most", few.Schedules, all.Schedules)
		}
	})
}
