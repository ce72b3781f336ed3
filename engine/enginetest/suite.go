package enginetest

import (
	"context"
	"database/sql"
	"os"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/racelab/racelab"
)

// patience bounds each statement and each wait for a condition. Nothing takes
// that long unless it hangs.
const patience = 20 * time.Second

// A Dialect is what the suite needs of an engine and nobody else does. A field
// left empty says that the engine does not have the thing.
type Dialect struct {
	// Level is a query for the session's isolation level, in words that
	// racelab.ParseLevel reads.
	Level string
	// Allows lists what each level lets happen.
	Allows map[racelab.Level][]Phenomenon
	// Stale is how a level that does not allow LostUpdate refuses one: what
	// the loser is told.
	Stale map[racelab.Level]racelab.Class

	// AfterError is the class of a statement after one that has failed in its
	// transaction; "" is OK.
	AfterError racelab.Class
	// LockTimeout makes the connection that runs it give up waiting for a row
	// after a second or less.
	LockTimeout string
	// Notice is a statement whose notice contains the word "careful".
	Notice string
	// Busy is a query that runs for a minute without waiting for anybody.
	Busy string
	// Kill is a statement that ends another connection.
	Kill func(racelab.ConnID) string
	// Databases is a query for the names of the server's databases.
	Databases string

	// Open connects to an address or DSN the way a program does that is none
	// of racelab's.
	Open func(address string) (*sql.DB, error)
	// Unreachable is a DSN where nothing answers, with the password "hunter2".
	Unreachable string
}

// Run checks that the engine does what racelab relies on: on a private server
// if dsn is empty, otherwise in the server it names.
//
// The addresses of worlds must be DSNs that the engine's Start takes: that is
// how another process attaches.
func Run(t *testing.T, e racelab.Engine, dsn string, d Dialect) {
	requireProduct(t, e, dsn)
	tmp := ownTemp(t)
	leaks := goleak.IgnoreCurrent()
	server, err := e.Start(t.Context(), dsn)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	s := &suite{engine: e, dialect: d, dsn: dsn, server: server, tmp: tmp}

	t.Run("levels", s.levels)
	t.Run("transactions", s.transactions)
	t.Run("text", s.text)
	t.Run("errors", s.errors)
	t.Run("waits", s.waits)
	t.Run("cancel", s.cancel)
	t.Run("end", s.end)
	t.Run("state", s.state)
	t.Run("all tables", s.allTables)
	t.Run("named", s.named)
	t.Run("attach", s.attach)
	t.Run("ownership", s.ownership)
	s.only(t, s.dsn == "" && s.dialect.Kill != nil, "loss", s.loss)

	if err := server.Close(); err != nil {
		t.Errorf("close the server: %v", err)
	}
	left, err := os.ReadDir(tmp)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		t.Errorf("left behind in the folder for temporary files: %s", entry.Name())
	}
	goleak.VerifyNone(t, leaks)
}

type suite struct {
	engine  racelab.Engine
	dialect Dialect
	dsn     string
	server  racelab.Server
	tmp     string
}

func requireProduct(tb testing.TB, e racelab.Engine, dsn string) {
	tb.Helper()
	if dsn == "" {
		Require(tb, e)
	}
}

// ownTemp gives the test a folder for temporary files, short enough for
// sockets, that shows afterwards what was left behind.
func ownTemp(tb testing.TB) string {
	tb.Helper()
	tmp, err := os.MkdirTemp("", "rt")
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.Chmod(tmp, 0o777); err != nil { // servers run as another user
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(tmp) })
	tb.Setenv("TMPDIR", tmp)
	return tmp
}

// schema has what resets trip over: a foreign key, generated keys, a table
// without rows.
func schema(d racelab.Dialect) []string {
	return []string{
		"CREATE TABLE account (id integer PRIMARY KEY, " + d.Int32("balance") + ", name varchar(20))",
		"CREATE TABLE entry (" + d.AutoKey("id") + ", account_id integer NOT NULL, " + d.Unsigned("amount") +
			", FOREIGN KEY (account_id) REFERENCES account (id))",
		"CREATE TABLE note (id integer PRIMARY KEY, words varchar(20))",
		"INSERT INTO account (id, balance, name) VALUES (1, 100, 'one'), (2, 200, NULL)",
		"INSERT INTO entry (account_id, amount) VALUES (1, 10), (2, 20)",
	}
}

var schemaTables = []string{"account", "entry", "note"}

// world opens a world with the suite's schema and closes it with the test.
func (s *suite) world(t *testing.T, level racelab.Level) racelab.World {
	t.Helper()
	return open(t, s.server, racelab.Config{Level: level, Setup: schema(s.engine.Dialect), State: schemaTables})
}

func open(tb testing.TB, server racelab.Server, c racelab.Config) racelab.World {
	tb.Helper()
	w, err := server.Open(tb.Context(), c)
	if err != nil {
		tb.Fatalf("open a world: %v", err)
	}
	tb.Cleanup(func() {
		if err := w.Close(); err != nil {
			tb.Errorf("close the world: %v", err)
		}
	})
	return w
}

// only runs a test if the engine has what it is about.
func (s *suite) only(t *testing.T, has bool, name string, test func(*testing.T)) {
	t.Helper()
	if has {
		t.Run(name, test)
	}
}

// has reports whether the dialect has the features.
func (s *suite) has(f racelab.Feature) bool { return s.engine.Dialect.Features&f == f }

// expect fails unless err has the class.
func (s *suite) expect(t *testing.T, err error, want racelab.Class) {
	t.Helper()
	if got := s.engine.Dialect.Classify(err); got != want {
		t.Fatalf("class %s, want %s: %v", got, want, err)
	}
}

// eventually asks until the condition holds or patience ends.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(200 * time.Microsecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// blocked asks which of the sessions wait, in their order.
func blocked(t *testing.T, w racelab.World, sessions ...*session) []racelab.ConnID {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ids, err := w.Blocked(ctx, connIDs(sessions))
	if err != nil {
		t.Fatalf("ask who is blocked: %v", err)
	}
	return ids
}

func connIDs(sessions []*session) []racelab.ConnID {
	ids := make([]racelab.ConnID, len(sessions))
	for i, s := range sessions {
		ids[i] = s.ID()
	}
	return ids
}

// untilBlocked asks until exactly the given sessions among all wait.
func untilBlocked(t *testing.T, w racelab.World, all []*session, want ...*session) {
	t.Helper()
	ids := connIDs(want)
	slices.Sort(ids)
	eventually(t, "the sessions that should wait do", func() bool {
		got := blocked(t, w, all...)
		slices.Sort(got)
		return slices.Equal(got, ids)
	})
}
