package stage_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
)

// found says what a cell came to, such that a wrong expectation can be
// understood without computing it again.
func found(c stage.MatrixCell) string {
	var b strings.Builder
	fmt.Fprintf(&b, "it is %s %s: %s\n%d schedules, complete %v, %d violate, aborts %v\n",
		c.Result, c.Anomaly, c.Because, c.Schedules, c.Complete, c.Violations, c.Classes)
	for _, o := range c.Outcomes {
		fmt.Fprintf(&b, "%+v\n", o)
	}
	if c.Witness != nil {
		a, _ := c.Explain()
		fmt.Fprintf(&b, "racelab run %s --engine %s --level '%s' --schedule '%s'\n%s\n",
			c.Selection.Name(), c.Engine.Name, c.Level, c.Schedule, a.Prose)
	}
	return b.String()
}

// What is declared is put to the test, and nothing is left undeclared. Verdicts
// are compared, and no numbers: those differ between versions of an engine.
func TestWhatIsDeclaredIsWhatIsComputed(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped, because of -short: it explores every strategy at every level")
	}
	onAll(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		m := stage.Matrix{
			Rows: rowsOf(scenario.All...), Stands: []stage.Stand{{Engine: e, Server: server}},
			Each: stage.Exploration{Reduced: true, Time: 2 * time.Minute}, Workers: 2,
		}
		cells, err := m.Compute(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cells {
			switch {
			case !c.Declared:
				t.Errorf("%s, %s: nothing is declared: say in Expect what it is to be\n%s", c.Selection.Name(), c.Level, found(c))
			case !c.Agrees():
				t.Errorf("%s, %s: %s %s is declared\n%s", c.Selection.Name(), c.Level, c.Expected.Result, c.Expected.Anomaly, found(c))
			case c.Result != racelab.CellNotAvailable && !c.Complete:
				t.Errorf("%s, %s: not searched to the end\n%s", c.Selection.Name(), c.Level, found(c))
			}
		}
	})
}

// An expectation that no engine and level asks for says nothing.
func TestEveryExpectationIsOfACell(t *testing.T) {
	for _, s := range scenario.All {
		for i := range s.Strategies {
			st := &s.Strategies[i]
			used := make([]bool, len(st.Expect))
			for _, e := range dsn.Engines {
				for _, level := range e.Dialect.Levels {
					if s.Because(st, e, level) != "" {
						continue
					}
					n := slices.IndexFunc(st.Expect, func(x racelab.Expect) bool {
						return (x.Engine == "" || x.Engine == e.Name) && (x.Level == "" || x.Level == level)
					})
					if n >= 0 {
						used[n] = true
					}
				}
			}
			for n, is := range used {
				if !is {
					t.Errorf("%s/%s: nothing comes to %+v", s.Name, st.Name, st.Expect[n])
				}
			}
		}
	}
}

// explored explores an exhibit to the end.
func explored(t *testing.T, e racelab.Engine, server racelab.Server, name string, how stage.Controlled) stage.Explored {
	t.Helper()
	x, err := choose(t, e, name, "").Explore(t.Context(), server, stage.Exploration{Reduced: true, Controlled: how})
	if err != nil {
		t.Fatal(err)
	}
	if !x.Complete {
		t.Errorf("%s: not complete after %d schedules", name, x.Schedules)
	}
	return x
}

// The foreign key's deadlock is MariaDB's, and whoever locks the account first
// has none.
func TestLockingTheAccountFirstEndsTheDeadlock(t *testing.T) {
	onEnginesThat(t, hasRowLocks, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		for name, want := range map[string]bool{
			"ledger-first": isMySQL(e), "account-first": false, "lock-account-first": false, "ledger-first-retry": false,
		} {
			x := explored(t, e, server, "ledger-deadlock/"+name, stage.Controlled{})
			if got := x.Deadlocked > 0; got != want || x.Violations > 0 {
				t.Errorf("%s: deadlocks %v, want %v; %d violations", name, got, want, x.Violations)
			}
		}
	})
}

