package isolation_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/internal/spec"
)

// statements of two sessions that may be in each other's way. A third one would
// race with another for a row that has changed, and PostgreSQL does not say
// who is first.
var statements = []string{
	"BEGIN", "BEGIN ISOLATION LEVEL SERIALIZABLE", "COMMIT", "ROLLBACK", "SAVEPOINT s", "ROLLBACK TO s",
	"SELECT * FROM t ORDER BY id", "SELECT sum(n), max(word) FROM t",
	"UPDATE t SET n = n + 1 WHERE id = 1", "UPDATE t SET n = n * 3 WHERE id = 2 RETURNING n, word", "UPDATE t SET n = n - 1",
	"SELECT * FROM t WHERE id = 1 FOR UPDATE", "SELECT * FROM t WHERE id = 2 FOR SHARE",
	"DELETE FROM t WHERE id = 2", "INSERT INTO t VALUES (3, 3, 'three')", "INSERT INTO t VALUES (2, 0) ON CONFLICT DO NOTHING",
	"LOCK t IN SHARE MODE", "DO $$BEGIN RAISE NOTICE 'so far %', (SELECT count(*) FROM t); UPDATE t SET n = 0; END$$",
	"SELECT 1 / (n - 10) FROM t WHERE id = 1", "SELECT 1 AS a; SELECT 2 AS b",
}

// quick are those of a third session, which never waits.
var quick = []string{
	"SELECT * FROM t ORDER BY id", "SELECT id FROM t ORDER BY id FOR UPDATE SKIP LOCKED", "SELECT n FROM t WHERE id = 1 FOR UPDATE NOWAIT",
	"SELECT pg_try_advisory_xact_lock(1)",
}

func drawSpec(t *rapid.T) *spec.Spec {
	rollback := "ROLLBACK"
	drop := "DROP TABLE t"
	s := &spec.Spec{
		// A test that fails leaves its table.
		Setups:   []string{"DROP TABLE IF EXISTS t", "CREATE TABLE t (id int PRIMARY KEY, n int, word text)", "INSERT INTO t VALUES (1, 10, NULL), (2, -20, 'two')"},
		Teardown: &drop,
	}
	var turns []int // of each step, whose it is
	for i, choice := range [][]string{statements, statements, quick} {
		timeout := "SET deadlock_timeout = '300ms'"
		session := spec.Session{Name: fmt.Sprint("s", i), Setup: &timeout, Teardown: &rollback}
		least, most := 2, 5
		if i == 2 {
			least, most = 1, 2
		}
		for j, sql := range rapid.SliceOfN(rapid.SampledFrom(choice), least, most).Draw(t, session.Name) {
			session.Steps = append(session.Steps, spec.Step{Name: fmt.Sprintf("s%d_%d", i, j), SQL: sql})
			turns = append(turns, i)
		}
		if i < 2 && rapid.Bool().Draw(t, "begins") {
			session.Steps[0].SQL = "BEGIN"
		}
		s.Sessions = append(s.Sessions, session)
	}
	for range 2 {
		next := make([]int, len(s.Sessions))
		var p spec.Permutation
		for _, i := range rapid.Permutation(turns).Draw(t, "order") {
			scheduled := spec.Scheduled{Step: s.Sessions[i].Steps[next[i]].Name}
			next[i]++
			if rapid.IntRange(0, 7).Draw(t, "delayed") == 0 {
				others := s.Sessions[(i+1)%2].Steps
				m := spec.Marker{Kind: spec.AfterStep, Step: rapid.SampledFrom(others).Draw(t, "until").Name}
				if rapid.Bool().Draw(t, "by notices") {
					m.Kind, m.Notices = spec.AfterNotices, rapid.IntRange(0, 1).Draw(t, "notices")
				}
				scheduled.Markers = []spec.Marker{m}
			}
			p = append(p, scheduled)
		}
		if rapid.Bool().Draw(t, "marked") {
			// Not before: in the reference program it races with what follows.
			p[len(p)-1].Markers = append(p[len(p)-1].Markers, spec.Marker{Kind: spec.Once})
		}
		s.Permutations = append(s.Permutations, p)
	}
	return s
}

func TestGeneratedTestsPrintTheSame(t *testing.T) {
	program := enginetest.RequireIsolationTester(t)
	server := start(t)
	compared, waited, failed, stuck := 0, 0, 0, 0
	inWorld(t, server, func(a racelab.World) {
		inWorld(t, server, func(b racelab.World) {
			rapid.Check(t, func(rt *rapid.T) {
				src := drawSpec(rt).String()
				got := ours(t.Context(), rt, src, a)
				if strings.Contains(got.Text, "\nracelab: ") {
					stuck++ // the reference program would wait for its timeout
					return
				}
				want := theirs(t.Context(), rt, program, src, b)
				if diff := cmp.Diff(want, got, ignoreTime); diff != "" {
					rt.Fatalf("%s\n(-want +got):\n%s", src, diff)
				}
				if compared++; strings.Contains(got.Text, "<waiting ...>") {
					waited++
				}
				if !got.OK {
					failed++
				}
			})
		})
	})
	t.Logf("%d tests printed the same, %d of them with steps that wait, %d with failure; %d more schedule a session that waits for ever", compared, waited, failed, stuck)
	if compared == 0 || waited == 0 {
		t.Error("the comparison says nothing")
	}
}
