package mysql

import (
	"database/sql"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
)

func TestNoWait(t *testing.T) {
	w := openWorld(t, "")
	a, b := connectTo(t, w), connectTo(t, w)
	do(t, a, "BEGIN", "UPDATE t SET v = 0 WHERE id = 1")
	db := sql.OpenDB(lender{b})
	defer db.Close()
	const query = "SELECT v FROM t WHERE id = ? FOR UPDATE NOWAIT"
	ways := map[string]func() error{
		"query": func() error { var v int; return db.QueryRow(query, 1).Scan(&v) },
		"exec":  func() error { _, err := db.Exec(query, 1); return err },
		"prepared": func() error {
			stmt, err := db.Prepare(query)
			if err != nil {
				return err
			}
			defer stmt.Close()
			var v int
			return stmt.QueryRow(1).Scan(&v)
		},
		"text": func() error {
			_, _, err := enginetest.Text(t.Context(), b, strings.Replace(query, "?", "1", 1))
			return err
		},
		"WAIT 0": func() error { _, err := db.Exec("SELECT v FROM t WHERE id = 1 FOR UPDATE WAIT 0"); return err },
		"in its middle": func() error {
			var v int
			return db.QueryRow("SELECT v FROM t ORDER BY id DESC LIMIT 3 FOR UPDATE NOWAIT").Scan(&v)
		},
		"metadata": func() error { _, err := db.Exec("ALTER TABLE t NOWAIT ADD COLUMN w INT"); return err },
	}
	for _, name := range slices.Sorted(maps.Keys(ways)) {
		err := ways[name]()
		if got := classify(err); got != racelab.LockNotAvailable {
			t.Errorf("%s: class %s, want %s: %v", name, got, racelab.LockNotAvailable, err)
		}
	}
	do(t, b, "SET SESSION innodb_lock_wait_timeout = 1")
	_, err := db.Exec("UPDATE t SET v = 1 WHERE id = 1 -- NOWAIT")
	if got := classify(err); got != racelab.LockTimeout {
		t.Errorf("with the word in a comment: class %s, want %s: %v", got, racelab.LockTimeout, err)
	}
	do(t, a, "ROLLBACK")
}

func TestResetWithGeneratedColumnAndZeroKey(t *testing.T) {
	w := openWorld(t, "", "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'", "INSERT INTO u (id, v) VALUES (0, 7)")
	before, err := w.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := connectTo(t, w)
	do(t, c, "DELETE FROM u", "UPDATE t SET id = id + 1000")
	if err := w.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := w.State(t.Context())
	if err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("state %v, want %v (%v)", after, before, err)
	}
}

func TestTextForms(t *testing.T) {
	w := openWorld(t, "")
	c := connectTo(t, w)
	for query, want := range map[string]string{
		"SELECT CAST('2024-02-03' AS DATE)":                   "2024-02-03",
		"SELECT CAST('2024-02-03 04:05:06' AS DATETIME)":      "2024-02-03 04:05:06",
		"SELECT CAST('2024-02-03 04:05:06.5' AS DATETIME(3))": "2024-02-03 04:05:06.500",
		"SELECT CAST('-01:02:03' AS TIME)":                    "-01:02:03",
		"SELECT 18446744073709551615":                         "18446744073709551615",
		"SELECT -5":                                           "-5",
		"SELECT 1.50":                                         "1.50",
		"SELECT 1e20":                                         "1e20",
		"SELECT 1e0 / 4":                                      "0.25",
		"SELECT 15e-17":                                       "1.5e-16",
		"SELECT 123456e0":                                     "123456",
		"SELECT X'6162'":                                      "ab",
		"SELECT TRUE":                                         "1",
	} {
		got, _, err := enginetest.Text(t.Context(), c, query)
		if err != nil || len(got) != 1 || got[0].Rows[0][0] != want {
			t.Errorf("%s: %v, %v; want %s", query, got, err, want)
			continue
		}
		// The server's own text, as a string.
		if again, _, err := enginetest.Text(t.Context(), c, strings.Replace(query, "SELECT ", "SELECT CONCAT(", 1)+")"); err != nil || again[0].Rows[0][0] != want {
			t.Errorf("%s: the server says %v, %v; want %s", query, again, err, want)
		}
	}
}

func TestStoredProgramsAndUnknownFunctions(t *testing.T) {
	w := openWorld(t, "")
	c := connectTo(t, w)
	do(t, c, "CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END")
	got, _, err := enginetest.Text(t.Context(), c, "CALL p()")
	if err != nil || len(got) != 2 {
		t.Errorf("CALL gave %v, %v; want two results", got, err)
	}
	if _, _, err := enginetest.Text(t.Context(), c, "SELECT nosuch(1)"); err == nil || !strings.Contains(err.Error(), "nosuch") {
		t.Errorf("an unknown function: %v", err)
	}
}
