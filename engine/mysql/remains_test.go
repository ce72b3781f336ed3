package mysql

import (
	"context"
	"reflect"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
)

func TestWhatAStatementMayLeave(t *testing.T) {
	r := remains{indexed: map[string]bool{"id": true, "v": true}}
	for text, want := range map[string]leaving{
		"SELECT id FROM t WHERE id = 1 FOR UPDATE": nothing,
		"BEGIN":                               nothing,
		"start transaction read only;":        nothing,
		"SET SESSION sql_mode = ''":           nothing,
		"INSERT INTO t (id, v) VALUES (1, 2)": nothing,
		"INSERT INTO t (id, n) VALUES (1, 2) ON DUPLICATE KEY UPDATE n = n + 1":     nothing,
		"UPDATE t SET n = n + 1 WHERE id = 1":                                       nothing,
		"UPDATE t SET n = 'id; v' WHERE id = 1":                                     nothing,
		"/* id */ UPDATE t SET n = ? WHERE id IN (SELECT id FROM u)":                nothing,
		"INSERT INTO t (id, n) VALUES (1, 2) ON DUPLICATE KEY UPDATE v = 1":         marks,
		"UPDATE t SET n = 1, ID = 5 WHERE n = 1":                                    marks,
		"UPDATE t SET t.`id` = 5":                                                   marks,
		`UPDATE t SET "id" = 5`:                                                     marks,
		"UPDATE 1 SET 1.id = 5":                                                     marks,
		"UPDATE t SET ïd = 5":                                                       marks,
		"UPDATE t SET n = (SELECT max(n) FROM u WHERE u.n = 1), v = 2 WHERE id = 1": marks,
		"UPDATE t FOR PORTION OF p FROM '2020-01-01' TO '2021-01-01' SET n = 1":     marks,
		"DELETE FROM t":                                          marks,
		"REPLACE INTO t VALUES (1, 2)":                           marks,
		"UPDATE t SET n = 1; DELETE FROM t":                      anything,
		"BEGIN NOT ATOMIC DELETE FROM t; END":                    anything,
		"SET STATEMENT max_statement_time = 1 FOR DELETE FROM t": anything,
		"UPDATE t SET n = 1 /*! , id = 5 */":                     anything,
		"UPDATE t SET n = 1--1, id = 5":                          anything,
		"UPDATE t SET n = 1 # WHERE\n, id = 5":                   anything,
		`UPDATE t SET n = '\', id = 5 WHERE '`:                   anything,
		"CALL p()":                                               anything,
		"CREATE INDEX x ON t (n)":                                anything,
		"ANALYZE DELETE FROM t":                                  anything,
	} {
		if got := r.of(text); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

// A read view keeps the purge from going on, so that what is left stays, and
// divides the gap it is in: whoever locks one half then lets others into the
// other one.
func TestAResetWaitsIfSomethingIsLeft(t *testing.T) {
	const ofID, ofV = "SELECT * FROM p WHERE id = 7 FOR UPDATE", "SELECT * FROM p FORCE INDEX (v) WHERE v = 70 FOR UPDATE"
	const lowID, lowV = "INSERT INTO p VALUES (3, 500, 33, 0)", "INSERT INTO p VALUES (20, 30, 33, 0)"
	tests := []struct {
		name       string
		statements []string // those that fail are meant to
		gap, into  string
		left       bool
	}{
		{"a change of what no index has", []string{"UPDATE p SET n = 5", "UPDATE p SET n = 6 WHERE v = 10"}, ofID, lowID, false},
		{"an insert that is rolled back", []string{"BEGIN", "INSERT INTO p VALUES (5, 50, 5, 0)", "ROLLBACK"}, ofID, lowID, false},
		{"an insert that is rolled back, in another index", []string{"BEGIN", "INSERT INTO p VALUES (5, 50, 5, 0)", "ROLLBACK"}, ofV, lowV, false},
		{"an insert that is rolled back to a savepoint", []string{"BEGIN", "SAVEPOINT s", "INSERT INTO p VALUES (5, 50, 5, 0)", "ROLLBACK TO s", "COMMIT"}, ofV, lowV, false},
		{"a second row that fails", []string{"INSERT INTO p VALUES (5, 50, 5, 0), (10, 60, 6, 0)"}, ofID, lowID, false},
		{"a unique key that fails", []string{"INSERT INTO p VALUES (5, 50, 1, 0)"}, ofID, lowID, false},
		{"a unique key that fails, in another index", []string{"INSERT INTO p VALUES (5, 50, 1, 0)"}, ofV, lowV, false},
		{"an insert that changes a row", []string{"INSERT INTO p VALUES (1, 50, 5, 9) ON DUPLICATE KEY UPDATE n = VALUES(n)"}, ofV, lowV, false},
		{"a row that the reset deletes", []string{"INSERT INTO p VALUES (5, 50, 5, 0)"}, ofID, lowID, true},
		{"a row that is deleted", []string{"INSERT INTO p VALUES (5, 50, 5, 0)", "DELETE FROM p WHERE id = 5"}, ofID, lowID, true},
		{"a row that is replaced", []string{"REPLACE INTO p VALUES (1, 50, 1, 0)", "REPLACE INTO p VALUES (1, 10, 1, 0)"}, ofV, lowV, true},
		{"a changed primary key", []string{"UPDATE p SET id = 5 WHERE id = 1", "UPDATE p SET id = 1 WHERE id = 5"}, ofID, lowID, true},
		{"a changed key, rolled back", []string{"BEGIN", "UPDATE p SET id = 5 WHERE id = 1", "ROLLBACK"}, ofID, lowID, false},
		{"a changed column of an index", []string{"UPDATE p SET v = 50 WHERE id = 1", "UPDATE p SET v = 10 WHERE id = 1"}, ofV, lowV, true},
		{"a cascade", []string{"INSERT INTO child VALUES (1, 1)", "UPDATE p SET v = 50 WHERE id = 1", "UPDATE p SET v = 10 WHERE id = 1", "DELETE FROM child"}, ofV, lowV, true},
	}
	w := openWorld(t, "")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := openAnother(t, w, racelab.RepeatableRead,
				"CREATE TABLE p (id INT PRIMARY KEY, v INT, u INT, n INT, KEY (v), UNIQUE (u))",
				"CREATE TABLE child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES p (id) ON UPDATE CASCADE)",
				"INSERT INTO p VALUES (1, 10, 1, 0), (10, 100, 10, 0)")
			a, b := connectTo(t, w), connectTo(t, w)
			settle(t, w)
			view, err := w.admin.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer view.Close()
			if _, err := view.ExecContext(t.Context(), "START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
				t.Fatal(err)
			}
			defer view.ExecContext(context.Background(), "ROLLBACK")

			before := w.purges
			for _, q := range test.statements {
				if _, _, err := enginetest.Text(t.Context(), a, q); err != nil && classify(err) != racelab.UniqueViolation {
					t.Fatal(err)
				}
			}
			if err := w.Reset(t.Context()); err != nil {
				t.Fatal(err)
			}
			do(t, a, "BEGIN", test.gap)
			do(t, b, "SET SESSION innodb_lock_wait_timeout = 0")
			_, _, err = enginetest.Text(t.Context(), b, test.into)
			do(t, a, "ROLLBACK")
			if class := classify(err); class != racelab.OK && class != racelab.LockTimeout {
				t.Fatal(err)
			}
			if left := err == nil; left != test.left {
				t.Errorf("something is left: %v, want %v", left, test.left)
			}
			if waited := w.purges > before; test.left && !waited {
				t.Error("the reset did not wait")
			}
		})
	}
}

