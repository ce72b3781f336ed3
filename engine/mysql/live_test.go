package mysql

import (
	"testing"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
)

// patience bounds each wait for a condition.
const patience = 20 * time.Second

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// openWorld gives a private server with a world of two tables.
func openWorld(t *testing.T, level racelab.Level, more ...string) *world {
	t.Helper()
	s := enginetest.Start(t, Engine)
	w, err := s.(*server).open(t.Context(), racelab.Config{
		Level: level,
		Setup: append([]string{
			"CREATE TABLE t (id INT PRIMARY KEY, v INT, KEY (v))",
			"CREATE TABLE u (" + Dialect.AutoKey("id") + ", v INT, twice INT AS (2 * v) STORED)",
			"INSERT INTO t VALUES (1, 10), (2, 20), (10, 100)",
			"INSERT INTO u (v) VALUES (1), (2)",
		}, more...),
		State: []string{"t", "u"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w.(*world)
}

func connectTo(t *testing.T, w racelab.World) *conn {
	t.Helper()
	c, err := w.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*conn)
}

func do(t *testing.T, c *conn, statements ...string) {
	t.Helper()
	for _, q := range statements {
		if _, _, err := enginetest.Text(t.Context(), c, q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

// begin gives the statement to the server and waits until it waits for a lock.
func begin(t *testing.T, c *conn, statement string) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	ctx := t.Context()
	go func() {
		_, _, err := enginetest.Text(ctx, c, statement)
		done <- err
	}()
	until(t, statement+" waits", func() bool {
		blocked, err := c.world.Blocked(ctx, []racelab.ConnID{c.ID()})
		if err != nil {
			t.Fatal(err)
		}
		return len(blocked) == 1
	})
	return done
}
