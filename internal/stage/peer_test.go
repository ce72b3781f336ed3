package stage_test

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/engine/postgres"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/stage"
)

// spec is two-by-four as PostgreSQL's own isolation tester reads it. Without a
// permutation it runs all 70.
const spec = `
setup { DELETE FROM item; INSERT INTO item VALUES (1, 0), (2, 0); }
session a
step a1 { BEGIN; }
step a2 { SELECT n FROM item WHERE id = 1; }
step a3 { UPDATE item SET n = 1 WHERE id = 1; }
step a4 { COMMIT; }
session b
step b1 { BEGIN; }
step b2 { SELECT n FROM item WHERE id = 2; }
step b3 { UPDATE item SET n = 1 WHERE id = 2; }
step b4 { COMMIT; }
`

// BenchmarkTwoByFour runs all 70 orders of two-by-four on one PostgreSQL, in
// turn by racelab, as bare round trips of the same statements, and by the
// isolation tester that comes with the server, and reports the ratios. An
// operation is 70 schedules.
func BenchmarkTwoByFour(b *testing.B) {
	enginetest.Require(b, postgres.Engine)
	server, err := postgres.Engine.Start(b.Context(), "")
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	sel, err := stage.Select(&twoByFour, &twoByFour.Strategies[0], postgres.Engine, "")
	if err != nil {
		b.Fatal(err)
	}
	cell, err := sel.NewCell(b.Context(), server, stage.Controlled{})
	if err != nil {
		b.Fatal(err)
	}
	defer cell.Close()
	other, err := server.Open(b.Context(), racelab.Config{Setup: twoByFour.Setup(postgres.Engine.Dialect), State: twoByFour.State})
	if err != nil {
		b.Fatal(err)
	}
	defer other.Close()

	var schedules []racelab.Schedule
	search := sel.Search([]*stage.Cell{cell})
	search.Judged = func(h racelab.History) { schedules = append(schedules, explore.ScheduleOf(h)) }
	if _, err := search.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
	bare := newBareLoop(b, other)
	tester := isolationTester()
	var ours, bares, theirs stopwatch
	for b.Loop() {
		ours.time(func() {
			for _, s := range schedules {
				if _, err := cell.Run(b.Context(), explore.Plan{Schedule: s}); err != nil {
					b.Fatal(err)
				}
			}
		})
		bares.time(func() {
			for _, s := range schedules {
				bare.run(b, other, s)
			}
		})
		if tester != "" {
			theirs.time(func() {
				cmd := exec.Command(tester, other.Address())
				cmd.Stdin = bytes.NewBufferString(spec)
				out, err := cmd.CombinedOutput()
				if n := bytes.Count(out, []byte("starting permutation")); err != nil || n != len(schedules) {
					b.Fatalf("the isolation tester ran %d permutations of %d: %v: %s", n, len(schedules), err, out)
				}
			})
		}
	}
	n := float64(len(schedules))
	b.ReportMetric(n/ours.mean(), "schedules/s")
	b.ReportMetric(bares.mean()/ours.mean(), "of-bare")
	if tester != "" {
		b.ReportMetric(theirs.mean()/ours.mean(), "x-isolationtester")
	}
}

// isolationTester finds PostgreSQL's own, "" if it is not there.
func isolationTester() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/lib/pgxs/src/test/isolation/isolationtester")
	for _, path := range found {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// A bareLoop sends the statements of a schedule on a connection for each
// session, with nothing around them.
type bareLoop struct {
	conns map[racelab.SessionID]*sql.Conn
}

func newBareLoop(b *testing.B, w racelab.World) bareLoop {
	db, err := sql.Open("pgx", w.Address())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	l := bareLoop{map[racelab.SessionID]*sql.Conn{}}
	for _, s := range []racelab.SessionID{"A", "B"} {
		c, err := db.Conn(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		l.conns[s] = c
	}
	return l
}

func (l bareLoop) run(b *testing.B, w racelab.World, schedule racelab.Schedule) {
	ctx := context.Background()
	if err := w.Reset(ctx); err != nil {
		b.Fatal(err)
	}
	for _, c := range schedule {
		conn, id := l.conns[c.Session], int(c.Session[0]-'A')+1
		var err error
		switch c.Step {
		case 1:
			_, err = conn.ExecContext(ctx, "BEGIN")
		case 2:
			var n int
			err = conn.QueryRowContext(ctx, "SELECT n FROM item WHERE id = $1", id).Scan(&n)
		case 3:
			_, err = conn.ExecContext(ctx, "UPDATE item SET n = $1 WHERE id = $2", 1, id)
		case 4:
			_, err = conn.ExecContext(ctx, "COMMIT")
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if _, err := w.State(ctx); err != nil {
		b.Fatal(err)
	}
}