func TestAResetThatLeavesNothingDoesNotWait(t *testing.T) {
	w := openAnother(t, openWorld(t, ""), racelab.RepeatableRead,
		"CREATE TABLE p (id INT PRIMARY KEY, v INT, u INT, n INT, KEY (v), UNIQUE (u))",
		"INSERT INTO p VALUES (1, 10, 1, 0), (10, 100, 10, 0)")
	c := connectTo(t, w)
	settle(t, w)
	for _, test := range []struct {
		statement string
		waits     int
	}{
		{"SELECT * FROM p FOR UPDATE", 0},
		{"UPDATE p SET n = 5 WHERE v = 10", 0},
		{"DELETE FROM p WHERE id = 77", 1},
		{"UPDATE p SET n = 5 WHERE v = 10", 0},
		{"INSERT INTO p VALUES (5, 50, 5, 0)", 1},
		{"UPDATE p SET v = 5 WHERE v = 10", 1},
		{"SELECT 1", 0},
		{"CREATE INDEX n ON p (n)", 1},
		{"SELECT 1", 1},
	} {
		before := w.purges
		do(t, c, test.statement)
		if err := w.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.purges - before; got != test.waits {
			t.Errorf("%s: waited %d times, want %d", test.statement, got, test.waits)
		}
	}
}

