package isolation_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/isolation"
)

const (
	open  = "session s# setup { BEGIN; } step a# { UPDATE t SET n = n + 1 WHERE id = #; } step b# { SELECT * FROM t; COMMIT; }\n"
	stuck = "session s# setup { BEGIN; } step a# { UPDATE t SET n = n + 1 WHERE id < 3; } step b# { SELECT * FROM t; } teardown { ROLLBACK; }\n"
)

// inLanes says what a test prints, and in how many lanes it ran.
func inLanes(t *testing.T, server racelab.Server, lanes int, src string) (got output, used int64) {
	var moved atomic.Int64
	inWorld(t, server, func(w racelab.World) {
		got = oursIn(t.Context(), t, lanes, src, watched{w, func(sql string) {
			if strings.Contains(sql, "CREATE SCHEMA") {
				moved.Add(1)
			}
		}}, 0)
	})
	return got, 1 + moved.Load()
}

func TestLanesPrintWhatOneDoes(t *testing.T) {
	server := start(t)
	for name, src := range map[string]string{
		"every order":                             ninety(open),
		"permutations that are given up":          ninety(stuck),
		"a teardown behind a lock in the midst":   many(ninety(open), "permutation a2 a1 b2\n", 44),
		"a test that fails in the midst":          many(ninety(open), "permutation a1(a2) a2(a1)\n", 44),
		"a set-up of a session that always fails": strings.Replace(ninety(open), "setup { BEGIN; }", "setup { BEGIN; SELECT 1 / 0; }", 1),
	} {
		t.Run(name, func(t *testing.T) {
			want, _ := inLanes(t, server, 1, src)
			got, used := inLanes(t, server, 4, src)
			if diff := cmp.Diff(want, got, ignoreTime); diff != "" {
				t.Errorf("(-one +four):\n%s", diff)
			}
			if used != 4 {
				t.Errorf("it ran in %d lanes", used)
			}
		})
	}
}

// many names permutations of a test, and one of another kind among them.
func many(src, odd string, at int) string {
	for i := range 90 {
		if i == at {
			src += odd
		} else {
			src += []string{"permutation a1 b1 a2 b2 a3 b3\n", "permutation a3 a2 b3 b2 a1 b1\n", "permutation a1 a2 b1 b2 a3 b3\n"}[i%3]
		}
	}
	return src
}

// What is one for a whole database, or a whole server, is in each other's way.
func TestWhatIsNotApartRunsInOneLane(t *testing.T) {
	server := start(t)
	if _, used := inLanes(t, server, 2, plainReads); used != 1 {
		t.Errorf("six permutations ran in %d lanes", used)
	}
	for name, change := range map[string][2]string{
		"an advisory lock":            {"SELECT * FROM t;", "SELECT pg_try_advisory_xact_lock(1);"},
		"a serializable transaction":  {"BEGIN;", "BEGIN ISOLATION LEVEL SERIALIZABLE;"},
		"a schema's name":             {"SELECT * FROM t;", "SELECT * FROM public.t;"},
		"another search path":         {"BEGIN;", "SET search_path = public; BEGIN;"},
		"another schema":              {"BEGIN;", "SET SCHEMA 'public'; BEGIN;"},
		"a timeout":                   {"BEGIN;", "BEGIN; SET LOCAL lock_timeout = '1min';"},
		"serializable by setting":     {"BEGIN;", "SET default_transaction_isolation = 'serializable'; BEGIN;"},
		"tables that are not renewed": {"SELECT * FROM t;", "SELECT * FROM pg_stat_all_tables WHERE false;"},
	} {
		t.Run(name, func(t *testing.T) {
			src := strings.Replace(ninety(open), change[0], change[1], 1)
			if src == ninety(open) {
				t.Fatal("nothing is changed")
			}
			if _, used := inLanes(t, server, 2, src); used != 1 {
				t.Errorf("it ran in %d lanes", used)
			}
		})
	}
}

// Whoever stops the test stops all its lanes.
func TestLanesEndWithTheTest(t *testing.T) {
	inWorld(t, start(t), func(w racelab.World) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var renewals atomic.Int64
		var out bytes.Buffer
		started := time.Now()
		err := isolation.Run(ctx, parse(t, ninety(open)), watched{w, func(sql string) {
			if again(sql) && renewals.Add(1) == 10 {
				cancel()
			}
		}}, isolation.Options{Out: &out, Err: &out, Lanes: 4})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v after %v", err, time.Since(started))
		}
		if n := strings.Count(out.String(), "\nstarting permutation"); n > 20 {
			t.Errorf("%d permutations were printed", n)
		}
	})
}
