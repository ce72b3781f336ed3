package isolation_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/internal/spec"
)

// ninety is all the orders of three sessions of two steps each, on a table that
// the test makes.
func ninety(steps string) string {
	return ninetyIn("setup { CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0), (3, 0); }\nteardown { DROP TABLE t; }\n", steps)
}

// accounts are two tables, as most tests have, of which one refers to the other.
const accounts = `
	setup {
		CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL, holder text);
		CREATE TABLE ledger (id serial PRIMARY KEY, account int REFERENCES account, amount int);
		INSERT INTO account VALUES (1, 0, 'one'), (2, 0, 'two'), (3, 0, 'three');
		INSERT INTO ledger (account, amount) VALUES (1, 0);
	}
	teardown { DROP TABLE account, ledger; }
`

func ninetyIn(tables, steps string) string {
	var src strings.Builder
	src.WriteString(tables)
	for i := range 3 {
		fmt.Fprintf(&src, strings.ReplaceAll(steps, "#", "%[1]d"), i+1)
	}
	return src.String()
}

// BenchmarkBesideTheReference runs tests of ninety permutations, in turn by
// racelab and by the reference program in the same server, and one whose
// sessions do not wait also as its bare statements on a connection each. What
// is reported are the ratios, because all of them suffer alike from whatever
// else the machine does.
func BenchmarkBesideTheReference(b *testing.B) {
	program := enginetest.RequireIsolationTester(b)
	server := start(b)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // as the command does
	for _, c := range []struct {
		name   string
		blocks bool
		src    string
	}{
		// An advisory lock is given to who came first: of two who wait for a row, PostgreSQL does not say who gets it.
		{"blocks", true, ninety("session s# setup { BEGIN; } step a# { SELECT pg_advisory_xact_lock(1); UPDATE t SET n = n + 1 WHERE id = #; } step b# { COMMIT; }\n")},
		{"does not block, two tables", false, ninetyIn(accounts, "session s# setup { BEGIN; } step a# { UPDATE account SET balance = balance + 1 WHERE id = #; } step b# { INSERT INTO ledger (account, amount) VALUES (#, 1); COMMIT; }\n")},
		{"does not block", false, ninety("session s# setup { BEGIN; } step a# { UPDATE t SET n = n + 1 WHERE id = #; } step b# { SELECT n FROM t WHERE id = #; COMMIT; }\n")},
	} {
		b.Run(c.name, func(b *testing.B) {
			var our, their, bare time.Duration
			inWorld(b, server, func(w racelab.World) {
				test := repeat(parse(b, c.src), ours(b.Context(), b, c.src, w).Text, 90)
				src := test.String()
				for b.Loop() {
					their += theirs(b.Context(), b, program, src, w).took
					our += ours(b.Context(), b, src, w).took
					if !c.blocks {
						bare += bareLoop(b, test, w)
					}
				}
			})
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(their)/float64(our), "x-isolationtester")
			if c.blocks {
				return
			}
			b.ReportMetric(float64(their)/float64(bare), "x-isolationtester-bare")
		})
	}
}

// repeat names the permutations that come to an end, again and again up to n.
func repeat(s *spec.Spec, printed string, n int) *spec.Spec {
	s, _ = runnable(s, printed)
	for i := 0; len(s.Permutations) < n; i++ {
		s.Permutations = append(s.Permutations, s.Permutations[i])
	}
	return s
}

// bareLoop sends what a test says on a connection for each session, one after
// another, and looks at nothing that comes back. It gives the time for that,
// without the connections.
func bareLoop(b *testing.B, s *spec.Spec, w racelab.World) time.Duration {
	b.Helper()
	connections := make([]*pgconn.PgConn, len(s.Sessions)+1) // the last is for the test's own set-up
	for i := range connections {
		c, err := pgconn.Connect(b.Context(), w.Address())
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close(b.Context())
		connections[i] = c
	}
	run := func(i int, sql *string) {
		if sql == nil {
			return
		}
		if _, err := connections[i].Exec(b.Context(), *sql).ReadAll(); err != nil {
			b.Fatal(err)
		}
	}
	started := time.Now()
	for _, p := range s.Permutations {
		for _, sql := range s.Setups {
			run(len(s.Sessions), &sql)
		}
		for i := range s.Sessions {
			run(i, s.Sessions[i].Setup)
		}
		for _, scheduled := range p {
			step, i := s.Step(scheduled.Step)
			run(i, &step.SQL)
		}
		for i := range s.Sessions {
			run(i, s.Sessions[i].Teardown)
		}
		run(len(s.Sessions), s.Teardown)
	}
	return time.Since(started)
}
