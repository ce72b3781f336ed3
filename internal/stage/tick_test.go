package stage_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/mem"
)

// polling is a session that writes, and one that looks, sleeps if it came too
// early, and looks once more.
func polling(t *testing.T, e racelab.Engine) stage.Selection {
	t.Helper()
	look := func(ctx context.Context, env *racelab.Env) (n int64, err error) {
		err = env.DB.QueryRowContext(ctx, "SELECT n FROM item WHERE id = 1").Scan(&n)
		return n, err
	}
	sel := selected(t, e, "",
		func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
			_, err := env.DB.ExecContext(ctx, "UPDATE item SET n = 7 WHERE id = 1")
			return nil, err
		},
		func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
			before, err := look(ctx, env)
			if err != nil || before == 7 {
				return before, err
			}
			mem.Sleep(env.Process.(*racelab.Memory), time.Hour)
			return look(ctx, env)
		})
	sel.Strategy.Process = func(m *racelab.Memory) any { return m }
	return sel
}

// Virtual time passes between statements, where a schedule says so, and the
// same schedule gives the same again.
func TestStatementsAndVirtualTimeAreOneSchedule(t *testing.T) {
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		cell := open(t, polling(t, e), server)
		for text, want := range map[string]string{
			"A1 B1":            "A1 B1; B read 7",
			"B1 A1 tick B2 B3": "B1 A1 tick B2 B3; B read 7",
			"B1 tick B2 B3 A1": "B1 tick B2 B3 A1; B read 50",
			"B1 tick B2 A1 B3": "B1 tick B2 A1 B3; B read 7",
			"B1 A1":            "B1 A1 tick B2 B3; B read 7", // nobody can do anything else
		} {
			schedule, err := racelab.ParseSchedule(text)
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			h, err := cell.Run(t.Context(), explore.Plan{Schedule: schedule})
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if got := fmt.Sprintf("%s; B read %v", explore.ScheduleOf(h), returned(h, "B.1")); got != want {
				t.Errorf("%q ran as %s, want %s", text, got, want)
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("%s took %v of real time", text, took)
			}
			runAgain(t, cell, h)
		}
	})
}

// returned is what a call of a run returned.
func returned(h racelab.History, call racelab.CallID) racelab.Value {
	i := slices.IndexFunc(h.Events, func(e racelab.Event) bool { return e.Kind == racelab.Returned && e.Op.Call == call })
	return h.Events[i].Result.Value
}

// That nobody wrote while B slept is a schedule of its own: the search finds it,
// all ways of searching come to the same outcomes, and it can be replayed.
func TestASearchLetsTimePassBetweenStatements(t *testing.T) {
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		sel := polling(t, e)
		outcomes := func(x stage.Exploration) []string {
			found, err := sel.Explore(t.Context(), server, x)
			if err != nil {
				t.Fatal(err)
			}
			if found.Replayed.OK != found.Replayed.Of || found.Checked.OK != found.Checked.Of {
				t.Errorf("replayed %+v, %+v", found.Replayed, found.Checked)
			}
			if found.Passing == nil || !strings.Contains(found.Passing.Schedule.String(), "tick") {
				t.Errorf("no schedule that holds a tick was replayed, but %+v", found.Passing)
			}
			var all []string
			for _, o := range found.Outcomes {
				all = append(all, o.Results)
			}
			slices.Sort(all)
			return all
		}
		want := []string{"A.1 ok, B.1 ok (50)", "A.1 ok, B.1 ok (7)"}
		for name, x := range map[string]stage.Exploration{"brute": {}, "reduced": {Reduced: true}, "random": {Random: 60, Seed: 3, Workers: 2}} {
			if got := outcomes(x); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
		}
	})
}
