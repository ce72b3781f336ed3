package stage_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/engine/postgres"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/stage"
)

// BenchmarkTwoByFour runs all orders of two-by-four on each engine, in turn by
// racelab and as the bare statements of the same schedules, with one worker
// and with two, and on PostgreSQL by the isolation tester that comes with the
// server. What is reported are the ratios, because all of them suffer alike
// from whatever else the machine does; an operation is all the schedules.
func BenchmarkTwoByFour(b *testing.B) {
	for _, e := range dsn.SQL {
		b.Run(e.Name, func(b *testing.B) {
			server, cells, schedules := openCells(b, e, &twoByFour, 2)
			var ours, bares []runner
			var worlds []racelab.World
			for _, cell := range cells {
				ours = append(ours, cellRunner(b, cell))
				w, err := server.Open(b.Context(), racelab.Config{Setup: twoByFour.Setup(e.Dialect), State: twoByFour.State})
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { w.Close() })
				worlds = append(worlds, w)
				bares = append(bares, newBareLoop(b, e, w).run)
			}
			tester := ""
			if e.Name == postgres.Engine.Name {
				tester = enginetest.IsolationTester()
			}
			var our1, our2, bare1, bare2, theirs stopwatch
			for b.Loop() {
				our1.time(func() { runAll(b, schedules, ours[:1]) })
				bare1.time(func() { runAll(b, schedules, bares[:1]) })
				our2.time(func() { runAll(b, schedules, ours) })
				bare2.time(func() { runAll(b, schedules, bares) })
				if tester != "" {
					theirs.time(func() { runTester(b, tester, worlds[0].Address(), []int{1, 2}, schedules) })
				}
			}
			b.ReportMetric(0, "ns/op")
			n := float64(len(schedules))
			b.ReportMetric(n/our1.mean(), "schedules/s")
			b.ReportMetric(n/our2.mean(), "schedules/s-2workers")
			b.ReportMetric(bare1.mean()/our1.mean(), "of-bare")
			b.ReportMetric(bare2.mean()/our2.mean(), "of-bare-2workers")
			if tester != "" {
				b.ReportMetric(theirs.mean()/our1.mean(), "x-isolationtester")
				b.ReportMetric(theirs.mean()/our2.mean(), "x-isolationtester-2workers")
			}
		})
	}
}

// A runner runs one schedule, from the world's beginning to its final state.
type runner func(racelab.Schedule) error

func cellRunner(b *testing.B, c *stage.Cell) runner {
	return func(s racelab.Schedule) error {
		_, err := c.Run(b.Context(), explore.Plan{Schedule: s})
		return err
	}
}

