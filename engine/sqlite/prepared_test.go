package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
)

func TestStatementsThatAreKeptRunAsIfTheyWereNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	c, err := connect(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	exec := func(text string) error {
		_, err := c.ExecContext(context.Background(), text, nil)
		return err
	}
	must := func(text string) {
		t.Helper()
		if err := exec(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	rows := func(query string, want ...[]racelab.Value) {
		t.Helper()
		got, err := c.read(context.Background(), query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		if diff := cmp.Diff(want, got.Rows); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	must("CREATE TABLE a (n INTEGER PRIMARY KEY)")
	rows("SELECT * FROM a")
	must("INSERT INTO a (n) VALUES (1)")
	rows("SELECT * FROM a", []racelab.Value{int64(1)})
	must("ALTER TABLE a ADD COLUMN m")
	rows("SELECT * FROM a", []racelab.Value{int64(1), nil})
	if err := exec("INSERT INTO a (n) VALUES (1)"); classify(err) != racelab.UniqueViolation {
		t.Errorf("the same key again: %v", err)
	}
	must("DELETE FROM a")
	must("INSERT INTO a (n) VALUES (1)")
	for range 2 {
		must("DROP TABLE a")
		if err := exec("INSERT INTO a (n) VALUES (1)"); err == nil {
			t.Error("a table that was dropped takes rows")
		}
		must("CREATE TABLE a (n INTEGER PRIMARY KEY)")
		must("INSERT INTO a (n) VALUES (1)")
	}
	for i := range 3 * keepAtMost {
		rows(fmt.Sprintf("SELECT n + %d FROM a", i), []racelab.Value{int64(1 + i)})
	}
	if len(c.kept) > keepAtMost {
		t.Errorf("%d statements are kept", len(c.kept))
	}
	rows("SELECT * FROM a", []racelab.Value{int64(1)})
}
