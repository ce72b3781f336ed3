package spec_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/racelab/racelab/internal/spec"
	"github.com/racelab/racelab/internal/stage"
)

// A played file is one whose verdict was worked out by hand, by engine: what is
// not named is not run there.
type played struct {
	name     string
	src      string
	level    racelab.Level
	faults   int
	verdicts map[string]string // holds, aborts (holds, and calls are aborted), or violated: what it is called
	says     string            // part of the outcomes
	never    string            // part of no outcome
}

const account = "setup { CREATE TABLE account (id INTEGER PRIMARY KEY, n INTEGER NOT NULL); INSERT INTO account VALUES (1, 0), (2, 0); }\n"

// both gives two sessions the same steps.
func both(steps string) string {
	numbered := func(n string) string { return "session s" + n + "\n" + strings.ReplaceAll(steps, "?", n) + "\n" }
	return numbered("1") + numbered("2")
}

var files = []played{
	{name: "a lost update",
		src:      account + both("setup { BEGIN; } step r? { SELECT n FROM account WHERE id = 1; } step w? { UPDATE account SET n = 100 WHERE id = 1; } teardown { COMMIT; }"),
		verdicts: map[string]string{"sqlite": "aborts", "postgres": "lost-update", "mysql": "lost-update"}},
	{name: "a lost update under a lock",
		src:      account + both("setup { BEGIN; } step r? { SELECT n FROM account WHERE id = 1 FOR UPDATE; } step w? { UPDATE account SET n = 100 WHERE id = 1; } step c? { COMMIT; }"),
		verdicts: map[string]string{"postgres": "holds", "mysql": "holds"}},
	{name: "a deadlock",
		src: account + `
			session s1 setup { BEGIN; } step a1 { UPDATE account SET n = n + 1 WHERE id = 1; } step a2 { UPDATE account SET n = n + 1 WHERE id = 2; } step c1 { COMMIT; }
			session s2 setup { BEGIN; } step b2 { UPDATE account SET n = n + 10 WHERE id = 2; } step b1 { UPDATE account SET n = n + 10 WHERE id = 1; } step c2 { COMMIT; }`,
		verdicts: map[string]string{"sqlite": "holds", "postgres": "aborts", "mysql": "aborts"}},
	{name: "a level of its own",
		src: account + `# racelab: invariant at most one: SELECT count(*) <= 1 FROM account WHERE n > 0
			` + both("setup { BEGIN ISOLATION LEVEL SERIALIZABLE; } step r? { SELECT sum(n) FROM account; } step w? { UPDATE account SET n = 1 WHERE id = ? AND (SELECT sum(n) FROM account) = 0; } step c? { COMMIT; }"),
		verdicts: map[string]string{"postgres": "aborts"}},
	{name: "an invariant that does not hold",
		src: account + `# racelab: invariant at most one: SELECT count(*) <= 1 FROM account WHERE n > 0
			session s1 setup { BEGIN; } step w1 { UPDATE account SET n = 1 WHERE id = 1 AND NOT EXISTS (SELECT 1 FROM (SELECT n FROM account) x WHERE n > 0); } step c1 { COMMIT; }
			session s2 setup { BEGIN; } step w2 { UPDATE account SET n = 1 WHERE id = 2 AND NOT EXISTS (SELECT 1 FROM (SELECT n FROM account) x WHERE n > 0); } step c2 { COMMIT; }`,
		verdicts: map[string]string{"sqlite": "holds", "postgres": "violated"}},
	{name: "what was read and rolled back does not count",
		src:      account + "session s1 setup { BEGIN; } step a { SELECT n FROM account WHERE id = 1; } step b { SELECT n FROM account WHERE id = 1; } step c { ROLLBACK; } session s2 step w { UPDATE account SET n = 1 WHERE id = 1; }",
		verdicts: map[string]string{"sqlite": "holds", "postgres": "holds", "mysql": "holds"}, never: "n=1 n"},
	{name: "what was read and committed does",
		src:      account + "session s1 setup { BEGIN; } step a { SELECT n FROM account WHERE id = 1; } step b { SELECT n FROM account WHERE id = 1; } step c { COMMIT; } session s2 step w { UPDATE account SET n = 1 WHERE id = 1; }",
		verdicts: map[string]string{"sqlite": "holds", "postgres": "non-repeatable-read", "mysql": "non-repeatable-read"}, says: "(a n=0; b n=0)"},
	{name: "a transaction that is left open is rolled back",
		src:      account + "session s1 step a { BEGIN; } step b { UPDATE account SET n = 7 WHERE id = 1; } session s2 step w { UPDATE account SET n = n + 1 WHERE id = 1; }",
		verdicts: map[string]string{"sqlite": "holds", "postgres": "holds", "mysql": "holds"}, never: "n=7"},
	{name: "NOWAIT",
		src:      account + both("step b? { BEGIN; } step l? { SELECT n FROM account WHERE id = 1 FOR UPDATE NOWAIT; } step w? { UPDATE account SET n = n + 1 WHERE id = 1; } step c? { COMMIT; }"),
		verdicts: map[string]string{"postgres": "holds", "mysql": "holds"}, says: "refused"},
	{name: "an error is no end of the session, and of the transaction only where the engine says so",
		src:      account + "session s1 step a { BEGIN; } step b { UPDATE account SET n = 1 WHERE id = 1; } step c { INSERT INTO account VALUES (1, 1); } step d { COMMIT; } step e { SELECT n FROM account WHERE id = 1; } session s2 step w { SELECT n FROM account WHERE id = 2; }",
		verdicts: map[string]string{"sqlite": "holds", "postgres": "holds", "mysql": "holds"}, says: "(c unique-violation; e n="},
	{name: "an error that a savepoint takes back",
		src:      account + "session s1 step a { BEGIN; } step b { UPDATE account SET n = 1 WHERE id = 1; } step p { SAVEPOINT p; } step c { INSERT INTO account VALUES (1, 1); } step q { ROLLBACK TO SAVEPOINT p; } step d { COMMIT; } session s2 step w { SELECT n FROM account WHERE id = 2; }",
		verdicts: map[string]string{"sqlite": "holds", "postgres": "holds", "mysql": "holds"}, says: "id=1 n=1", never: "unique-violation"},
	{name: "what came after an outer savepoint that has the name of one that was released",
		src: account + `
			session s1 setup { BEGIN; } step p { SAVEPOINT p; } step a { SELECT n FROM account WHERE id = 1; } step q { SAVEPOINT p; } step b { SELECT n FROM account WHERE id = 2; }
				step r { RELEASE SAVEPOINT p; } step o { ROLLBACK TO SAVEPOINT p; } step c { SELECT 7 AS seven; } step d { COMMIT; }
			session s2 step w { SELECT 1 AS one; }`,
		verdicts: map[string]string{"sqlite": "holds", "postgres": "holds"}, says: "A.1 ok (c seven=7)", never: "a n="},
	{name: "and where a second savepoint of a name takes the place of the first",
		src: account + `
			session s1 setup { BEGIN; } step p { SAVEPOINT p; } step a { SELECT n FROM account WHERE id = 1; } step q { SAVEPOINT p; } step b { SELECT n FROM account WHERE id = 2; }
				step r { RELEASE SAVEPOINT p; } step o { ROLLBACK TO SAVEPOINT p; } step c { SELECT 7 AS seven; } step d { COMMIT; }
			session s2 step w { SELECT 1 AS one; }`,
		verdicts: map[string]string{"mysql": "holds"}, says: "A.1 ok (a n=0; b n=0; o other; c seven=7)"},
	{name: "a call that happens in part",
		src: account + `
			session s1 step x { UPDATE account SET n = n + 100 WHERE id = 1; } step a { BEGIN; } step a1 { UPDATE account SET n = n + 1 WHERE id = 1; } step a2 { UPDATE account SET n = n + 1 WHERE id = 2; } step c1 { COMMIT; }
			session s2 step b { BEGIN; } step b2 { UPDATE account SET n = n + 10 WHERE id = 2; } step b1 { UPDATE account SET n = n + 10 WHERE id = 1; } step c2 { COMMIT; }`,
		verdicts: map[string]string{"postgres": "deadlock", "mysql": "deadlock"}, says: "and in part deadlock"},
	{name: "several statements in one message",
		src:      account + "session s1 step w { UPDATE account SET n = 1 WHERE id = 1; UPDATE account SET n = 1 WHERE id = 2; } session s2 step r { SELECT sum(n) AS n FROM account; }",
		verdicts: map[string]string{"sqlite": "violated", "postgres": "holds", "mysql": "violated"}},
	{name: "a message that fails is undone as a whole",
		src:      account + "session s1 step w { UPDATE account SET n = 5 WHERE id = 1; INSERT INTO account VALUES (1, 1); } session s2 step r { SELECT sum(n) AS n FROM account; }",
		verdicts: map[string]string{"postgres": "holds"}, says: "w unique-violation", never: "n=5"},
	{name: "what a message has shown counts only if its own transaction is committed",
		src: `setup { CREATE TABLE t (n INTEGER, UNIQUE (n) DEFERRABLE INITIALLY DEFERRED); CREATE TABLE u (n INTEGER); }
			session s1 step w { BEGIN; COMMIT; INSERT INTO t VALUES (5) RETURNING n; SELECT count(*) AS k FROM u; } session s2 step x { INSERT INTO t VALUES (5); }`,
		verdicts: map[string]string{"postgres": "holds"}, says: "A.1 ok (w unique-violation)", never: "n='5'; w unique"},
	{name: "a message's own transaction becomes the session's by a BEGIN",
		src:      account + "session s1 step a { SELECT n FROM account WHERE id = 1; BEGIN; SELECT n FROM account WHERE id = 1; } step b { ROLLBACK; } session s2 step w { UPDATE account SET n = 1 WHERE id = 1; }",
		verdicts: map[string]string{"postgres": "holds"}, never: "(a n="},
	{name: "keys to which a step gives values are data",
		src: `setup { CREATE TABLE t (id INTEGER GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, n INTEGER); CREATE TABLE u (id INTEGER GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, n INTEGER);
				INSERT INTO t (n) VALUES (0); INSERT INTO u (n) VALUES (0); }
			session s1 setup { BEGIN; } step w1 { UPDATE t SET id = (SELECT id FROM u) + 10; } step c1 { COMMIT; }
			session s2 setup { BEGIN; } step w2 { UPDATE u SET id = (SELECT id FROM t) + 10; } step c2 { COMMIT; }`,
		verdicts: map[string]string{"postgres": "violated"}, says: "t {id=11 n=0}; u {id=11 n=0}"},
	{name: "a column of the same name is no key",
		src: `setup { CREATE TABLE account (id INTEGER PRIMARY KEY, own INTEGER); CREATE TABLE entry (id INTEGER GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY); CREATE TABLE o (n INTEGER);
				INSERT INTO account VALUES (5, 1), (6, 0); INSERT INTO entry DEFAULT VALUES; }
			session s1 setup { BEGIN; } step w1 { INSERT INTO o VALUES (1); } step r1 { SELECT account.id FROM account, entry WHERE own = 1; } step c1 { COMMIT; }
			session s2 setup { BEGIN; } step r2 { SELECT count(*) AS k FROM o; } step w2 { UPDATE account SET own = 1 - own; } step c2 { COMMIT; }`,
		verdicts: map[string]string{"postgres": "phantom"}, says: "(r1 id=5), B.1 ok (r2 k=0)"},
	{name: "what a trigger sets ends with its run",
		src: `setup { CREATE TABLE t (n INTEGER); CREATE SEQUENCE s CACHE 5;
				CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.n := NEW.n + coalesce(nullif(current_setting('my.x', true), ''), '0')::int; PERFORM set_config('my.x', '7', false); RETURN NEW; END $$;
				CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); }
			session s1 step a { INSERT INTO t VALUES (nextval('s')); } session s2 step r { SELECT count(*) AS k FROM t; }`,
		verdicts: map[string]string{"postgres": "holds"}, says: "t {n=1}", never: "n=7"},
	{name: "a connection that is lost",
		src:      account + both("step b? { BEGIN; } step w? { UPDATE account SET n = n + 1 WHERE id = 1; } step c? { COMMIT; }"),
		faults:   1,
		verdicts: map[string]string{"sqlite": "holds", "postgres": "holds", "mysql": "holds"}, says: "connection-lost"},
	{name: "numbers that the database makes up",
		src: `setup { CREATE TABLE t (id INTEGER GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, n INTEGER UNIQUE); INSERT INTO t (n) VALUES (0); }
			session s1 setup { BEGIN; } step i1 { INSERT INTO t (n) VALUES (1) RETURNING id; } step x1 { ROLLBACK; } step r1 { SELECT * FROM t; }
			session s2 step i2 { INSERT INTO t (n) VALUES (2) RETURNING id, n; }`,
		verdicts: map[string]string{"postgres": "holds"}, says: "id=#1 n=2"},
	{name: "numbers that the database makes up in its own way",
		src: `setup { CREATE TABLE t (id INTEGER PRIMARY KEY AUTO_INCREMENT, n INTEGER UNIQUE); INSERT INTO t (n) VALUES (0); }
			session s1 setup { BEGIN; } step i1 { INSERT INTO t (n) VALUES (1); } step x1 { ROLLBACK; } step r1 { SELECT * FROM t; }
			session s2 step i2 { INSERT INTO t (n) VALUES (2); } step r2 { SELECT id FROM t WHERE n = 2; }`,
		verdicts: map[string]string{"mysql": "holds"}, says: "id=#1 n=2"},
	{name: "counters begin anew in each run",
		src:      `setup { CREATE SEQUENCE s; CREATE TABLE t (n INTEGER); } session s1 step a { INSERT INTO t VALUES (nextval('s')); } session s2 step r { SELECT count(*) FROM t; }`,
		verdicts: map[string]string{"postgres": "holds"}, says: "{n=1}", never: "n=2"},
	{name: "counters begin anew in each run, also where they have begun",
		src:      `setup { CREATE TABLE t (id INTEGER PRIMARY KEY AUTO_INCREMENT, n INTEGER); INSERT INTO t (n) VALUES (1); } session s1 step a { INSERT INTO t (n) VALUES (2); } step b { SELECT max(id) AS m FROM t; } session s2 step r { SELECT count(*) FROM t; }`,
		verdicts: map[string]string{"mysql": "holds"}, says: "(b m=2)", never: "m=3"},
	{name: "counters of SQLite",
		src:      `setup { CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER); INSERT INTO t (n) VALUES (1); } session s1 step a { INSERT INTO t (n) VALUES (2); } step b { SELECT max(id) AS m FROM t; } session s2 step r { SELECT count(*) FROM t; }`,
		verdicts: map[string]string{"sqlite": "holds"}, says: "(b m=2)", never: "m=3"},
	{name: "triggers are no part of a reset",
		src: `setup { CREATE TABLE log (n INTEGER); CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 0);
				CREATE TRIGGER noted AFTER UPDATE ON t BEGIN INSERT INTO log VALUES (new.n); END; CREATE TRIGGER gone AFTER DELETE ON t BEGIN INSERT INTO log VALUES (9); END; }
			` + both("step w? { UPDATE t SET n = n + 1; }"),
		verdicts: map[string]string{"sqlite": "holds"}, says: "log {n=1, n=2}", never: "n=9"},
	{name: "settings and locks of a session end with its run",
		src:      "session s1 step l { SELECT pg_advisory_lock(1) IS NULL AS l; } step m { SELECT current_setting('enable_seqscan') AS m; } step t { SET enable_seqscan = off; } step c { CREATE TEMP TABLE x (n int); } session s2 step l2 { SELECT pg_try_advisory_lock(2) AS free; }",
		verdicts: map[string]string{"postgres": "holds"}, says: "m='on'), B.1 ok (l2 free=true)", never: "m='off'"},
	{name: "user locks end with their run",
		src:      "session s1 step l { SELECT GET_LOCK('a', 0) AS l; } step v { SELECT @x AS x; } step s { SET @x = 1; } session s2 step r { SELECT 1 AS one; }",
		verdicts: map[string]string{"mysql": "holds"}, says: "(l l=1; v x=NULL)"},
	{name: "tables that steps make and drop",
		src: `setup { CREATE TABLE t (n INTEGER); }
			session s1 step c { CREATE TABLE made (n INTEGER); } step i { INSERT INTO made VALUES (1); }
			session s2 step d { DROP TABLE t; }`,
		verdicts: map[string]string{"sqlite": "holds", "postgres": "holds", "mysql": "holds"}, says: "made {n=1}", never: "error"},
	{name: "tables that steps change",
		src: `setup { CREATE TABLE t (n INTEGER); }
			session s1 step a { ALTER TABLE t ADD COLUMN m INTEGER; } step r1 { SELECT * FROM t; }
			session s2 step i { INSERT INTO t (n) VALUES (1); } step r2 { SELECT n FROM t; }`,
		verdicts: map[string]string{"sqlite": "holds", "postgres": "holds", "mysql": "holds"}, says: "t {n=1 m=NULL}"},
	{name: "tables that a function makes",
		src: `setup { CREATE FUNCTION make() RETURNS int LANGUAGE plpgsql AS $$ BEGIN CREATE TABLE made (n int); RETURN 1; END $$; }
			session s1 step c { SELECT make(); } session s2 step r { SELECT 1 AS one; }`,
		verdicts: map[string]string{"postgres": "holds"}, says: "made {}", never: "other"},
}

