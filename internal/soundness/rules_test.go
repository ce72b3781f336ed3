package soundness_test

import (
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
)

// Each rule of the dependency relation has a program, at a level of an engine,
// of which outcomes are missed without the rule.
var ruled = []struct {
	rule, engine, script string
}{
	{"publishing", "sqlite", `SERIALIZABLE
		A: BEGIN; UPDATE parent SET n = 3 WHERE id = 1; COMMIT
		B: SELECT n FROM parent WHERE id = 1; SELECT n FROM parent WHERE id = 1`},
	{"publishing", "postgres", `READ COMMITTED
		A: BEGIN; UPDATE parent SET n = 3 WHERE id = 1; COMMIT
		B: SELECT n FROM parent WHERE id = 1; SELECT n FROM parent WHERE id = 1`},
	{"publishing", "mysql", `READ COMMITTED
		A: BEGIN; UPDATE parent SET n = 3 WHERE id = 1; COMMIT
		B: SELECT n FROM parent WHERE id = 1; SELECT n FROM parent WHERE id = 1`},
	{"snapshots", "sqlite", `SERIALIZABLE
		A: UPDATE parent SET n = 3 WHERE id = 1; UPDATE parent SET n = 4 WHERE id = 1
		B: BEGIN; SELECT n FROM parent WHERE id = 2; SELECT n FROM parent WHERE id = 1; COMMIT`},
	{"snapshots", "postgres", `REPEATABLE READ
		A: UPDATE parent SET n = 3 WHERE id = 1; UPDATE parent SET n = 4 WHERE id = 1
		B: BEGIN; SELECT n FROM parent WHERE id = 2; SELECT n FROM parent WHERE id = 1; COMMIT`},
	{"snapshots", "mysql", `REPEATABLE READ
		A: UPDATE parent SET n = 3 WHERE id = 1; UPDATE parent SET n = 4 WHERE id = 1
		B: BEGIN; SELECT n FROM parent WHERE id = 2; SELECT n FROM parent WHERE id = 1; COMMIT`},
	{"foreign keys", "postgres", `READ COMMITTED
		A: DELETE FROM parent WHERE id = 2; INSERT INTO parent (id, u, n) VALUES (2, 2, 2)
		B: INSERT INTO child (id, pid, n) VALUES (2, 2, 1)`},
	{"foreign keys", "mysql", `READ COMMITTED
		A: DELETE FROM parent WHERE id = 2; INSERT INTO parent (id, u, n) VALUES (2, 2, 2)
		B: INSERT INTO child (id, pid, n) VALUES (2, 2, 1)`},
	{"waiting", "mysql", `READ COMMITTED
		A: BEGIN; UPDATE parent SET n = n + 1 WHERE id = 1; UPDATE parent SET n = n + 1 WHERE id = 2; COMMIT
		B: BEGIN; UPDATE parent SET n = n + 1 WHERE id = 2; UPDATE parent SET n = n + 1 WHERE id = 1; COMMIT`},
	{"waiting", "sqlite", `SERIALIZABLE
		A: BEGIN; SELECT n FROM parent WHERE id = 3; INSERT OR IGNORE INTO child (id, pid, n) VALUES (2, 1, 2); COMMIT
		B: BEGIN; INSERT OR IGNORE INTO child (id, pid, n) VALUES (2, 1, 2); COMMIT`},
	{"waiting", "postgres", `READ COMMITTED
		A: BEGIN; UPDATE parent SET n = n + 1 WHERE id = 1; UPDATE parent SET n = n + 1 WHERE id = 2; COMMIT
		B: BEGIN; UPDATE parent SET n = n + 1 WHERE id = 2; UPDATE parent SET n = n + 1 WHERE id = 1; COMMIT`},
	{"waiting", "mysql", `READ COMMITTED
		A: UPDATE parent SET n = n + 1 WHERE n = 2
		B: BEGIN; UPDATE parent SET n = n + 1 WHERE n = 2; ROLLBACK
		C: SELECT id, n FROM parent WHERE n = 3; SELECT id, n FROM parent WHERE n = 3`},
	{"freeing", "postgres", `READ COMMITTED
		A: BEGIN; SELECT n FROM parent WHERE id = 1 FOR UPDATE; COMMIT
		B: SELECT n FROM parent WHERE id = 1 FOR UPDATE NOWAIT`},
	{"freeing", "mysql", `READ COMMITTED
		A: BEGIN; SELECT n FROM parent WHERE id = 1 FOR UPDATE; COMMIT
		B: SELECT n FROM parent WHERE id = 1 FOR UPDATE NOWAIT`},
	{"freeing", "sqlite", `SERIALIZABLE
		A: BEGIN; SELECT n FROM parent WHERE id = 1; INSERT INTO parent (id, u, n) VALUES (3, 1, 1); COMMIT
		B: BEGIN IMMEDIATE; SELECT COUNT(*) FROM child WHERE pid = 1; COMMIT`},
	{"unique keys", "postgres", `READ COMMITTED
		A: DELETE FROM parent WHERE id = 2
		B: (goes on) INSERT INTO parent (id, u, n) VALUES (3, 2, 1); INSERT INTO parent (id, u, n) VALUES (3, 2, 1)`},
	{"gaps", "mysql", `REPEATABLE READ
		A: BEGIN; SELECT n FROM child WHERE id = 3 FOR UPDATE; INSERT INTO child (id, pid, n) VALUES (3, NULL, 1); COMMIT
		B: BEGIN; SELECT n FROM child WHERE id = 4 FOR UPDATE; INSERT INTO child (id, pid, n) VALUES (4, NULL, 1); COMMIT`},
	{"checks", "postgres", `SERIALIZABLE
		A: BEGIN; SELECT n FROM parent WHERE id = 1; UPDATE parent SET n = 3 WHERE id = 2; COMMIT
		B: BEGIN; SELECT n FROM parent WHERE id = 2; UPDATE parent SET n = 3 WHERE id = 1; SELECT n FROM child WHERE id = 1; COMMIT`},
	{"heaps", "postgres", `READ COMMITTED
		A: INSERT INTO child (id, pid, n) VALUES (4, 1, 3)
		B: INSERT INTO child (id, pid, n) VALUES (2, 2, 3); INSERT INTO child (id, pid, n) VALUES (3, 2, 3)
		C: SELECT id FROM child WHERE n = 3 LIMIT 1 OFFSET 1`},
	{"heaps", "postgres", `READ COMMITTED, unsorted
		A: INSERT INTO child (id, pid, n) VALUES (4, 1, 3)
		B: INSERT INTO child (id, pid, n) VALUES (2, 2, 3); INSERT INTO child (id, pid, n) VALUES (3, 2, 3)
		C: SELECT id FROM child WHERE n = 3`},
}