// The talk's bank: 300 in the beginning, and 290 after it.
func TestTheTalksBalancesAreTheWitness(t *testing.T) {
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		for _, sessions := range []int{0, 4} {
			sel := choose(t, e, "transfer/read-modify-write", "")
			x, err := sel.Explore(t.Context(), server, stage.Exploration{Reduced: true, Budget: 200, Controlled: stage.Controlled{Sessions: sessions}})
			if err != nil {
				t.Fatal(err)
			}
			if x.Witness == nil {
				t.Fatalf("%d sessions: no violation", sessions)
			}
			balances, ok := x.Witness.History.Final.Table("account")
			if !ok {
				t.Fatal("no accounts")
			}
			var got []int64
			for i := range balances.Rows {
				n, err := balances.Int(i, "balance")
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, n)
			}
			if !slices.Equal(got, []int64{90, 90, 110}) {
				t.Errorf("%d sessions: %s leaves %v", sessions, x.Schedule, got)
			}
		}
	})
}

// Opposite transfers deadlock if each locks the payer first: one is made, the
// other one is not, and no money is lost. In the order of the ids none waits
// for a lock while it holds what the other one wants.
func TestOppositeTransfersDeadlockInTheOrderOfTheCall(t *testing.T) {
	onEnginesThat(t, hasRowLocks, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		opposite := stage.Controlled{Sessions: 4, Only: []racelab.SessionID{"C", "D"}}
		for name, want := range map[string]bool{"for-update-call-order": true, "for-update": false, "atomic-update": false} {
			x := explored(t, e, server, "transfer/"+name, opposite)
			if got := x.Deadlocked > 0; got != want || x.Violations > 0 {
				t.Errorf("%s: deadlocks %v, want %v; %d violations", name, got, want, x.Violations)
			}
		}
	})
}

// The talk's lock is one of its process.
func TestTwoProcessesHaveTwoMutexes(t *testing.T) {
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		for _, name := range []string{"deposit/process-mutex", "transfer/process-mutex"} {
			for processes, want := range map[int]bool{1: false, 2: true} {
				x := explored(t, e, server, name, stage.Controlled{Processes: processes})
				if got := x.Violations > 0; got != want {
					t.Errorf("%s in %d processes: violated %v, want %v", name, processes, got, want)
				}
			}
		}
	})
}

// Who writes the other table of a locked join waits, and with OF does not.
func TestWhoRenamesTheCategoryWaits(t *testing.T) {
	onEnginesThat(t, hasRowLocks, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		for name, want := range map[string]bool{"join": true, "of": false} {
			s, st, err := stage.Find(scenario.All, "stock/"+name)
			if err != nil {
				t.Fatal(err)
			}
			if s.Because(st, e, "") != "" {
				continue
			}
			sel, err := stage.Select(s, st, e, "")
			if err != nil {
				t.Fatal(err)
			}
			schedule, err := racelab.ParseSchedule("A1 A2 B1")
			if err != nil {
				t.Fatal(err)
			}
			x, err := sel.Replay(t.Context(), server, stage.Exploration{}, schedule)
			if err != nil {
				t.Fatal(err)
			}
			waits := slices.ContainsFunc(x.Witness.History.Events, func(e racelab.Event) bool {
				return e.Kind == racelab.Waiting && e.Op.Session == "B"
			})
			if waits != want || x.Judgement.Violated {
				t.Errorf("%s: waits %v, want %v; %s", name, waits, want, x.Judgement.Why)
			}
		}
	})
}

// It fails only when it has waited for as long as it may.
func TestARenameFailsOnlyAtItsTimeout(t *testing.T) {
	onEnginesThat(t, hasRowLocks, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		for name, want := range map[string]int{"join": 0, "join-timeout": 1} {
			sel := choose(t, e, "stock/"+name, "")
			sel.Strategy = afterTheLock(*sel.Strategy)
			window := stage.Span{Min: 3 * time.Second, Max: 3 * time.Second}
			r, err := sel.RunFree(t.Context(), server, stage.Free{Runs: 1, Window: window, Timeout: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Failed[racelab.LockTimeout]; got != want || r.OK != 2-want {
				t.Errorf("%s: %d timed out, want %d; %d done, %v", name, got, want, r.OK, r.Failed)
			}
		}
	})
}

// afterTheLock is a strategy of the stock whose other session begins when the
// customer's window does.
func afterTheLock(st racelab.Strategy) *racelab.Strategy {
	locked := make(chan struct{})
	customer, other := st.Body["customer"], st.Body["other"]
	st.Body = map[string]racelab.Body{
		"customer": func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
			window := env.Window
			env.Window = func(ctx context.Context) error {
				close(locked)
				return window(ctx)
			}
			return customer(ctx, env)
		},
		"other": func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
			select {
			case <-locked:
				return other(ctx, env)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	}
	return &st
}
