package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
)

// TestHoldersAgree compares what is computed from the text with what the
// server's own tables say, for every kind of lock.
func TestHoldersAgree(t *testing.T) {
	tests := []struct {
		name         string
		level        racelab.Level
		hold, second string // A's, and B's that may or may not wait
		wait         string // C's, that waits
		on           string // for whom
	}{
		{"a record", racelab.ReadCommitted, "UPDATE t SET v = 1 WHERE id = 1", "", "UPDATE t SET v = 2 WHERE id = 1", "A"},
		{"a queue", racelab.ReadCommitted, "UPDATE t SET v = 1 WHERE id = 1", "UPDATE t SET v = 2 WHERE id = 1", "UPDATE t SET v = 3 WHERE id = 1", "AB"},
		{"two readers", racelab.RepeatableRead, "SELECT * FROM t WHERE id = 1 LOCK IN SHARE MODE", "SELECT * FROM t WHERE id = 1 LOCK IN SHARE MODE", "UPDATE t SET v = 3 WHERE id = 1", "AB"},
		{"a gap", racelab.RepeatableRead, "SELECT * FROM t WHERE id = 5 FOR UPDATE", "SELECT * FROM t WHERE id = 6 FOR UPDATE", "INSERT INTO t VALUES (7, 7)", "AB"},
		{"the end of the table", racelab.RepeatableRead, "SELECT * FROM t WHERE id > 50 FOR UPDATE", "SELECT * FROM t WHERE id = 60 FOR UPDATE", "INSERT INTO t VALUES (99, 7)", "AB"},
		{"a range by another index", racelab.RepeatableRead, "SELECT * FROM t WHERE v BETWEEN 15 AND 50 FOR UPDATE", "SELECT * FROM t WHERE v = 30 FOR UPDATE", "INSERT INTO t VALUES (7, 30)", "AB"},
		{"the whole table", racelab.Serializable, "SELECT * FROM t IGNORE INDEX (v)", "SELECT * FROM t WHERE id = 2", "UPDATE t SET v = v + 1 WHERE id = 2", "AB"},
		{"an inserted key", racelab.ReadCommitted, "INSERT INTO t VALUES (3, 3)", "", "INSERT INTO t VALUES (3, 4)", "A"},
		{"an implicit lock on an index", racelab.RepeatableRead, "UPDATE t SET v = 77 WHERE id = 2", "", "SELECT * FROM t WHERE v = 77 FOR UPDATE", "A"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := openWorld(t, test.level)
			a, b, c := connectTo(t, w), connectTo(t, w), connectTo(t, w)
			do(t, a, "BEGIN", test.hold)
			do(t, b, "BEGIN")
			do(t, c, "BEGIN")
			second := make(chan error, 1)
			if test.second == "" {
				second <- nil
			} else {
				go func() { _, _, err := enginetest.Text(context.Background(), b, test.second); second <- err }()
				until(t, "B's statement ended or waits", func() bool {
					blocked, _ := w.Blocked(t.Context(), []racelab.ConnID{b.ID()})
					return len(second) == 1 || len(blocked) == 1
				})
			}
			waiting := begin(t, c, test.wait)

			admin, err := w.admin.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer admin.Close()
			g, err := look(t.Context(), admin)
			if err != nil {
				t.Fatal(err)
			}
			want := edges{c.id: nil}
			for _, letter := range test.on {
				want.add(c.id, map[rune]uint64{'A': a.id, 'B': b.id}[letter])
			}
			got, complete := g.innodb.holders()
			sorted(got)
			if !complete || !slices.Equal(got[c.id], want[c.id]) {
				t.Errorf("computed %v (complete: %v), want %v", got, complete, want)
			}
			cached, err := cachedLockWaits(t.Context(), admin, nil)
			if err != nil {
				t.Fatal(err)
			}
			sorted(cached)
			for id, on := range cached { // it lacks those that the server cannot tell apart
				if !slices.Equal(on, got[id]) {
					t.Errorf("connection %d waits for %v, the server says %v", id, got[id], on)
				}
			}
			if len(cached) == 0 {
				t.Log("the server's own tables cannot tell")
			}
			do(t, a, "ROLLBACK")
			<-second
			do(t, b, "ROLLBACK")
			if err := <-waiting; err != nil {
				t.Error(err)
			}
		})
	}
}

