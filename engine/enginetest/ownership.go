package enginetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
)

// attach opens a world a second time, as another process of the same run does.
func (s *suite) attach(t *testing.T) {
	w := s.world(t, "")
	a := s.connect(t, w)
	server, err := s.engine.Start(t.Context(), w.Address())
	if err != nil {
		t.Fatalf("start with the address of a world: %v", err)
	}
	defer server.Close()
	setup := "DROP TABLE account" // must not be run
	other, err := server.Open(t.Context(), racelab.Config{Attach: w.Address(), Setup: []string{setup}, State: schemaTables})
	if err != nil {
		t.Fatalf("attach: %v", err)
	}
	closed := false
	defer func() {
		if !closed {
			other.Close()
		}
	}()

	t.Run("sees the same data", func(t *testing.T) {
		a.exec(t, addOne)
		if diff := cmp.Diff(state(t, w), state(t, other)); diff != "" {
			t.Errorf("state (-here +attached):\n%s", diff)
		}
		b := s.connect(t, other)
		if got := b.number(t, readOne); got != 101 {
			t.Errorf("balance %d, want 101", got)
		}
	})
	t.Run("beside a third process", func(t *testing.T) {
		server, err := s.engine.Start(t.Context(), w.Address())
		if err != nil {
			t.Fatalf("start with the address of a world: %v", err)
		}
		defer server.Close()
		third, err := server.Open(t.Context(), racelab.Config{Attach: w.Address()})
		if err != nil {
			t.Fatalf("attach: %v", err)
		}
		defer third.Close()
		if got := s.connect(t, third).number(t, readOne); got != 101 {
			t.Errorf("balance %d, want 101", got)
		}
	})
	t.Run("waits for the other process's sessions", func(t *testing.T) {
		b := s.connect(t, other)
		a.exec(t, "BEGIN", addOne)
		waiting := b.start(t, addOne)
		untilBlocked(t, other, []*session{b}, b)
		waits, err := other.Waits(t.Context(), connIDs([]*session{b}))
		if err != nil || len(waits) != 1 {
			t.Fatalf("waits %+v, %v", waits, err)
		}
		known := slices.Equal(waits[0].On, []racelab.ConnID{a.ID()}) && waits[0].Outside == ""
		if s.engine.Dialect.Features&racelab.Concurrent == 0 { // an embedded engine may not know who it is in another process
			known = known || waits[0].Outside != ""
		}
		if !known {
			t.Errorf("waits %+v, want for %s", waits, a.ID())
		}
		a.exec(t, "COMMIT")
		if err := waiting.end(); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses to reset", func(t *testing.T) {
		before := state(t, w)
		if err := other.Reset(t.Context()); err == nil {
			t.Error("no error")
		}
		if diff := cmp.Diff(before, state(t, w)); diff != "" {
			t.Errorf("state (-before +after):\n%s", diff)
		}
	})
	t.Run("closing leaves the world", func(t *testing.T) {
		closed = true
		if err := other.Close(); err != nil {
			t.Error(err)
		}
		if got := a.number(t, readOne); got == 0 {
			t.Error("the data is gone")
		}
	})
}

// ownership uses a server that holds somebody else's table, as a DSN names it.
func (s *suite) ownership(t *testing.T) {
	s.only(t, s.dialect.Unreachable != "", "an unreachable DSN is an error without its password", func(t *testing.T) {
		server, err := s.engine.Start(t.Context(), s.dialect.Unreachable)
		if err == nil {
			server.Close()
			t.Fatal("no error")
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows the password: %v", err)
		}
	})
	s.only(t, s.dialect.Databases != "", "what was there before stays", func(t *testing.T) {
		host := open(t, s.server, racelab.Config{})
		dsn := s.dsn
		if dsn == "" {
			dsn = host.Address() // a database like any other, to whoever is told its DSN
		}
		theirs, err := s.dialect.Open(dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer theirs.Close()
		exec := func(q string) {
			t.Helper()
			if _, err := theirs.ExecContext(t.Context(), q); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
		}
		exec("CREATE TABLE account (id integer PRIMARY KEY, balance integer)")
		defer theirs.Exec("DROP TABLE account")
		exec("INSERT INTO account VALUES (1, 42)")
		before := s.databases(t, host)

		server, err := s.engine.Start(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		w, err := server.Open(t.Context(), racelab.Config{Setup: schema(s.engine.Dialect), State: schemaTables})
		if err != nil {
			t.Fatal(err)
		}
		during := s.databases(t, host)
		added := slices.DeleteFunc(slices.Clone(during), func(name string) bool { return slices.Contains(before, name) })
		if len(added) != 1 || !strings.HasPrefix(added[0], "racelab_") {
			t.Errorf("new databases %v, want one named racelab_ and something", added)
		}
		c := connect(t, w, s.engine.Dialect)
		c.exec(t, addOne)
		if err := w.Reset(t.Context()); err != nil {
			t.Error(err)
		}
		c.sql.Close()
		c.Close()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(before, s.databases(t, host)); diff != "" {
			t.Errorf("databases (-before +after):\n%s", diff)
		}
		var balance int
		if err := theirs.QueryRowContext(t.Context(), readOne).Scan(&balance); err != nil || balance != 42 {
			t.Errorf("their balance is %d, %v; want 42", balance, err)
		}
	})
}

// databases lists what the world's server holds, nil where there is no list.
func (s *suite) databases(t *testing.T, w racelab.World) []string {
	t.Helper()
	if s.dialect.Databases == "" {
		return nil
	}
	c := s.connect(t, w)
	defer c.Close()
	tables, _, err := Text(t.Context(), c, s.dialect.Databases)
	if err != nil || len(tables) != 1 {
		t.Fatalf("list the databases: %v", err)
	}
	var names []string
	for _, row := range tables[0].Rows {
		names = append(names, row[0].(string))
	}
	slices.Sort(names)
	return names
}
