package stage_test

import (
	"context"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/stage"
)

// twoByFour is the program that the speed is measured on: two sessions of
// BEGIN, SELECT, UPDATE, COMMIT on rows of their own, so that all 70 orders
// can be run.
var twoByFour = racelab.Scenario{
	Name: "two-by-four",
	Setup: func(racelab.Dialect) []string {
		return []string{"CREATE TABLE item (id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO item VALUES (1, 0), (2, 0), (3, 0)"}
	},
	State: []string{"item"},
	Cast:  []racelab.Role{{Name: "a", Calls: []racelab.Args{{"id": int64(1)}}}, {Name: "a", Calls: []racelab.Args{{"id": int64(2)}}}},
	Strategies: []racelab.Strategy{{Name: "transaction", Body: map[string]racelab.Body{"a": func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
		tx, err := env.DB.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		defer tx.Rollback()
		var n int64
		if err := tx.QueryRowContext(ctx, "SELECT n FROM item WHERE id = ?", env.Args.Int("id")).Scan(&n); err != nil {
			return nil, err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE item SET n = ? WHERE id = ?", n+1, env.Args.Int("id")); err != nil {
			return nil, err
		}
		return nil, tx.Commit()
	}}}},
}

// BenchmarkSchedule is the time of one schedule of two-by-four, for profiles:
// BenchmarkTwoByFour is the one that compares.
func BenchmarkSchedule(b *testing.B) {
	for _, e := range dsn.SQL {
		b.Run(e.Name, func(b *testing.B) {
			_, cells, schedules := openCells(b, e, &twoByFour, 1)
			next := 0
			for b.Loop() {
				if _, err := cells[0].Run(b.Context(), explore.Plan{Schedule: schedules[next]}); err != nil {
					b.Fatal(err)
				}
				next = (next + 1) % len(schedules)
			}
		})
	}
}

// openCells opens cells and finds the schedules there are, up to 100: all of
// two sessions.
func openCells(b *testing.B, e racelab.Engine, s *racelab.Scenario, workers int) (racelab.Server, []*stage.Cell, []racelab.Schedule) {
	enginetest.Require(b, e)
	server, err := e.Start(b.Context(), "")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { server.Close() })
	sel, err := stage.Select(s, &s.Strategies[0], e, "")
	if err != nil {
		b.Fatal(err)
	}
	var cells []*stage.Cell
	for range workers {
		c, err := sel.NewCell(b.Context(), server, stage.Controlled{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		cells = append(cells, c)
	}
	var schedules []racelab.Schedule
	search := openSearch(b, s, cells[:1])
	search.Budget = 100
	search.Judged = func(h racelab.History) { schedules = append(schedules, explore.ScheduleOf(h)) }
	if _, err := search.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
	return server, cells, schedules
}

func openSearch(b *testing.B, s *racelab.Scenario, cells []*stage.Cell) *explore.Search {
	return stage.Selection{Scenario: s, Strategy: &s.Strategies[0]}.Search(cells)
}