// What is not followed touches everything. Each of these has a form that, taken
// for what it looks like, would have outcomes missed.
var unfollowed = []struct {
	name, engine, script string
	tables               []string
}{
	{"the next transaction of a chain", "postgres", `READ COMMITTED
		A: BEGIN; SELECT n FROM parent WHERE id = 2; COMMIT AND CHAIN; UPDATE parent SET n = 3 WHERE id = 1; COMMIT
		B: SELECT n FROM parent WHERE id = 1 FOR UPDATE NOWAIT`, nil},
	{"the next transaction of a chain", "mysql", `READ COMMITTED
		A: BEGIN; SELECT n FROM parent WHERE id = 2; ROLLBACK AND CHAIN; UPDATE parent SET n = 3 WHERE id = 1; COMMIT
		B: SELECT n FROM parent WHERE id = 1 FOR UPDATE NOWAIT`, nil},
	{"a transaction that begins in another", "mysql", `READ COMMITTED
		A: BEGIN; UPDATE parent SET n = 3 WHERE id = 1; START TRANSACTION; SELECT n FROM child WHERE id = 1; COMMIT
		B: SELECT n FROM parent WHERE id = 1; SELECT n FROM parent WHERE id = 1`, nil},
	{"tables of one name in two schemas", "postgres", `READ COMMITTED
		A: UPDATE item SET n = 1 WHERE id = 1
		B: SELECT n FROM child WHERE id = 1; SELECT n FROM child WHERE id = 1`, []string{
		"CREATE SCHEMA aside", "CREATE TABLE aside.item (id INTEGER PRIMARY KEY, n INTEGER)",
		"CREATE TABLE item (id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO item VALUES (1, 0)",
		"CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE child SET n = 7; RETURN NEW; END'",
		"CREATE TRIGGER noted AFTER UPDATE ON item FOR EACH ROW EXECUTE FUNCTION note()",
	}},
	{"a table of the system behind a comma", "postgres", `READ COMMITTED
		A: BEGIN; UPDATE parent SET n = 7 WHERE id = 1; COMMIT
		B: SELECT COUNT(*) FROM child c, pg_class p, pg_locks l WHERE c.id = 1 AND p.relname = 'parent' AND l.relation = p.oid`, nil},
	{"numbers from a sequence", "postgres", `READ COMMITTED
		A: INSERT INTO visit (who) VALUES (1)
		B: INSERT INTO visit (who) VALUES (2); INSERT INTO visit (who) VALUES (3)
		C: SELECT who FROM visit WHERE seq = (SELECT MIN(seq) + 1 FROM visit)`, []string{"CREATE TABLE visit (who INTEGER PRIMARY KEY, seq SERIAL)"}},
}

func TestWhatIsNotFollowedTouchesEverything(t *testing.T) {
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		c := newComparer(t, e, server)
		for _, u := range unfollowed {
			if u.engine == e.Name {
				t.Run(u.name, func(t *testing.T) {
					p := parseScript(u.script)
					p.tables = u.tables
					c.check(t.Context(), t, p)
				})
			}
		}
	})
}

func TestEachRuleIsNeeded(t *testing.T) {
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		c := newComparer(t, e, server)
		for _, r := range ruled {
			if r.engine != e.Name {
				continue
			}
			t.Run(r.rule, func(t *testing.T) {
				p := parseScript(r.script)
				c.relation = nil
				c.check(t.Context(), t, p)
				c.relation = func(rel *check.Relation) { rel.Without = check.Rules[r.rule] }
				if d, err := c.compare(t.Context(), p); err != nil || d == "" {
					t.Errorf("without %s nothing is missed (%v): %v", r.rule, err, p)
				}
			})
		}
	})
	for rule := range check.Rules {
		found := false
		for _, r := range ruled {
			found = found || r.rule == rule
		}
		if !found {
			t.Errorf("no program needs %s", rule)
		}
	}
}
