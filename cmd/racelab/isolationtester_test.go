package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/engine/mysql"
	"github.com/racelab/racelab/engine/postgres"
	"github.com/racelab/racelab/engine/sqlite"
)

func TestPGISOLATIONTIMEOUTIsReadAsCReadsIt(t *testing.T) {
	for s, want := range map[string]time.Duration{"": 0, "5": 5 * time.Second, " +7s": 7 * time.Second, "0": 1, "-3": 1, "soon": 1, "1.9": time.Second} {
		if got := isolationTimeout(s); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}

// Package isolation compares with PostgreSQL's own program; this is what the
// command adds: streams and exit codes.
func TestASpecFileIsRunAsPostgreSQLDoes(t *testing.T) {
	enginetest.Require(t, postgres.Engine)
	tests := []struct {
		name, src, stdout, stderr string
		code                      int
	}{
		{"a step that waits", `
setup { CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0); }
teardown { DROP TABLE t; }
session s1 setup { BEGIN; } step w1 { UPDATE t SET n = 1; } step c1 { COMMIT; }
session s2 step w2 { UPDATE t SET n = n + 10 RETURNING n; } step never { SELECT 1; }
permutation w1 w2 c1
`, `Parsed test spec with 2 sessions

starting permutation: w1 w2 c1
step w1: UPDATE t SET n = 1;
step w2: UPDATE t SET n = n + 10 RETURNING n; <waiting ...>
step c1: COMMIT;
step w2: <... completed>
 n
--
11
(1 row)

`, "unused step name: never\n", exitOK},
		{"a permutation that cannot go on", `
session s1 step a1 { SELECT FROM pg_advisory_lock(1) } step b1 { SELECT FROM pg_advisory_unlock(1) }
session s2 step a2 { SELECT FROM pg_advisory_lock(1) } step b2 { SELECT FROM pg_advisory_unlock(1) }
permutation a1 a2 b2 b1
permutation a1 b1
`, `Parsed test spec with 2 sessions

starting permutation: a1 a2 b2 b1
step a1: SELECT FROM pg_advisory_lock(1)
step a2: SELECT FROM pg_advisory_lock(1) <waiting ...>
racelab: step b2 cannot run: its session s2 is still in step a2, and nobody is left who could end its wait

starting permutation: a1 b1
step a1: SELECT FROM pg_advisory_lock(1)
step b1: SELECT FROM pg_advisory_unlock(1)
`, "", exitViolated},
		{"a set-up that fails", "setup { SELECT * FROM nowhere } session s step a { SELECT 1 }",
			"Parsed test spec with 1 sessions\n\nstarting permutation: a\n",
			"setup failed: ERROR:  relation \"nowhere\" does not exist\nLINE 1: SELECT * FROM nowhere\n                      ^\n", exitViolated},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "test.spec")
			if err := os.WriteFile(file, []byte(test.src), 0o600); err != nil {
				t.Fatal(err)
			}
			code, stdout, stderr := command(t, "explore", file, "--format", "isolationtester")
			type result struct {
				Stdout, Stderr string
				Code           int
			}
			got := result{stdout, stderr, code}
			if diff := cmp.Diff(result{test.stdout, test.stderr, test.code}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What a server refuses is told in its own words, and its session goes on.
func TestAnotherEnginesErrorIsNoLostConnection(t *testing.T) {
	const table = "setup { CREATE TABLE t (id int PRIMARY KEY, n int); }\nsetup { INSERT INTO t VALUES (1, 0), (2, 0); }\n"
	file := filepath.Join(t.TempDir(), "test.spec")
	for _, test := range []struct {
		engine    racelab.Engine
		src, says string
	}{
		{mysql.Engine, table + `
session s1 setup { BEGIN; } step a1 { UPDATE t SET n = 1 WHERE id = 1; } step b1 { UPDATE t SET n = 1 WHERE id = 2; } step c1 { COMMIT; }
session s2 setup { BEGIN; } step a2 { UPDATE t SET n = 2 WHERE id = 2; } step b2 { UPDATE t SET n = 2 WHERE id = 1; } step c2 { COMMIT; }
permutation a1 a2 b1 b2 c1 c2`, "ERROR:  Deadlock found when trying to get lock; try restarting transaction\n"},
		{sqlite.Engine, table + "session s step a { INSERT INTO t VALUES (1, 1); } step b { SELECT n FROM t WHERE id = 1; }\npermutation a b",
			"ERROR:  constraint failed: UNIQUE constraint failed: t.id (1555)\nstep b: "},
	} {
		t.Run(test.engine.Name, func(t *testing.T) {
			enginetest.Require(t, test.engine)
			if err := os.WriteFile(file, []byte(test.src), 0o600); err != nil {
				t.Fatal(err)
			}
			code, out, said := command(t, "explore", file, "--format", "isolationtester", "--engine", test.engine.Name)
			if code != exitOK || !strings.Contains(out, test.says) || strings.Contains(out+said, "connection") {
				t.Errorf("it exits with %d, and is to say %q:\n%s%s", code, test.says, out, said)
			}
		})
	}
}
