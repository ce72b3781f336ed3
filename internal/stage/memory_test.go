package stage_test

import (
	"context"
	"os"
	"runtime"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/sqlite"
	"github.com/racelab/racelab/internal/stage"
)

// sixReads is one of three sessions that have 18! / (6!)^3 = 17 million
// schedules.
func sixReads(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	var n int64
	for range 6 {
		if err := env.DB.QueryRowContext(ctx, "SELECT n FROM item WHERE id = 1").Scan(&n); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// What an exploration keeps does not grow with the schedules it has run.
func TestMemoryStaysFlatOverAMillionSchedules(t *testing.T) {
	early, late := 1_000, 3_000
	switch {
	case os.Getenv("RACELAB_SOAK") != "":
		early, late = 100_000, 1_000_000
	case testing.Short():
		t.Skip("skipped, because of -short: it runs 3,000 schedules")
	}
	server, err := sqlite.Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	live := map[int]uint64{}
	x, err := selected(t, sqlite.Engine, "", sixReads, sixReads, sixReads).Explore(t.Context(), server, stage.Exploration{
		Budget: late, Workers: 2,
		Tell: func(run, known int) {
			for _, at := range []int{early, late} {
				if run >= at && live[at] == 0 {
					runtime.GC()
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					live[at] = m.HeapAlloc
					t.Logf("after %d schedules, with %d known, %d KiB are live", run, known, m.HeapAlloc>>10)
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if x.Schedules != late || x.Complete || x.Violations > 0 {
		t.Errorf("%d schedules, complete %v, %d violations", x.Schedules, x.Complete, x.Violations)
	}
	// The items that wait grow with the depth of the search, not with its width.
	if allowed := live[early]*3/2 + 4<<20; live[late] == 0 || live[late] > allowed {
		t.Errorf("%d bytes are live after %d schedules, and were %d after %d", live[late], late, live[early], early)
	}
}