// onEngines runs a test on every engine there is, with a server for all of it.
func onEngines(t *testing.T, test func(*testing.T, racelab.Engine, racelab.Server)) {
	for _, e := range dsn.SQL {
		t.Run(e.Name, func(t *testing.T) {
			test(t, e, enginetest.Start(t, e))
		})
	}
}

func play(t *testing.T, src string) *spec.Played {
	t.Helper()
	s, err := spec.Parse("x.spec", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Play("x.spec", "as-written", s.Programs()[0])
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func explored(ctx context.Context, p *spec.Played, e racelab.Engine, l racelab.Level, server racelab.Server, x stage.Exploration) (stage.Explored, error) {
	sel, err := stage.Select(p.Scenario, &p.Strategies[0], e, l)
	if err != nil {
		return stage.Explored{}, err
	}
	return sel.Explore(ctx, server, x)
}

func TestFilesComeToWhatWasWorkedOut(t *testing.T) {
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		for _, f := range files {
			want, there := f.verdicts[e.Name]
			if !there {
				continue
			}
			t.Run(f.name, func(t *testing.T) {
				x := stage.Exploration{Reduced: true, Faults: f.faults, Time: time.Minute}
				found, err := explored(t.Context(), play(t, f.src), e, f.level, server, x)
				if err != nil {
					t.Fatal(err)
				}
				got, why := found.Verdict(x, nil)
				verdict := string(got)
				if got == racelab.Holds && found.Aborted > 0 && f.faults == 0 {
					verdict = "aborts"
				}
				if a, ok := found.Explain(); ok {
					verdict = string(a.Name)
				}
				var outcomes strings.Builder
				for _, o := range found.Outcomes {
					fmt.Fprintf(&outcomes, "%d x %t: %s; %s\n", o.Count, o.Serial, o.Results, o.State)
				}
				if verdict != want {
					t.Errorf("it comes to %s (%s), want %s", verdict, why, want)
				}
				if !strings.Contains(outcomes.String(), f.says) || f.never != "" && strings.Contains(outcomes.String(), f.never) {
					t.Errorf("it is to say %q, and never %q", f.says, f.never)
				}
				if t.Failed() {
					t.Log(outcomes.String())
				}
			})
		}
	})
}

