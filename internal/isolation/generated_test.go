package isolation_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/internal/spec"
)

// features is what tests must have held that were compared: a pattern of the
// file, or of what was printed.
var features = []struct {
	name     string
	in, said string
}{
	{name: "three sessions", in: `(?s)session.*session.*session`},
	{name: "all orders", in: `(?s)\A[^\x00]*\}\n*\z`},
	{name: "several set-ups", in: `(?s)setup.*\nsetup.*\nsetup.*\nteardown`},
	{name: "a session's set-up", in: `(?s)session[^\n]*\nsetup`},
	{name: "a session's teardown", said: `(?s)bye`},
	{name: "a key is violated", said: `duplicate key`},
	{name: "a foreign key is violated", said: `violates foreign key`},
	{name: "a foreign key waits", said: `INSERT INTO child[^\n]*<waiting`},
	{name: "a row lock waits", said: `FOR (UPDATE|SHARE|NO KEY UPDATE|KEY SHARE) ?;? *<waiting`},
	{name: "an update waits", said: `UPDATE t [^\n]*<waiting`},
	{name: "an advisory lock waits", said: `pg_advisory[^\n]*<waiting`},
	{name: "a lock on a table waits", said: `LOCK [tv][^\n]*<waiting`},
	{name: "a deadlock", said: `deadlock detected`},
	{name: "NOWAIT", said: `could not obtain lock`},
	{name: "SKIP LOCKED", in: `SKIP LOCKED`},
	{name: "READ UNCOMMITTED", in: `READ UNCOMMITTED`},
	{name: "READ COMMITTED", in: `READ COMMITTED`},
	{name: "REPEATABLE READ", said: `due to concurrent (update|delete)`},
	{name: "SERIALIZABLE", said: `read/write dependencies`},
	{name: "DEFERRABLE", in: `DEFERRABLE`},
	{name: "a notice", said: `NOTICE:  heard`},
	{name: "a notice of a trigger", said: `NOTICE:  (INSERT|UPDATE) of`},
	{name: "a warning", said: `WARNING:  `},
	{name: "a syntax error", said: `syntax error`},
	{name: "an aborted transaction", said: `current transaction is aborted`},
	{name: "a savepoint", in: `ROLLBACK TO s`},
	{name: "a transaction is prepared", said: `PREPARE TRANSACTION[^\n]*\nstep`},
	{name: "a prepared transaction ends", said: `(COMMIT|ROLLBACK) PREPARED[^\n]*\n(step|\n|\z)`},
	{name: "several statements", in: `SELECT 1 AS a; SELECT`},
	{name: "no statement", in: `step [^\n]* \{ +;? *\}`},
	{name: "a cursor", said: `FETCH [^\n]*\nid`},
	{name: "COPY", in: `COPY t`},
	{name: "DDL", in: `(CREATE|ALTER) TABLE (made|t ADD)`},
	{name: "NOTIFY", said: `NOTIFY "news" with payload`},
	{name: "lock_timeout", said: `due to lock timeout`},
	{name: "statement_timeout", said: `due to statement timeout`},
	{name: "marker (*)", in: `\(\*`},
	{name: "marker (step)", in: `permutation[^\n]*\(("Step \d_\d"|s\d_\d)\)`},
	{name: "marker (step notices n)", in: `notices \d`},
	{name: "an unused step", said: `unused step name`},
	{name: "a step twice delayed", said: `<waiting[^\n]*\n(.*\n)*step .*<waiting`},
	{name: "no columns", in: `\{ SELECT *;? *\}`},
	{name: "wide characters", said: `日本語`},
	{name: "two lines in a value", said: `two\nlines`},
	{name: "arrays", said: `\{1,2\}`},
	{name: "no rows", said: `\(0 rows\)`},
	{name: "a set-up's table", said: `starting permutation[^\n]*\n *id\|`},
	{name: "a teardown's table", said: `gone`},
}

// servers is how many work at a time. They are more than processors, because the
// reference program spends most of its time in waiting.
const servers = 4

// doubted is of how many permutations that wait for ever it is looked whether the
// reference program does so too, which takes it a second.
const doubted = 10

// A tally counts what was compared. Several goroutines use it.
type tally struct {
	mu                                    sync.Mutex
	compared, permutations, waited, stuck int
	their, our                            time.Duration
	renewals                              atomic.Int64
	has                                   []int // by feature
	patterns                              [][2]*regexp.Regexp
}

func newTally() *tally {
	c := &tally{has: make([]int, len(features))}
	for _, f := range features {
		c.patterns = append(c.patterns, [2]*regexp.Regexp{regexp.MustCompile(f.in), regexp.MustCompile(f.said)})
	}
	return c
}

