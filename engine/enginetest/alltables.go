package enginetest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
)

// allTables is a world of which nothing is declared.
func (s *suite) allTables(t *testing.T) {
	const sum = "SELECT sum(amount) > 5 AS much FROM entry"
	config := racelab.Config{Setup: schema(s.engine.Dialect), AllTables: true, Queries: []string{sum}}
	w := open(t, s.server, config)
	c := s.connect(t, w)
	initial := state(t, w)

	t.Run("shows every table, and what the queries give", func(t *testing.T) {
		var names []string
		for _, table := range initial {
			names = append(names, table.Name)
		}
		if diff := cmp.Diff([]string{"account", "entry", "note", sum}, names); diff != "" {
			t.Errorf("tables (-want +got):\n%s", diff)
		}
		if much, _ := initial.Table(sum); len(much.Rows) != 1 || much.Columns[0] != "much" {
			t.Errorf("the query gives %v", much)
		}
		declared := state(t, s.world(t, ""))
		if diff := cmp.Diff(declared, initial[:3]); diff != "" {
			t.Errorf("(-declared +all tables):\n%s", diff)
		}
	})
	t.Run("knows which columns are made up", func(t *testing.T) {
		schema, err := w.Schema(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range schema.Tables {
			// SQLite's numbers follow from the rows that are there.
			want := table.Name == "entry" && s.engine.Dialect.Features&racelab.Concurrent != 0
			if made := len(table.Generated) > 0; made != want {
				t.Errorf("table %s: made up are %v", table.Name, table.Generated)
			}
		}
	})
	t.Run("counts as before after a reset", func(t *testing.T) {
		var after [2]racelab.State
		for i := range after {
			if err := w.Reset(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(initial, state(t, w)); diff != "" {
				t.Errorf("after a reset (-want +got):\n%s", diff)
			}
			c.exec(t, "INSERT INTO entry (account_id, amount) VALUES (1, 5)", "INSERT INTO entry (account_id, amount) VALUES (1, 6)")
			after[i] = state(t, w)
		}
		if diff := cmp.Diff(after[0], after[1]); diff != "" {
			t.Errorf("(-first run +second):\n%s", diff)
		}
	})
	t.Run("shows tables that a session has made", func(t *testing.T) {
		c.exec(t, "CREATE TABLE made (n integer)", "INSERT INTO made VALUES (7)", "ALTER TABLE note ADD COLUMN more integer")
		now := state(t, w)
		if made, ok := now.Table("made"); !ok || len(made.Rows) != 1 {
			t.Errorf("the table that was made is %v", made)
		}
		if note, _ := now.Table("note"); note.Column("more") < 0 {
			t.Errorf("the table that was changed has %v", note.Columns)
		}
	})
	t.Run("says that a set-up makes no sense", func(t *testing.T) {
		_, err := s.server.Open(t.Context(), racelab.Config{Setup: []string{"CREATE TABLE t (id integer)", "CREATE TABLE"}})
		if !errors.Is(err, racelab.ErrSetup) {
			t.Errorf("the error is %v", err)
		}
	})
}

// named is what a DSN names: nothing on a private server.
func (s *suite) named(t *testing.T) {
	named, err := s.server.Named(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.dsn == "" && (named.Address != "" || len(named.Holds) > 0) {
		t.Errorf("a private server names %v", named)
	}
	if s.engine.Dialect.Features&racelab.Concurrent == 0 {
		return // a path is racelab's own
	}
	other, err := s.engine.Start(t.Context(), s.world(t, "").Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	if named, err = other.Named(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, table := range schemaTables {
		found := false
		for _, name := range named.Holds {
			found = found || name == table || name == "public."+table
		}
		if !found {
			t.Errorf("table %s is not among %v", table, named.Holds)
		}
	}
}
