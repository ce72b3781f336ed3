package stage_test

import (
	"testing"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/stage"
)

// BenchmarkReduced is the time of one schedule of a reduced exploration, beside
// that of the same schedules run alone.
func BenchmarkReduced(b *testing.B) {
	s := threeByFour("SELECT n FROM item WHERE id = ?", 1, 1, 1)
	for _, e := range dsn.SQL {
		b.Run(e.Name, func(b *testing.B) {
			enginetest.Require(b, e)
			server, err := e.Start(b.Context(), "")
			if err != nil {
				b.Fatal(err)
			}
			defer server.Close()
			sel, err := stage.Select(s, &s.Strategies[0], e, "")
			if err != nil {
				b.Fatal(err)
			}
			cell, err := sel.NewCell(b.Context(), server, stage.Controlled{})
			if err != nil {
				b.Fatal(err)
			}
			defer cell.Close()
			ran := 0
			var reduced, alone time.Duration
			for b.Loop() {
				search := sel.Search([]*stage.Cell{cell})
				search.Judge.InvariantsOnly = true
				search.Relation = cell.Relation()
				var schedules []racelab.Schedule
				search.Judged = func(h racelab.History) { schedules = append(schedules, explore.ScheduleOf(h)) }
				began := time.Now()
				if _, err := search.Run(b.Context()); err != nil {
					b.Fatal(err)
				}
				reduced += time.Since(began)
				began = time.Now()
				for _, schedule := range schedules {
					if _, err := cell.Run(b.Context(), explore.Plan{Schedule: schedule}); err != nil {
						b.Fatal(err)
					}
				}
				alone += time.Since(began)
				ran += len(schedules)
			}
			b.ReportMetric(float64(reduced.Microseconds())/float64(ran), "us/schedule")
			b.ReportMetric(float64(alone.Microseconds())/float64(ran), "us/schedule-alone")
			b.ReportMetric(float64(ran)/float64(b.N), "schedules")
		})
	}
}
