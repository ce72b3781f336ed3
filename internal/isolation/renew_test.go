package isolation_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/isolation"
)

// watched says what is about to be sent to a world.
type watched struct {
	racelab.World
	sent func(sql string)
}

func (w watched) Connect(ctx context.Context) (racelab.Conn, error) {
	c, err := w.World.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return watchedConn{c, w.sent}, nil
}

type watchedConn struct {
	racelab.Conn
	sent func(sql string)
}

func (c watchedConn) Text(ctx context.Context, sql string, heard func(racelab.Answer)) error {
	c.sent(sql)
	return c.Conn.Text(ctx, sql, heard)
}

func (c watchedConn) Idle() bool { return c.Conn.(interface{ Idle() bool }).Idle() }

// again reports whether a text brings tables back.
func again(sql string) bool {
	return strings.Contains(sql, "EXECUTE renew0; EXECUTE ")
}

// counted runs a test and says how often its tables were made, how often they were
// brought back, and what was printed. Somebody else runs a statement before they are
// brought back for the at-th time, if at is not 0.
func counted(t *testing.T, server racelab.Server, src string, at int, meanwhile string) (made, renewed int, printed string) {
	inWorld(t, server, func(w racelab.World) {
		other, err := w.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		got := ours(t.Context(), t, src, watched{w, func(sql string) {
			if strings.HasPrefix(sql, "CREATE TABLE") {
				made++
			}
			if !again(sql) {
				return
			}
			if renewed++; renewed == at {
				if err := other.Text(t.Context(), meanwhile, func(racelab.Answer) {}); err != nil {
					t.Error(err)
				}
			}
		}})
		printed = got.Text
	})
	return made, renewed, printed
}

const plainReads = `
setup { CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0); }
teardown { DROP TABLE t; }
session s1 step a1 { SELECT n FROM t WHERE id = 1; } step b1 { UPDATE t SET n = n + 1; } step c1 { SELECT 1 AS one; }
session s2 step a2 { SELECT * FROM t; } step b2 { SELECT count(*) FROM t; } step c2 { SELECT n FROM t WHERE id = 2; }
`

func TestTablesAreUsedAgain(t *testing.T) {
	const orders = 20 // of plainReads
	server := start(t)
	made, renewed, printed := counted(t, server, plainReads, 0, "")
	if made != 1 || renewed != orders-1 {
		t.Errorf("tables were made %d times and brought back %d times; want 1 and %d", made, renewed, orders-1)
	}
	// What a planner knows of them is what it knows of new ones: the permutation
	// runs again, and that one and all others in new ones.
	for _, at := range []int{2, 7} {
		made, _, same := counted(t, server, plainReads, at, "ANALYZE t")
		if want := 2 + orders - at; made != want {
			t.Errorf("tables whose rows were counted before they were brought back for the %dth time were made %d times; want %d", at, made, want)
		}
		if same != printed {
			t.Errorf("it printed\n%s\nand not\n%s", same, printed)
		}
	}
}

// Who interrupts a test is told how far it came.
func TestAnInterruptedPermutationIsTold(t *testing.T) {
	inWorld(t, start(t), func(w racelab.World) {
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		counts := 0
		var both strings.Builder
		err := isolation.Run(ctx, parse(t, plainReads), watched{w, func(sql string) {
			if strings.Contains(sql, "count(*) FROM t;") {
				if counts++; counts == 5 {
					interrupt()
				}
			}
		}}, isolation.Options{Out: &both, Err: &both})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("it ends with %v", err)
		}
		if got := strings.Count(both.String(), "\nstarting permutation"); got != 5 {
			t.Errorf("%d permutations were told; want 5:\n%s", got, &both)
		}
	})
}

// What is not seen in its text, a server or the tables themselves tell.
func TestTablesAreMadeAnew(t *testing.T) {
	server := start(t)
	for name, change := range map[string][2]string{
		"a timeout":            {"SELECT * FROM t;", "SELECT 'lock_timeout', n FROM t;"},
		"a table without rows": {"INSERT INTO t VALUES (1, 0), (2, 0);", ""},
	} {
		t.Run(name, func(t *testing.T) {
			src := strings.Replace(plainReads, change[0], change[1], 1)
			if src == plainReads {
				t.Fatal("nothing is changed")
			}
			if _, renewed, printed := counted(t, server, src, 0, ""); renewed != 0 || !strings.Contains(printed, "step b2") {
				t.Errorf("tables were brought back %d times:\n%s", renewed, printed)
			}
		})
	}
}

// What a database holds besides may be called by any statement.
func TestTablesAreMadeAnewBesideOthers(t *testing.T) {
	inWorld(t, start(t), func(w racelab.World) {
		c, err := w.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Text(t.Context(), "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", func(racelab.Answer) {}); err != nil {
			t.Fatal(err)
		}
		ours(t.Context(), t, plainReads, watched{w, func(sql string) {
			if again(sql) {
				t.Error("tables are used again")
			}
		}})
	})
}
