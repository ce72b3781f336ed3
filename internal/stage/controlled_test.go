package stage_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
)

func choose(t *testing.T, e racelab.Engine, name string, l racelab.Level) stage.Selection {
	t.Helper()
	s, st, err := stage.Find(scenario.All, name)
	if err != nil {
		t.Fatal(err)
	}
	sel, err := stage.Select(s, st, e, l)
	if err != nil {
		t.Fatal(err)
	}
	return sel
}

// What the deposit's strategies are at each level of each engine. Anything not
// said here is declared safe, and has to hold. The reduced search comes to the
// same as brute force.
func TestDepositIsDecided(t *testing.T) {
	violated := map[string]map[racelab.Level]bool{
		"read-modify-write":     {racelab.ReadUncommitted: true, racelab.ReadCommitted: true, racelab.RepeatableRead: true, racelab.RepeatableReadSnapshot: true, racelab.Serializable: true},
		"for-update-autocommit": {racelab.ReadUncommitted: true, racelab.ReadCommitted: true, racelab.RepeatableRead: true, racelab.RepeatableReadSnapshot: true, racelab.Serializable: true},
	}
	// A transaction is enough from a level on that differs.
	transaction := map[string]map[racelab.Level]bool{
		"sqlite":   {},
		"postgres": {racelab.ReadUncommitted: true, racelab.ReadCommitted: true},
		"mysql":    {racelab.ReadUncommitted: true, racelab.ReadCommitted: true, racelab.RepeatableRead: true},
	}
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		deposit, _ := scenario.Named("deposit")
		for _, level := range e.Dialect.Levels {
			// In one world, because to make one takes longer than most of them.
			cells, err := choose(t, e, "deposit/atomic-update", level).NewCells(t.Context(), server, stage.Controlled{}, 1)
			if err != nil {
				t.Fatal(err)
			}
			for i := range deposit.Strategies {
				st := &deposit.Strategies[i]
				if deposit.Because(st, e, level) != "" {
					continue
				}
				want := violated[st.Name][level]
				if st.Name == "transaction" {
					want = transaction[e.Name][level]
				}
				t.Run(fmt.Sprint(level, " ", st.Name), func(t *testing.T) {
					budget, all := 20000, true
					if st.Name == "serializable-retry" { // has more
						budget, all = 600, false
					}
					x, err := cells.Explore(t.Context(), st, stage.Exploration{Budget: budget})
					if err != nil {
						t.Fatal(err)
					}
					if got := x.Violations > 0; got != want {
						t.Errorf("violated: %v, want %v (%s: %s)", got, want, x.Schedule, x.Judgement.Why)
					}
					if !x.Complete && x.Schedules+x.Beside < budget {
						t.Errorf("not complete after %d schedules", x.Schedules)
					}
					if want && x.FirstFound != x.Serial+1 {
						t.Errorf("first found at run %d, with %d serial ones", x.FirstFound, x.Serial)
					}
					if x.Replayed.OK != x.Replayed.Of || x.Checked.OK != x.Checked.Of {
						t.Errorf("replayed %+v, checked %+v", x.Replayed, x.Checked)
					}
					if !all {
						return
					}
					reduced, err := cells.Explore(t.Context(), st, stage.Exploration{Reduced: true})
					if err != nil {
						t.Fatal(err)
					}
					compareReduced(t, x, reduced)
				})
			}
			if err := cells.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestOneWhoDoesNotLockBreaksTheOther(t *testing.T) {
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		safe := "atomic-update"
		if e.Dialect.Features&racelab.RowLocks != 0 {
			safe = "for-update"
		}
		sel := choose(t, e, "deposit/"+safe, "")
		naive, _ := sel.Scenario.Strategy("read-modify-write")
		x, err := sel.Explore(t.Context(), server, stage.Exploration{Controlled: stage.Controlled{
			Strategies: map[racelab.SessionID]*racelab.Strategy{"B": naive},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if x.Violations == 0 || !x.Complete {
			t.Errorf("%d violations of %d schedules, complete %v", x.Violations, x.Schedules, x.Complete)
		}
	})
}

func TestAMutexReachesItsOwnProcessOnly(t *testing.T) {
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		sel := choose(t, e, "deposit/process-mutex", "")
		for processes, violated := range map[int]bool{1: false, 2: true} {
			x, err := sel.Explore(t.Context(), server, stage.Exploration{Controlled: stage.Controlled{Processes: processes}})
			if err != nil {
				t.Fatal(err)
			}
			if got := x.Violations > 0; got != violated || !x.Complete {
				t.Errorf("%d processes: violated %v, complete %v", processes, got, x.Complete)
			}
		}
	})
}

func TestTheLedgersForeignKeyDeadlocks(t *testing.T) {
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		x, err := choose(t, e, "deposit/transaction", "").Explore(t.Context(), server, stage.Exploration{})
		if err != nil {
			t.Fatal(err)
		}
		// Only InnoDB's foreign keys take a lock that the update then wants to itself.
		if got, want := x.Deadlocked > 0, e.Name == "mysql"; got != want {
			t.Errorf("%d of %d schedules deadlock", x.Deadlocked, x.Schedules)
		}
	})
}

