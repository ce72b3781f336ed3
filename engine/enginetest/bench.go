package enginetest

import (
	"slices"
	"testing"
	"time"

	"github.com/racelab/racelab"
)

// BenchmarkReset measures a reset after a run that changed, added and removed
// rows. The median is reported beside the mean.
func BenchmarkReset(b *testing.B, e racelab.Engine, dsn string) {
	w, c := benchWorld(b, e, dsn)
	measure(b, func() {
		b.StopTimer()
		c[0].exec(b, addOne, "INSERT INTO entry (account_id, amount) VALUES (1, 1)", "DELETE FROM entry WHERE account_id = 2")
		b.StartTimer()
	}, func() {
		if err := w.Reset(b.Context()); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkBlocked measures the question who of two idle sessions waits.
func BenchmarkBlocked(b *testing.B, e racelab.Engine, dsn string) {
	w, c := benchWorld(b, e, dsn)
	ids := connIDs(c)
	measure(b, func() {}, func() {
		if _, err := w.Blocked(b.Context(), ids); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkState measures reading three tables.
func BenchmarkState(b *testing.B, e racelab.Engine, dsn string) {
	w, _ := benchWorld(b, e, dsn)
	measure(b, func() {}, func() {
		if _, err := w.State(b.Context()); err != nil {
			b.Fatal(err)
		}
	})
}

func benchWorld(b *testing.B, e racelab.Engine, dsn string) (racelab.World, []*session) {
	b.Helper()
	requireProduct(b, e, dsn)
	ownTemp(b)
	server, err := e.Start(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { server.Close() })
	w := open(b, server, racelab.Config{Setup: schema(e.Dialect), State: schemaTables})
	return w, []*session{connect(b, w, e.Dialect), connect(b, w, e.Dialect)}
}

func measure(b *testing.B, before, step func()) {
	b.Helper()
	var took []time.Duration
	for b.Loop() {
		before()
		start := time.Now()
		step()
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "median-µs")
}