// What no statement's text says, so that each reset waits.
func TestTablesWhoseStatementsDoNotTell(t *testing.T) {
	w := openWorld(t, "")
	for name, setup := range map[string]string{
		"a trigger":          "CREATE TRIGGER g AFTER UPDATE ON p FOR EACH ROW DELETE FROM q",
		"a function":         "CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1",
		"a view":             "CREATE VIEW x AS SELECT id AS other FROM p",
		"a generated column": "CREATE TABLE y (id INT PRIMARY KEY, n INT, twice INT AS (2 * n) STORED, KEY (twice))",
		"a time of change":   "CREATE TABLE y (id INT PRIMARY KEY, changed TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, KEY (changed))",
		"partitions":         "CREATE TABLE y (id INT) PARTITION BY HASH (id) PARTITIONS 2",
		"words":              "CREATE TABLE y (id INT PRIMARY KEY, words VARCHAR(99), FULLTEXT KEY (words))",
		"":                   "CREATE TABLE y (n INT)",
	} {
		w := openAnother(t, w, "", "CREATE TABLE p (id INT PRIMARY KEY)", "CREATE TABLE q (id INT PRIMARY KEY)", setup)
		if got, want := w.unsure.Load(), name != ""; got != want {
			t.Errorf("%s: %v, want %v", setup, got, want)
		}
	}
	if w := openAnother(t, w, ""); w.unsure.Load() || w.Address() == "" || !w.unsure.Load() {
		t.Error("who has the address can do anything")
	}
}

// Rows that have exchanged what is unique cannot be changed back one by one.
func TestResetByDifference(t *testing.T) {
	w := openAnother(t, openWorld(t, ""), "",
		"CREATE TABLE p (id INT PRIMARY KEY, u INT UNIQUE, n INT NOT NULL)",
		"CREATE TABLE pair (`a``b` INT, b VARCHAR(9), c INT, twice INT AS (2 * c) VIRTUAL, PRIMARY KEY (b, `a``b`))",
		"CREATE TABLE prefix (a VARCHAR(9), n INT, PRIMARY KEY (a(2)))",
		"CREATE TABLE bare (n INT)",
		"INSERT INTO p VALUES (1, 10, 0), (2, 20, 0), (3, NULL, 0), (4, NULL, 0)",
		"INSERT INTO pair (`a``b`, b, c) VALUES (1, 'x', 1), (1, 'y', 1), (2, 'x', 1)",
		"INSERT INTO prefix VALUES ('abc', 1), ('bbc', 1)",
		"INSERT INTO bare VALUES (1), (1), (2)")
	w.state = []string{"p", "pair", "prefix", "bare"}
	before, err := w.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := connectTo(t, w)
	for _, statements := range [][]string{
		{"UPDATE p SET u = 30 WHERE id = 1", "UPDATE p SET u = 10 WHERE id = 2", "UPDATE p SET u = 20 WHERE id = 1"},
		{"DELETE FROM p WHERE id = 1", "UPDATE p SET u = 10 WHERE id = 3"},
		{"INSERT INTO p VALUES (5, 50, 1)", "UPDATE p SET n = 4"},
		{"UPDATE pair SET b = 'X' WHERE b = 'x'"},
		{"UPDATE pair SET c = 7", "DELETE FROM pair WHERE b = 'y'", "INSERT INTO pair (`a``b`, b) VALUES (7, 'z')"},
		{"UPDATE prefix SET a = 'abd' WHERE a = 'abc'", "DELETE FROM prefix WHERE a = 'bbc'"},
		{"DELETE FROM bare LIMIT 1", "UPDATE bare SET n = 2"},
	} {
		do(t, c, statements...)
		if err := w.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		after, err := w.State(t.Context())
		if err != nil || !reflect.DeepEqual(before, after) {
			t.Errorf("after %v: state %v, want %v (%v)", statements, after, before, err)
		}
	}
}

// openAnother opens a controlled world on the same server.
func openAnother(t *testing.T, beside *world, level racelab.Level, setup ...string) *world {
	t.Helper()
	w, err := beside.server.open(t.Context(), racelab.Config{Level: level, Setup: setup, Controlled: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w.(*world)
}

// settle resets until nothing is left of the set-up.
func settle(t *testing.T, w *world) {
	t.Helper()
	until(t, "a reset finds nothing left", func() bool {
		if err := w.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		return !w.left.Load()
	})
}