// The report must not depend on how many look.
func TestWorkersDoNotChangeTheReport(t *testing.T) {
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		var reports []string
		for _, workers := range []int{1, 3} {
			x, err := choose(t, e, "deposit/transaction", "").Explore(t.Context(), server, stage.Exploration{Workers: workers})
			if err != nil {
				t.Fatal(err)
			}
			reports = append(reports, fmt.Sprint(x.Complete, x.Schedules, x.Violations, x.FirstFound, x.Schedule, x.Outcomes, x.Conflicts))
		}
		if diff := cmp.Diff(reports[0], reports[1]); diff != "" {
			t.Errorf("with 1 and 3 workers (-1 +3):\n%s", diff)
		}
	})
}

// Random schedules twice each: the histories have to be the same to the byte.
func TestTheSameScheduleGivesTheSameHistory(t *testing.T) {
	schedules := 1000 // of an engine
	if testing.Short() {
		schedules = 40
	}
	strategies := map[string]stage.Controlled{
		"transaction": {}, "atomic-update": {}, "serializable-retry": {},
		"for-update": {Sessions: 3}, "immediate": {Sessions: 3}, // where the engine has them
	}
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		deposit, _ := scenario.Named("deposit")
		var names []string
		for name := range strategies {
			if st, _ := deposit.Strategy(name); deposit.Because(st, e, "") == "" {
				names = append(names, name)
			}
		}
		for _, name := range names {
			t.Run(name, func(t *testing.T) {
				cell, err := choose(t, e, "deposit/"+name, "").NewCell(t.Context(), server, strategies[name])
				if err != nil {
					t.Fatal(err)
				}
				defer cell.Close()
				for i := range schedules / len(names) {
					random := rand.New(rand.NewPCG(1, uint64(i)))
					h, err := cell.Run(t.Context(), explore.Plan{Then: func(ready []racelab.Choice) racelab.Choice {
						return ready[random.IntN(len(ready))]
					}})
					if err != nil {
						t.Fatal(err)
					}
					runAgain(t, cell, h)
				}
			})
		}
	})
}

// runAgain runs the schedule that a history followed, which has to give the
// same history.
func runAgain(t *testing.T, cell *stage.Cell, h racelab.History) {
	t.Helper()
	schedule := explore.ScheduleOf(h)
	again, err := cell.Run(t.Context(), explore.Plan{Schedule: schedule})
	if err != nil {
		t.Fatalf("%s: %v", schedule, err)
	}
	first, second := text(t, h.Events), text(t, again.Events)
	if first != second {
		t.Fatalf("%s gave\n%s\nand then\n%s", schedule, first, second)
	}
}

func text(t *testing.T, events []racelab.Event) string {
	t.Helper()
	b, err := json.Marshal(events)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
