package stage_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/mem"
	"github.com/racelab/racelab/scenario"
)

// rowsOf are all strategies of some scenarios.
func rowsOf(scenarios ...*racelab.Scenario) (rows []stage.Row) {
	for _, s := range scenarios {
		for i := range s.Strategies {
			rows = append(rows, stage.Row{Scenario: s, Strategy: &s.Strategies[i]})
		}
	}
	return rows
}

// onSQLite is a matrix of rows on the embedded engine.
func onSQLite(t *testing.T, rows []stage.Row) stage.Matrix {
	t.Helper()
	e := dsn.SQL[0]
	server, err := e.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return stage.Matrix{Rows: rows, Stands: []stage.Stand{{Engine: e, Server: server}}, Each: stage.Exploration{Reduced: true}}
}

func TestTheCellsOfDepositOnSQLite(t *testing.T) {
	deposit, _ := scenario.Named("deposit")
	m := onSQLite(t, rowsOf(deposit))
	told := 0
	m.Tell = func(done, of int) {
		if told++; done != told || of != len(deposit.Strategies) {
			t.Errorf("cell %d of %d was told, after %d", done, of, told-1)
		}
	}
	cells, err := m.Compute(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	type cell struct {
		strategy string
		result   racelab.CellResult
		anomaly  string
		complete bool
	}
	var got []cell
	for _, c := range cells {
		if !c.Agrees() {
			t.Errorf("%s: %s %s, want %+v", c.Selection.Name(), c.Result, c.Anomaly, c.Expected)
		}
		got = append(got, cell{c.Strategy.Name, c.Result, c.Anomaly, c.Complete})
	}
	want := []cell{
		{"read-modify-write", racelab.CellViolated, "lost-update", true},
		{"transaction", racelab.CellHoldsWithAborts, "", true},
		{"for-update", racelab.CellNotAvailable, "", false},
		{"for-update-autocommit", racelab.CellNotAvailable, "", false},
		{"for-update-nowait", racelab.CellNotAvailable, "", false},
		{"atomic-update", racelab.CellHolds, "", true},
		{"optimistic-version", racelab.CellHolds, "", true},
		{"serializable-retry", racelab.CellHoldsWithAborts, "", true},
		{"advisory-lock", racelab.CellNotAvailable, "", false},
		{"process-mutex", racelab.CellHolds, "", true},
		{"immediate", racelab.CellHolds, "", true},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(cell{})); diff != "" {
		t.Errorf("cells (-want +got):\n%s", diff)
	}
}

// A world that several strategies share gives each what it gets in one of its
// own.
func TestACellDoesNotDependOnThoseBeforeIt(t *testing.T) {
	deposit, _ := scenario.Named("deposit")
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		m := stage.Matrix{
			Stands: []stage.Stand{{Engine: e, Server: server}}, Levels: e.Dialect.Levels[:1], Each: stage.Exploration{Reduced: true},
		}
		compute := func(rows []stage.Row) []string {
			m.Rows = rows
			cells, err := m.Compute(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var all []string
			for _, c := range cells {
				all = append(all, fmt.Sprint(c.Strategy.Name, c.Result, c.Anomaly, c.Schedules, c.Aborted, c.Violations, c.Conflicts, c.Schedule, c.Outcomes))
			}
			return all
		}
		together := compute(rowsOf(deposit))
		var alone []string
		for _, row := range rowsOf(deposit) {
			alone = append(alone, compute([]stage.Row{row})...)
		}
		if diff := cmp.Diff(alone, together); diff != "" {
			t.Errorf("cells (-alone +together):\n%s", diff)
		}
	})
}

// mutexes is two sessions that take two mutexes in opposite orders.
var mutexes = racelab.Scenario{
	Name:  "mutexes",
	Setup: func(racelab.Dialect) []string { return []string{"CREATE TABLE t (n INTEGER)"} },
	State: []string{"t"},
	Cast: []racelab.Role{
		{Name: "a", Calls: []racelab.Args{{"first": int64(0)}}},
		{Name: "a", Calls: []racelab.Args{{"first": int64(1)}}},
	},
	Strategies: []racelab.Strategy{{
		Name:   "opposite",
		Expect: []racelab.Expect{{Result: racelab.CellDeadlock}},
		Process: func(m *racelab.Memory) any {
			return [2]sync.Locker{mem.NewMutex(m, "the mutex"), mem.NewMutex(m, "the mutex")}
		},
		Body: map[string]racelab.Body{"a": func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
			both, first := env.Process.([2]sync.Locker), env.Args.Int("first")
			both[first].Lock()
			defer both[first].Unlock()
			both[1-first].Lock()
			defer both[1-first].Unlock()
			return nil, nil
		}},
	}},
}

func TestADeadlockOfMemoryHasItsOwnResult(t *testing.T) {
	cells, err := onSQLite(t, rowsOf(&mutexes)).Compute(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c := cells[0]; c.Result != racelab.CellDeadlock || c.Anomaly != "deadlock" || !c.Agrees() {
		t.Errorf("%s %s, because %s; agrees: %v", c.Result, c.Anomaly, c.Because, c.Agrees())
	}
}

func TestAnInterruptedMatrixKeepsWhatIsDone(t *testing.T) {
	deposit, _ := scenario.Named("deposit")
	m := onSQLite(t, rowsOf(deposit))
	ctx, cancel := context.WithCancel(t.Context())
	m.Tell = func(done, of int) {
		if done == 3 {
			cancel()
		}
	}
	cells, err := m.Compute(ctx)
	if !errors.Is(err, context.Canceled) || len(cells) != 3 {
		t.Errorf("%d cells, %v; want 3 and that it was canceled", len(cells), err)
	}
}

func TestACellWhoseBudgetIsUsedUpIsUnknown(t *testing.T) {
	deposit, _ := scenario.Named("deposit")
	retry, _ := deposit.Strategy("serializable-retry")
	m := onSQLite(t, []stage.Row{{Scenario: deposit, Strategy: retry}})
	m.Each.Budget = 10
	cells, err := m.Compute(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c := cells[0]; c.Result != racelab.CellUnknown || c.Because == "" || c.Agrees() || c.Complete {
		t.Errorf("%s, because %q; agrees: %v, complete: %v", c.Result, c.Because, c.Agrees(), c.Complete)
	}
}