// What a reduced search leaves out comes to nothing else than what it runs.
func TestReducedFilesComeToTheSameAsBruteForce(t *testing.T) {
	tries := map[string]int{"sqlite": 60, "postgres": 15, "mysql": 15}
	if testing.Short() {
		tries = map[string]int{"sqlite": 20, "postgres": 3, "mysql": 3}
	}
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		random := rand.New(rand.NewPCG(7, 11))
		for range tries[e.Name] {
			src := drawn(random, e.Dialect)
			var all [2]map[string]bool
			for i, reduced := range []bool{true, false} {
				x := stage.Exploration{Reduced: reduced}
				found, err := explored(t.Context(), play(t, src), e, "", server, x)
				if err != nil {
					t.Fatalf("%v:\n%s", err, src)
				}
				verdict, why := found.Verdict(x, nil)
				all[i] = map[string]bool{string(verdict): true}
				if verdict == racelab.Unknown {
					t.Errorf("unknown: %s", why)
				}
				for _, o := range found.Outcomes {
					all[i][fmt.Sprint(o.Serial, " ", o.Results, " ", o.State)] = true
				}
			}
			if diff := cmp.Diff(slices.Sorted(maps.Keys(all[1])), slices.Sorted(maps.Keys(all[0]))); diff != "" {
				t.Errorf("(-brute +reduced):\n%s\n%s", diff, src)
			}
		}
	})
}