func (c *tally) add(src string, want, got output) {
	said := got.Text
	c.mu.Lock()
	defer c.mu.Unlock()
	c.compared, c.their, c.our = c.compared+1, c.their+want.took, c.our+got.took
	c.permutations += strings.Count(said, "\nstarting permutation")
	if strings.Contains(said, "<waiting ...>") {
		c.waited++
	}
	for i, p := range c.patterns {
		if p[0].MatchString(src) && p[1].MatchString(said) {
			c.has[i]++
		}
	}
}

func (c *tally) sent(sql string) {
	if again(sql) {
		c.renewals.Add(1)
	}
}

func (c *tally) more(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.compared < n
}

func (c *tally) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%d tests of %d permutations printed the same, %d of them with steps that wait; %d permutations more wait for ever; tables were brought back %d times; %v, and racelab %v\n",
		c.compared, c.permutations, c.waited, c.stuck, c.renewals.Load(), c.their, c.our)
	for i, f := range features {
		fmt.Fprintf(&out, "%6d %s\n", c.has[i], f.name)
	}
	return out.String()
}

// A pair of worlds on one server, in turn for the reference program and for
// racelab: what is prepared in one is in the other's way.
type pair struct{ theirs, ours racelab.World }

// clean ends what a test that has failed has left prepared.
func (p pair) clean(t *rapid.T) {
	t.Helper()
	for _, w := range []racelab.World{p.theirs, p.ours} {
		c, err := w.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, sql := range []string{"ROLLBACK PREPARED 'p1'", "ROLLBACK PREPARED 'p2'", "DROP TABLE IF EXISTS child, t, log"} {
			_ = c.Text(t.Context(), sql, func(racelab.Answer) {}) // mostly not there
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGeneratedTestsPrintTheSame(t *testing.T) {
	program := enginetest.RequireIsolationTester(t)
	n := 500
	if os.Getenv("RACELAB_SOAK") != "" {
		n = 20_000
	}
	counts := newTally()
	started := time.Now()
	var all sync.WaitGroup
	for i := range servers {
		all.Go(func() {
			t.Run(fmt.Sprint("server ", i), func(t *testing.T) {
				server := start(t)
				inWorld(t, server, func(a racelab.World) {
					inWorld(t, server, func(b racelab.World) {
						for counts.more(n) && !t.Failed() { // rapid.Check takes a hundred, unless it is told otherwise
							rapid.Check(t, func(rt *rapid.T) {
								if s := drawSpec(rt); counts.more(n) {
									compare(rt, program, s, pair{a, watched{b, counts.sent}}, counts)
								}
							})
						}
					})
				})
			})
		})
	}
	all.Wait()
	t.Logf("in %v: %v", time.Since(started), counts)
	if t.Failed() {
		return
	}
	if counts.renewals.Load() == 0 {
		t.Error("no tables were brought back")
	}
	if counts.compared < n || counts.waited == 0 {
		t.Errorf("%d tests were compared, %d of them with steps that wait; want %d", counts.compared, counts.waited, n)
	}
	for i, f := range features {
		if counts.has[i] == 0 {
			t.Errorf("%s: never generated", f.name)
		}
	}
}

// leaves reports whether a test may leave what is in the next one's way, or finds
// in its own what another has left.
func leaves(s *spec.Spec) bool {
	return s.Setups[0] != drop || strings.Contains(s.String(), "PREPARE TRANSACTION")
}

func compare(t *rapid.T, program string, s *spec.Spec, p pair, counts *tally) {
	if leaves(s) {
		p.clean(t)
		defer p.clean(t)
	}
	got := ours(t.Context(), t, s.String(), p.ours)
	if strings.Contains(got.Text, "\nracelab: ") {
		// The reference program would wait for its timeout.
		able, stuck := runnable(s, got.Text)
		counts.mu.Lock()
		before := counts.stuck
		counts.stuck += len(stuck.Permutations)
		counts.mu.Unlock()
		if before < doubted && strings.Contains(got.Text, "\nracelab: step ") && !strings.Contains(s.String(), "PREPARE TRANSACTION") {
			if said := theirsWithin(t.Context(), t, program, stuck.String(), p.theirs, time.Second).Text; !strings.Contains(said, " seconds\n") {
				t.Fatalf("racelab says that these wait for ever, and the reference program does not:\n%s\n%s\n%s", stuck, got.Text, said)
			}
		}
		if leaves(s) {
			p.clean(t)
		}
		if s = able; len(s.Permutations) == 0 {
			return
		}
		got = ours(t.Context(), t, s.String(), p.ours)
	}
	if leaves(s) {
		p.clean(t)
	}
	want := theirs(t.Context(), t, program, s.String(), p.theirs)
	if diff := cmp.Diff(want, got, ignoreTime); diff != "" {
		again := theirs(t.Context(), t, program, s.String(), p.theirs)
		t.Fatalf("%s\n(-want +got):\n%s\nthe reference program differs from itself: %v", s, diff, again.Text != want.Text)
	}
	counts.add(s.String(), want, got)
}
