package isolation_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/internal/isolation"
	"github.com/racelab/racelab/internal/spec"
)

// A part of a server's message that says where in the text something is wrong
// is cut to fit, in ways that depend on what is before and behind.
func TestPlacesAreShownAsTheReferenceProgramShowsThem(t *testing.T) {
	program := enginetest.RequireIsolationTester(t)
	server := start(t)
	var src strings.Builder
	for _, before := range []int{0, 1, 30, 49, 50, 51, 59, 60, 61, 80} {
		for _, behind := range []int{0, 1, 3, 9, 10, 11, 60} {
			fmt.Fprintf(&src, "session s%d_%d step a%[1]d_%[2]d { } teardown {\n%sSELECT%s\t nowhere%s\n;}\n", before, behind,
				strings.Repeat("\n", before%3), strings.Repeat(" ", before), strings.Repeat(" ", behind))
		}
	}
	src.WriteString("session s step a { } teardown { DO $$BEGIN\nEXECUTE 'SELECT ''é'',\nnowhere'; END$$; }\npermutation a\n")
	var want, got output
	inWorld(t, server, func(w racelab.World) { want = theirs(t.Context(), t, program, src.String(), w) })
	inWorld(t, server, func(w racelab.World) { got = ours(t.Context(), t, src.String(), w) })
	if diff := cmp.Diff(want, got, ignoreTime); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The reference program waits for minutes here, and then gives the test up.
func TestWhatCanNeverGoOnEndsAtOnce(t *testing.T) {
	server := start(t)
	const table = "setup { CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0); }\nteardown { DROP TABLE t; }\n"
	tests := []struct{ name, src, want string }{
		{"a step of a session that waits", table + `
session s1 setup { BEGIN; } step a1 { UPDATE t SET n = 1 WHERE id = 1; } step c1 { COMMIT; }
session s2 setup { BEGIN; } step a2 { UPDATE t SET n = 2 WHERE id = 1; } step c2 { COMMIT; } teardown { SELECT 'torn down' AS s2; }
permutation a1 a2 c2 c1
permutation a1 c1 a2 c2
`, `Parsed test spec with 2 sessions

starting permutation: a1 a2 c2 c1
step a1: UPDATE t SET n = 1 WHERE id = 1;
step a2: UPDATE t SET n = 2 WHERE id = 1; <waiting ...>
racelab: step c2 cannot run: its session s2 is still in step a2, and nobody is left who could end its wait
s2       
---------
torn down
(1 row)


starting permutation: a1 c1 a2 c2
step a1: UPDATE t SET n = 1 WHERE id = 1;
step c1: COMMIT;
step a2: UPDATE t SET n = 2 WHERE id = 1;
step c2: COMMIT;
s2       
---------
torn down
(1 row)

`},
		{"a step that waits at the end, for one that waits too", table + `
session s1 setup { BEGIN; } step a1 { UPDATE t SET n = 1 WHERE id = 1; }
session s2 setup { BEGIN; } step a2 { UPDATE t SET n = 2; }
session s3 step a3 { UPDATE t SET n = 3 WHERE id = 1; }
permutation a1 a2 a3
`, `Parsed test spec with 3 sessions

starting permutation: a1 a2 a3
step a1: UPDATE t SET n = 1 WHERE id = 1;
step a2: UPDATE t SET n = 2; <waiting ...>
step a3: UPDATE t SET n = 3 WHERE id = 1; <waiting ...>
racelab: step a2 cannot complete: nobody is left who could end its wait
`},
		{"a step that waits, for a session without the timeout that another has", table + `
session s1 setup { BEGIN; } step a1 { UPDATE t SET n = 1 WHERE id = 1; }
session s2 step a2 { UPDATE t SET n = 2 WHERE id = 1; } step b2 { SELECT; }
session s3 step a3 { SET lock_timeout = 100; }
permutation a1 a3 a2 b2
`, `Parsed test spec with 3 sessions

starting permutation: a1 a3 a2 b2
step a1: UPDATE t SET n = 1 WHERE id = 1;
step a3: SET lock_timeout = 100;
step a2: UPDATE t SET n = 2 WHERE id = 1; <waiting ...>
racelab: step b2 cannot run: its session s2 is still in step a2, and nobody is left who could end its wait
`},
		{"a step that waits, for a session whose timeout was taken back", table + `
session s1 setup { BEGIN; } step a1 { UPDATE t SET n = 1 WHERE id = 1; }
session s2 setup { SET lock_timeout = 100; BEGIN; } step a2 { ROLLBACK; } step b2 { UPDATE t SET n = 2 WHERE id = 1; } step c2 { SELECT; }
permutation a1 a2 b2 c2
`, `Parsed test spec with 2 sessions

starting permutation: a1 a2 b2 c2
step a1: UPDATE t SET n = 1 WHERE id = 1;
step a2: ROLLBACK;
step b2: UPDATE t SET n = 2 WHERE id = 1; <waiting ...>
racelab: step c2 cannot run: its session s2 is still in step b2, and nobody is left who could end its wait
`},
		{"a prepared transaction, which no session holds", table + `
session s1 step a1 { BEGIN; UPDATE t SET n = 1; PREPARE TRANSACTION 'p1'; } step c1 { COMMIT PREPARED 'p1'; }
session s2 step a2 { UPDATE t SET n = 2; }
permutation a1 a2 c1
`, `Parsed test spec with 2 sessions

starting permutation: a1 a2 c1
step a1: BEGIN; UPDATE t SET n = 1; PREPARE TRANSACTION 'p1';
racelab: step a2 cannot complete: a prepared transaction is in its way, and nobody is left who could end that
racelab: teardown cannot run: a transaction that was left open is in its way
`},
		{"a marker that waits for a session which has nothing to do", `
session s1 step a1 { SELECT; } step b1 { SELECT; }
session s2 step a2 { SELECT; }
permutation a2 a1(a2 notices 1) b1
`, `Parsed test spec with 2 sessions

starting permutation: a2 a1 b1
step a2: SELECT;
step a1: SELECT; <waiting ...>
racelab: step b1 cannot run: its session s1 is still in step a1, whose markers wait for what cannot happen any more
`},
		{"markers that wait for each other", `
session s1 step a1 { SELECT; } step b1 { SELECT; }
session s2 step a2 { SELECT; }
permutation a1(*, a2) a2(a1) b1
`, `Parsed test spec with 2 sessions

starting permutation: a1 a2 b1
step a1: SELECT; <waiting ...>
step a2: SELECT; <waiting ...>
racelab: step b1 cannot run: its session s1 is still in step a1, whose markers wait for what cannot happen any more
`},
		{"a teardown behind a transaction", table + `
session s1 step a1 { BEGIN; LOCK t; }
session s2 step a2 { SELECT; }
permutation a1 a2
permutation a2
`, `Parsed test spec with 2 sessions

starting permutation: a1 a2
step a1: BEGIN; LOCK t;
step a2: SELECT;
racelab: teardown cannot run: a transaction that was left open is in its way

starting permutation: a2
step a2: SELECT;
`},
		{"a teardown behind a transaction, where tables are used again", table + `
session s1 step a1 { BEGIN; LOCK t IN ACCESS SHARE MODE; } step r1 { ROLLBACK; }
session s2 setup { BEGIN; } step a2 { SELECT count(*) FROM t; } teardown { COMMIT; }
permutation a2
permutation a2
permutation a1 a2
permutation r1 a2
`, `Parsed test spec with 2 sessions

starting permutation: a2
step a2: SELECT count(*) FROM t;
count
-----
    2
(1 row)


starting permutation: a2
step a2: SELECT count(*) FROM t;
count
-----
    2
(1 row)


starting permutation: a1 a2
step a1: BEGIN; LOCK t IN ACCESS SHARE MODE;
step a2: SELECT count(*) FROM t;
count
-----
    2
(1 row)

racelab: teardown cannot run: a transaction that was left open is in its way

starting permutation: r1 a2
s1: WARNING:  there is no transaction in progress
step r1: ROLLBACK;
step a2: SELECT count(*) FROM t;
count
-----
    2
(1 row)

`},
		{"a teardown behind a lock that outlives transactions", `
teardown { SELECT pg_advisory_lock(1); }
session s1 step a1 { SELECT FROM pg_advisory_lock(1); }
`, `Parsed test spec with 1 sessions

starting permutation: a1
step a1: SELECT FROM pg_advisory_lock(1);
racelab: teardown cannot run: a transaction that was left open is in its way
racelab: teardown cannot run: a transaction that was left open is in its way
`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got output
			inWorld(t, server, func(w racelab.World) {
				started := time.Now()
				got = ours(t.Context(), t, test.src, w)
				if took := time.Since(started); took > 5*time.Second {
					t.Errorf("it took %v", took)
				}
			})
			if diff := cmp.Diff(output{Text: test.want}, got, ignoreTime); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// With PGISOLATIONTIMEOUT set what can never go on ends as it does there.
func TestATimeoutIsTheReferencePrograms(t *testing.T) {
	program := enginetest.RequireIsolationTester(t)
	server := start(t)
	for name, src := range map[string]string{
		"a step of a session that waits": `
setup { CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); } teardown { DROP TABLE t; }
session s1 setup { BEGIN; } step a1 { DELETE FROM t; } step c1 { COMMIT; }
session s2 setup { BEGIN; } step a2 { SELECT * FROM t FOR UPDATE; } step c2 { ROLLBACK; }
permutation a1 a2 c2 c1
permutation a1 c1 a2 c2
`,
		"a step that is slow, and says something": `
session s1 step a1 { DO $$BEGIN RAISE NOTICE 'here'; PERFORM pg_sleep(60); END$$; } step b1 { SELECT 1 AS one; }
`,
		"a wait for a prepared transaction": `
setup { CREATE TABLE t (); } teardown { DROP TABLE t; }
session s1 step a1 { BEGIN; LOCK t; PREPARE TRANSACTION 'p1'; } step b1 { ROLLBACK PREPARED 'p1'; }
session s2 step a2 { SELECT FROM t; }
permutation a1 a2 b1
`,
		"markers that wait for each other": `
session s1 step a1 { SELECT; } step b1 { SELECT; }
session s2 step a2 { SELECT; }
permutation a1(*, a2) a2(a1) b1
`,
	} {
		t.Run(name, func(t *testing.T) {
			var want, got output
			inWorld(t, server, func(w racelab.World) { want = theirsWithin(t.Context(), t, program, src, w, time.Second) })
			inWorld(t, server, func(w racelab.World) { got = oursWithin(t.Context(), t, src, w, time.Second) })
			if diff := cmp.Diff(want, got, ignoreTime); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !strings.Contains(want.Text, " after ") {
				t.Errorf("the reference program did not run out of time:\n%s", want.Text)
			}
		})
	}
}

func TestARunEndsWithItsContext(t *testing.T) {
	server := start(t)
	for name, src := range map[string]string{
		"a step":   "session s step a { SELECT pg_sleep(60); }",
		"a set-up": "setup { SELECT pg_sleep(60); } session s step a { SELECT; }",
	} {
		t.Run(name, func(t *testing.T) {
			s, err := spec.Parse("x.spec", []byte(src))
			if err != nil {
				t.Fatal(err)
			}
			inWorld(t, server, func(w racelab.World) {
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				var out bytes.Buffer
				if err := isolation.Run(ctx, s, w, isolation.Options{Out: &out, Err: &out}); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v, after\n%s", err, &out)
				}
			})
		})
	}
	t.Run("a step that takes too long", func(t *testing.T) {
		s, err := spec.Parse("x.spec", []byte("session s step a { SELECT pg_sleep(60); }"))
		if err != nil {
			t.Fatal(err)
		}
		inWorld(t, server, func(w racelab.World) {
			var out bytes.Buffer
			err := isolation.Run(t.Context(), s, w, isolation.Options{Out: &out, Err: &out, Patience: 50 * time.Millisecond})
			if !errors.Is(err, isolation.ErrFailed) || !strings.HasSuffix(out.String(), "racelab: step a cannot complete: it has run for 50ms\n") {
				t.Errorf("%v, after\n%s", err, &out)
			}
		})
	})
}
