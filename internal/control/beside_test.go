package control_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/sqlite"
	"github.com/racelab/racelab/internal/control"
	"github.com/racelab/racelab/mem"
)

// Sessions that use memory and a database run beside the director, on
// goroutines of their own, and what they do in memory is the same.
func TestMemoryBesideADatabase(t *testing.T) {
	server, err := sqlite.Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	world, err := server.Open(t.Context(), racelab.Config{Setup: account})
	if err != nil {
		t.Fatal(err)
	}
	defer world.Close()
	add := func(ctx context.Context, db *sql.DB) {
		if _, err := db.ExecContext(ctx, "UPDATE account SET balance = balance + 10"); err != nil {
			t.Error(err)
		}
	}
	type shared struct {
		memory *racelab.Memory
		jobs   *mem.Chan[int]
	}
	for name, c := range map[string]struct {
		a, b     func(context.Context, *sql.DB, *shared)
		schedule string
		want     []string
	}{
		"a channel": {
			func(ctx context.Context, db *sql.DB, s *shared) { add(ctx, db); s.jobs.Send(1) },
			func(ctx context.Context, db *sql.DB, s *shared) { s.jobs.Recv(); add(ctx, db) },
			"B1 A1 A2", []string{
				"B1 receive from jobs: ok", "A1 UPDATE account SET balance = balance + 10: ok", "A2 send 1 to jobs: ok", "A.1 returned: ok",
				"B2 receive from jobs: go on: ok", "B3 UPDATE account SET balance = balance + 10: ok", "B.1 returned: ok"},
		},
		"a group and what it starts": {
			func(ctx context.Context, db *sql.DB, s *shared) {
				g := mem.NewWaitGroup(s.memory, "g")
				g.Go(func() { s.jobs.TrySend(1) })
				g.Wait()
				add(ctx, db)
			},
			func(ctx context.Context, db *sql.DB, s *shared) {},
			"A1 A2 A3", []string{
				"B.1 returned: ok", "A1 add 1 to g: ok", "A2 go with g: ok", "A3 wait for g: ok",
				"Aa1 try to send 1 to jobs: ok", "Aa2 done with g: ok", "Aa.1 returned: ok",
				"A4 wait for g: go on: ok", "A5 UPDATE account SET balance = balance + 10: ok", "A.1 returned: ok"},
		},
		"a deadlock": {
			func(ctx context.Context, db *sql.DB, s *shared) { add(ctx, db); s.jobs.Recv() },
			func(ctx context.Context, db *sql.DB, s *shared) {},
			"A1 A2", []string{
				"B.1 returned: ok", "A1 UPDATE account SET balance = balance + 10: ok", "A2 receive from jobs: ok", "A3 waits for []"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			events, err := directWith(t, sqlite.Engine, world, func(d *control.Director) bodies {
				memory := &racelab.Memory{Gate: d}
				both := &shared{memory, mem.NewChan[int](memory, "jobs", 0)}
				with := func(body func(context.Context, *sql.DB, *shared)) func(context.Context, *sql.DB) error {
					return func(ctx context.Context, db *sql.DB) error {
						defer func() { _ = recover() }() // a run that is over ends a wait by a panic
						body(ctx, db, both)
						return nil
					}
				}
				return bodies{"A": with(c.a), "B": with(c.b)}
			}, c.schedule)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, lines(events)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