// drawn is a file of two sessions that do a little of everything.
func drawn(r *rand.Rand, d racelab.Dialect) string {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	id := func() string { return pick("1", "2") }
	statement := func() string {
		all := []string{
			"SELECT n FROM account WHERE id = " + id(), "SELECT sum(n) AS n FROM account", "UPDATE account SET n = n + 1 WHERE id = " + id(),
			"UPDATE account SET n = 5 WHERE id = " + id(), "INSERT INTO account VALUES (" + pick("2", "3") + ", 1)", "DELETE FROM account WHERE id = " + id(),
			"UPDATE account SET n = 1 WHERE id = 1; UPDATE account SET n = 1 WHERE id = 2",
		}
		if d.Features&racelab.RowLocks != 0 {
			all = append(all, "SELECT n FROM account WHERE id = "+id()+" FOR UPDATE", "SELECT n FROM account WHERE id = "+id()+" FOR UPDATE NOWAIT")
		}
		return pick(all...)
	}
	var b strings.Builder
	b.WriteString(account)
	for s := range 2 {
		fmt.Fprintf(&b, "session s%d\n", s)
		n := 0
		step := func(text string) {
			n++
			fmt.Fprintf(&b, "step s%d_%d { %s; }\n", s, n, text)
		}
		transaction := r.IntN(3) > 0
		if transaction {
			step("BEGIN")
		}
		for range 1 + r.IntN(2) {
			step(statement())
		}
		if transaction {
			step(pick("COMMIT", "COMMIT", "ROLLBACK"))
		} else {
			step(statement())
		}
	}
	return b.String()
}
