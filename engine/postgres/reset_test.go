package postgres_test

import (
	"fmt"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
)

// What makes a table hard to fill again: triggers, generated columns, keys that
// only the server may give, tables that refer to each other, odd names.
func TestResetOfDifficultTables(t *testing.T) {
	s := private(t)
	tables := []string{"chicken", "egg", `"Odd ""name"""`, "log"}
	w, err := s.Open(t.Context(), racelab.Config{State: tables, Setup: []string{
		`CREATE TABLE chicken (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, egg bigint, twice bigint GENERATED ALWAYS AS (egg * 2) STORED)`,
		`CREATE TABLE egg (id bigint PRIMARY KEY, chicken bigint REFERENCES chicken (id))`,
		`ALTER TABLE chicken ADD FOREIGN KEY (egg) REFERENCES egg (id)`,
		`CREATE TABLE "Odd ""name""" ("a column" text, gone integer)`,
		`ALTER TABLE "Odd ""name""" DROP COLUMN gone`,
		`CREATE TABLE log (what text)`,
		`CREATE FUNCTION logs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (TG_OP); RETURN NULL; END $$`,
		`CREATE TRIGGER logs AFTER INSERT OR UPDATE OR DELETE ON egg FOR EACH ROW EXECUTE FUNCTION logs()`,
		`INSERT INTO chicken DEFAULT VALUES; INSERT INTO egg VALUES (7, 1); UPDATE chicken SET egg = 7`,
		`INSERT INTO "Odd ""name""" VALUES ('x')`,
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	read := func() string {
		t.Helper()
		state, err := w.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(state)
	}
	initial := read()
	c, err := w.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		if _, _, err := enginetest.Text(t.Context(), c, `INSERT INTO egg VALUES (8, 1); UPDATE chicken SET egg = 8; DELETE FROM egg WHERE id = 7; DELETE FROM "Odd ""name"""`); err != nil {
			t.Fatal(err)
		}
		if read() == initial {
			t.Fatal("the statements changed nothing")
		}
		if err := w.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := read(); got != initial {
			t.Errorf("state %s\nwant  %s", got, initial)
		}
	}
	if _, _, err := enginetest.Text(t.Context(), c, "INSERT INTO egg VALUES (9, 99)"); err == nil {
		t.Error("foreign keys are off for sessions")
	}
}