func sorted(e edges) {
	for _, on := range e {
		slices.Sort(on)
	}
}

// A transaction with more than ten locks is printed in part.
func TestManyLocks(t *testing.T) {
	var setup []string
	for i := range 15 {
		setup = append(setup, fmt.Sprintf("CREATE TABLE x%d (id INT PRIMARY KEY)", i), fmt.Sprintf("INSERT INTO x%d VALUES (1)", i))
	}
	w := openWorld(t, "", setup...)
	a, b := connectTo(t, w), connectTo(t, w)
	do(t, a, "BEGIN")
	for i := range 15 {
		do(t, a, fmt.Sprintf("SELECT * FROM x%d WHERE id = 1 FOR UPDATE", i))
	}
	waiting := begin(t, b, "DELETE FROM x14")
	for range 3 { // at once, and again while the cache is younger than it likes
		waits, err := w.Waits(t.Context(), []racelab.ConnID{a.ID(), b.ID()})
		if err != nil || len(waits) != 1 || waits[0].Conn != b.ID() || !slices.Equal(waits[0].On, []racelab.ConnID{a.ID()}) {
			t.Errorf("waits %+v, %v; want %s on %s", waits, err, b.ID(), a.ID())
		}
	}
	do(t, a, "ROLLBACK")
	if err := <-waiting; err != nil {
		t.Error(err)
	}
}

// After a deadlock the status names its sessions for ever, as waiting.
func TestDeadlockIsNoWaitAfterwards(t *testing.T) {
	w := openWorld(t, "")
	a, b := connectTo(t, w), connectTo(t, w)
	do(t, a, "BEGIN", "UPDATE t SET v = 0 WHERE id = 1")
	do(t, b, "BEGIN", "UPDATE t SET v = 0 WHERE id = 2")
	waiting := begin(t, a, "UPDATE t SET v = 0 WHERE id = 2")
	_, _, errB := enginetest.Text(t.Context(), b, "UPDATE t SET v = 0 WHERE id = 1")
	do(t, b, "ROLLBACK")
	errA := <-waiting
	if got := []racelab.Class{classify(errA), classify(errB)}; !slices.Contains(got, racelab.Deadlock) {
		t.Fatalf("classes %v, want a deadlock", got)
	}
	var engine, name, text string
	if err := w.admin.QueryRow("SHOW ENGINE INNODB STATUS").Scan(&engine, &name, &text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, "LATEST DETECTED DEADLOCK") || !strings.Contains(text, "LOCK WAIT") {
		t.Fatal("the status does not remember the deadlock: this test tests nothing")
	}
	if blocked, err := w.Blocked(t.Context(), []racelab.ConnID{a.ID(), b.ID()}); err != nil || len(blocked) != 0 {
		t.Errorf("blocked %v, %v", blocked, err)
	}
}

// A server that does not record metadata locks, as a named one may be.
func TestHoldersWithoutPerformanceSchema(t *testing.T) {
	w := openWorld(t, "")
	w.lockHolders = userLockHolders
	w.rowHolders = cachedLockWaits
	a, b := connectTo(t, w), connectTo(t, w)
	check := func(what string, on ...racelab.ConnID) {
		t.Helper()
		waits, err := w.Waits(t.Context(), []racelab.ConnID{a.ID(), b.ID()})
		if err != nil || len(waits) != 1 || waits[0].What != what || !slices.Equal(waits[0].On, on) || (waits[0].Outside == "") != (len(on) > 0) {
			t.Errorf("waits %+v, %v; want %s on %v", waits, err, what, on)
		}
	}
	do(t, a, Dialect.AdvisoryLock(3))
	waiting := begin(t, b, Dialect.AdvisoryLock(3))
	check("advisory", a.ID())
	do(t, a, Dialect.AdvisoryUnlock(3), "BEGIN", "UPDATE t SET v = 5 WHERE id = 1")
	<-waiting
	waiting = begin(t, b, "UPDATE t SET v = 6 WHERE id = 1")
	check("row", a.ID())
	do(t, a, "COMMIT")
	<-waiting
	do(t, a, "BEGIN", "UPDATE t SET v = 5 WHERE id = 1")
	waiting = begin(t, b, "ALTER TABLE t ADD COLUMN w INT")
	check("metadata")
	do(t, a, "COMMIT")
	<-waiting
}