// runAll deals the schedules out to runners that work in parallel.
func runAll(b *testing.B, schedules []racelab.Schedule, runners []runner) {
	errs := make([]error, len(runners))
	var all sync.WaitGroup
	for i, run := range runners {
		all.Go(func() {
			for n := i; n < len(schedules) && errs[i] == nil; n += len(runners) {
				errs[i] = run(schedules[n])
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
}

// A bareLoop sends the statements of a schedule on a connection for each
// session, with nothing around them but what every run needs: a reset and the
// final state.
type bareLoop struct {
	engine racelab.Engine
	world  racelab.World
	conns  map[racelab.SessionID]*sql.Conn
}

// plain turns a world's address into what the engine's plain driver is called
// and takes.
var plain = map[string]func(address string) (driver, dsn string){
	"postgres": func(address string) (string, string) { return "pgx", address },
	"mysql": func(address string) (string, string) {
		u, _ := url.Parse(address) // our own
		return "mysql", fmt.Sprintf("%s@unix(%s)%s?interpolateParams=true", u.User, u.Query().Get("socket"), u.Path)
	},
	"sqlite": func(address string) (string, string) {
		return "sqlite", "file:" + strings.TrimPrefix(address, "sqlite:") + "?_pragma=synchronous(off)"
	},
}

func newBareLoop(b *testing.B, e racelab.Engine, w racelab.World) bareLoop {
	db, err := sql.Open(plain[e.Name](w.Address()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	l := bareLoop{e, w, map[racelab.SessionID]*sql.Conn{}}
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

func (l bareLoop) run(schedule racelab.Schedule) error {
	ctx := context.Background()
	if err := l.world.Reset(ctx); err != nil {
		return err
	}
	end := map[racelab.SessionID]string{"A": "COMMIT", "B": "COMMIT"}
	for _, c := range schedule {
		conn, id := l.conns[c.Session], int(c.Session[0]-'A')+1
		var err error
		switch c.Step {
		case 1:
			_, err = conn.ExecContext(ctx, "BEGIN")
		case 2:
			var n int
			err = conn.QueryRowContext(ctx, l.engine.Dialect.Rebind("SELECT n FROM item WHERE id = ?"), id).Scan(&n)
		case 3:
			_, err = conn.ExecContext(ctx, l.engine.Dialect.Rebind("UPDATE item SET n = ? WHERE id = ?"), 1, id)
			switch l.engine.Dialect.Classify(err) {
			case racelab.Busy, racelab.SerializationFailure: // there is one writer: the session gives up
				end[c.Session], err = "ROLLBACK", nil
			}
		case 4:
			_, err = conn.ExecContext(ctx, end[c.Session])
		}
		if err != nil {
			return fmt.Errorf("%v in %v: %w", c, schedule, err)
		}
	}
	_, err := l.world.State(ctx)
	return err
}

// BenchmarkSameRow is BenchmarkTwoByFour with both sessions on one row, where
// they wait for each other, so that only 50 orders are possible. The isolation
// tester has to be told which: in each of the other 20 it waits for its
// timeout, which is six minutes.
func BenchmarkSameRow(b *testing.B) {
	tester := enginetest.RequireIsolationTester(b)
	sameRow := twoByFour
	sameRow.Cast = []racelab.Role{twoByFour.Cast[0], twoByFour.Cast[0]}
	server, cells, schedules := openCells(b, postgres.Engine, &sameRow, 1)
	w, err := server.Open(b.Context(), racelab.Config{Setup: sameRow.Setup(postgres.Engine.Dialect)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { w.Close() })
	var ours, theirs stopwatch
	for b.Loop() {
		ours.time(func() { runAll(b, schedules, []runner{cellRunner(b, cells[0])}) })
		theirs.time(func() { runTester(b, tester, w.Address(), []int{1, 1}, schedules) })
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(len(schedules))/ours.mean(), "schedules/s")
	b.ReportMetric(theirs.mean()/ours.mean(), "x-isolationtester")
}

// spec is a session for each row, of BEGIN, SELECT, UPDATE, COMMIT, as
// PostgreSQL's own isolation tester reads it. Unlike the others the tester does
// not read the final state, and unlike many specs this one makes no tables,
// which would take most of the time.
func spec(rows []int) string {
	text := "setup { DELETE FROM item; INSERT INTO item VALUES (1, 0), (2, 0), (3, 0); }\n"
	for i, row := range rows {
		text += strings.NewReplacer("SESSION", string(rune('a'+i)), "ROW", strconv.Itoa(row)).Replace(`
session SESSION
step SESSION1 { BEGIN; }
step SESSION2 { SELECT n FROM item WHERE id = ROW; }
step SESSION3 { UPDATE item SET n = 1 WHERE id = ROW; }
step SESSION4 { COMMIT; }
`)
	}
	return text
}

// BenchmarkDecide is the time to decide, on a server that runs, beside that of
// the isolation tester over all permutations that it can run. Our time has the
// opening of a database in it, and again without (warm). Of the 34,650 orders
// of three sessions the tester runs every 35th, and its time is multiplied.
func BenchmarkDecide(b *testing.B) {
	tester := enginetest.RequireIsolationTester(b)
	for _, c := range []struct {
		name  string
		rows  []int
		every int
	}{{"two-by-four", []int{1, 2}, 1}, {"two-by-four on one row", []int{1, 1}, 1}, {"three-by-four", []int{1, 2, 3}, 35}} {
		b.Run(c.name, func(b *testing.B) {
			program := twoByFour
			program.Cast = nil
			for _, row := range c.rows {
				program.Cast = append(program.Cast, racelab.Role{Name: "a", Calls: []racelab.Args{{"id": int64(row)}}})
			}
			server, cells, schedules := openCells(b, postgres.Engine, &program, 1)
			sel, err := stage.Select(&program, &program.Strategies[0], postgres.Engine, "")
			if err != nil {
				b.Fatal(err)
			}
			w, err := server.Open(b.Context(), racelab.Config{Setup: program.Setup(postgres.Engine.Dialect)})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { w.Close() })
			if len(c.rows) == 3 {
				schedules = nil
				for i, s := range orders([]int{4, 4, 4}) {
					if i%c.every == 0 {
						schedules = append(schedules, s)
					}
				}
			}
			var cold, warm, theirs stopwatch
			runs := 0
			for b.Loop() {
				cold.time(func() {
					x, err := sel.Explore(b.Context(), server, stage.Exploration{Reduced: true})
					if err != nil || !x.Complete {
						b.Fatalf("complete %v: %v", x.Complete, err)
					}
					runs = x.Schedules
				})
				warm.time(func() {
					search := sel.Search(cells)
					search.Relation = cells[0].Relation()
					if r, err := search.Run(b.Context()); err != nil || !r.Complete {
						b.Fatal(err)
					}
				})
				theirs.time(func() { runTester(b, tester, w.Address(), c.rows, schedules) })
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(runs), "schedules")
			b.ReportMetric(float64(c.every)*theirs.mean()/cold.mean(), "x-isolationtester")
			b.ReportMetric(float64(c.every)*theirs.mean()/warm.mean(), "x-isolationtester-warm")
		})
	}
}

// orders lists the ways to put sessions of so many steps together.
func orders(steps []int) []racelab.Schedule {
	var all []racelab.Schedule
	var extend func(s racelab.Schedule, done []int)
	extend = func(s racelab.Schedule, done []int) {
		end := true
		for i, n := range steps {
			if done[i] < n {
				end = false
				more := slices.Clone(done)
				more[i]++
				extend(append(slices.Clip(s), racelab.Choice{Session: racelab.Letter(i), Step: more[i]}), more)
			}
		}
		if end {
			all = append(all, s)
		}
	}
	extend(nil, make([]int, len(steps)))
	return all
}

func runTester(b *testing.B, tester, address string, rows []int, schedules []racelab.Schedule) {
	text := spec(rows)
	for _, s := range schedules {
		text += "permutation " + strings.ToLower(s.String()) + "\n"
	}
	cmd := exec.Command(tester, address)
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	if n := bytes.Count(out, []byte("starting permutation")); err != nil || n != len(schedules) {
		b.Fatalf("the isolation tester ran %d permutations of %d: %v: %s", n, len(schedules), err, out)
	}
}
