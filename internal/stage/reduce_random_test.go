package stage_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/stage"
)

// A script is a program of which everything is drawn: what each session does,
// as data, so that it can be shrunk and printed.
type script struct {
	level    racelab.Level
	cascade  bool // children go with their parents
	sessions []scripted
}

// A scripted session is one call.
type scripted struct {
	begin    string // "" is a transaction for each statement
	goesOn   bool   // whatever fails
	rollback bool   // at the end, instead of COMMIT
	steps    []scriptStep
}

type scriptStep struct {
	text  string
	ifOdd bool // left out unless the last number read is odd
	// inside is what is done after it in a savepoint that it is put in: ROLLBACK
	// TO or RELEASE. It is rolled back if the statement fails, and the call goes
	// on. "" puts it in none.
	inside string
}

func (p script) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", p.level)
	if p.cascade {
		b.WriteString(", cascade")
	}
	for i, s := range p.sessions {
		fmt.Fprintf(&b, "\n  %s: ", racelab.Letter(i))
		if s.goesOn {
			b.WriteString("(goes on) ")
		}
		var texts []string
		if s.begin != "" {
			texts = append(texts, s.begin)
		}
		for _, step := range s.steps {
			text := step.text
			if step.ifOdd {
				text = "if odd: " + text
			}
			if step.inside != "" {
				text = fmt.Sprintf("SAVEPOINT s; %s; %s s", text, step.inside)
			}
			texts = append(texts, text)
		}
		switch {
		case s.begin != "" && s.rollback:
			texts = append(texts, "ROLLBACK")
		case s.begin != "":
			texts = append(texts, "COMMIT")
		}
		b.WriteString(strings.Join(texts, "; "))
	}
	return b.String()
}

// run is a session's body.
func (s scripted) run(ctx context.Context, env *racelab.Env) (_ racelab.Value, err error) {
	conn, err := env.DB.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	exec := func(text string) error {
		_, err := conn.ExecContext(ctx, text)
		return err
	}
	if s.begin != "" {
		if err := exec(s.begin); err != nil {
			return nil, err
		}
		end := "COMMIT"
		if s.rollback {
			end = "ROLLBACK"
		}
		defer func() {
			if err == nil {
				if err = exec(end); err == nil {
					return
				}
			}
			_ = exec("ROLLBACK")
		}()
	}
	var seen []string
	odd := false
	for _, step := range s.steps {
		if step.ifOdd && !odd {
			continue
		}
		if step.inside != "" {
			if err := exec("SAVEPOINT s"); err != nil && !s.goesOn {
				return strings.Join(seen, "; "), err
			}
		}
		text, last, err := scriptStatement(ctx, conn, step.text)
		class := env.Dialect.Classify(err)
		switch {
		case err == nil:
			seen = append(seen, text)
			odd = last%2 == 1
		case s.goesOn, step.inside != "" && !class.Aborted():
			seen = append(seen, string(class))
		case class == racelab.LockNotAvailable:
			return strings.Join(seen, "; "), racelab.ErrRefused
		default:
			return strings.Join(seen, "; "), err
		}
		if step.inside == "" {
			continue
		}
		end := step.inside
		if err != nil {
			end = "ROLLBACK TO"
		}
		if err := exec(end + " s"); err != nil && !s.goesOn {
			return strings.Join(seen, "; "), err
		}
	}
	return strings.Join(seen, "; "), nil
}

// scriptStatement runs one statement and returns what it gave, rows in an order
// of their own, and the sum of the numbers in it.
func scriptStatement(ctx context.Context, conn *sql.Conn, text string) (string, int64, error) {
	if !strings.HasPrefix(text, "SELECT") {
		r, err := conn.ExecContext(ctx, text)
		if err != nil {
			return "", 0, err
		}
		n, err := r.RowsAffected()
		return fmt.Sprint(n), n, err
	}
	rows, err := conn.QueryContext(ctx, text)
	if err != nil {
		return "", 0, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", 0, err
	}
	var lines []string
	sum := int64(0)
	for rows.Next() {
		cells := make([]sql.NullInt64, len(columns))
		into := make([]any, len(cells))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			return "", 0, err
		}
		var words []string
		for _, c := range cells {
			word := "NULL"
			if c.Valid {
				word = fmt.Sprint(c.Int64)
			}
			words = append(words, word)
			sum += c.Int64
		}
		lines = append(lines, strings.Join(words, " "))
	}
	slices.Sort(lines)
	return "[" + strings.Join(lines, ", ") + "]", sum, rows.Err()
}

// scriptSetup makes a parent, with a unique column and one that is not, and its
// children.
func scriptSetup(cascade bool) []string {
	on := ""
	if cascade {
		on = " ON DELETE CASCADE ON UPDATE CASCADE"
	}
	return []string{
		"CREATE TABLE parent (id INTEGER PRIMARY KEY, u INTEGER UNIQUE, n INTEGER)",
		"CREATE TABLE child (id INTEGER PRIMARY KEY, pid INTEGER, n INTEGER, FOREIGN KEY (pid) REFERENCES parent (id)" + on + ")",
		"INSERT INTO parent (id, u, n) VALUES (1, 1, 1), (2, 2, 2)",
		"INSERT INTO child (id, pid, n) VALUES (1, 1, 1)",
	}
}

// Of statements, k is a key: 1 and 2 are there, 3 is not; v is a value.
var (
	scriptReads = []string{
		"SELECT n FROM parent WHERE id = k", "SELECT id, n FROM parent WHERE n = v", "SELECT id, n FROM parent WHERE n > v",
		"SELECT id, n FROM parent WHERE u = k", "SELECT id, u FROM parent WHERE id >= k", "SELECT id, u, n FROM parent",
		"SELECT n FROM child WHERE id = k", "SELECT id, n FROM child WHERE pid = k", "SELECT id, pid FROM child",
		"SELECT id FROM parent WHERE n >= v ORDER BY id LIMIT 1",
	}
	scriptCounts = []string{
		"SELECT COUNT(*) FROM parent WHERE n = v", "SELECT COUNT(*) FROM child WHERE pid = k", "SELECT SUM(n) FROM parent",
		"SELECT parent.n, child.n FROM parent JOIN child ON child.pid = parent.id WHERE parent.id = k",
		"SELECT COUNT(*) FROM parent WHERE id IN (k, K)", "SELECT COUNT(*) FROM parent WHERE id = k", "SELECT COUNT(*) FROM child WHERE id = k",
	}
	scriptWrites = []string{
		"INSERT INTO parent (id, u, n) VALUES (k, K, v)", "INSERT INTO parent (id, u, n) VALUES (3, K, v)", "INSERT INTO parent (id, u, n) VALUES (3, 3, v)",
		"INSERT INTO child (id, pid, n) VALUES (k, K, v)", "INSERT INTO child (id, pid, n) VALUES (2, K, v)", "INSERT INTO child (id, pid, n) VALUES (3, K, v)",
		"INSERT INTO parent (id, u, n) VALUES (k, NULL, v)", "INSERT INTO parent (id, u, n) VALUES (3, 3, v), (4, K, v)",
		"UPDATE parent SET n = v WHERE id = k", "UPDATE parent SET n = n + 1 WHERE id = k", "UPDATE parent SET n = n + 1 WHERE n = v",
		"UPDATE parent SET n = V WHERE n = v", "UPDATE parent SET n = n + 1 WHERE n >= v", "UPDATE parent SET n = v WHERE u = k",
		"UPDATE parent SET n = n + 1", "UPDATE parent SET u = K WHERE id = k", "UPDATE parent SET u = u + 1 WHERE id = k", "UPDATE parent SET id = K WHERE id = k",
		"UPDATE parent SET n = u + 1 WHERE id = k", "UPDATE parent SET u = 3 WHERE n = v",
		"UPDATE child SET pid = K WHERE id = k", "UPDATE child SET n = n + 1 WHERE pid = k", "UPDATE child SET n = v WHERE id = k", "UPDATE child SET pid = NULL WHERE id = k",
		"DELETE FROM parent WHERE id = k", "DELETE FROM parent WHERE n = v", "DELETE FROM child WHERE id = k", "DELETE FROM child WHERE pid = k",
	}
	scriptUpserts = map[string][]string{
		"sqlite": {
			"INSERT INTO parent (id, u, n) VALUES (k, K, v) ON CONFLICT DO NOTHING", "INSERT INTO parent (id, u, n) VALUES (k, k, v) ON CONFLICT (id) DO UPDATE SET n = parent.n + 1",
			"REPLACE INTO parent (id, u, n) VALUES (k, K, v)", "INSERT OR IGNORE INTO child (id, pid, n) VALUES (k, K, v)",
		},
		"postgres": {
			"INSERT INTO parent (id, u, n) VALUES (k, K, v) ON CONFLICT DO NOTHING", "INSERT INTO parent (id, u, n) VALUES (k, k, v) ON CONFLICT (id) DO UPDATE SET n = parent.n + 1",
		},
		"mysql": {
			"INSERT IGNORE INTO parent (id, u, n) VALUES (k, K, v)", "INSERT INTO parent (id, u, n) VALUES (k, K, v) ON DUPLICATE KEY UPDATE n = n + 1",
			"REPLACE INTO parent (id, u, n) VALUES (k, K, v)",
		},
	}
	scriptLocks = map[string][]string{
		"postgres": {" FOR UPDATE", " FOR UPDATE NOWAIT", " FOR UPDATE SKIP LOCKED", " FOR SHARE", " FOR KEY SHARE", " FOR NO KEY UPDATE"},
		"mysql":    {" FOR UPDATE", " FOR UPDATE NOWAIT", " FOR UPDATE SKIP LOCKED", " LOCK IN SHARE MODE"},
	}
)

// scripts generates scripts of at most so many schedules.
func scripts(e racelab.Engine, most int) *rapid.Generator[script] {
	begins := []string{"BEGIN", ""}
	if e.Dialect.Features&racelab.Immediate != 0 {
		begins = append(begins, "BEGIN IMMEDIATE")
	}
	statement := rapid.Custom(func(t *rapid.T) string {
		var text string
		switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
		case kind < 2:
			text = rapid.SampledFrom(scriptReads).Draw(t, "read")
		case kind < 3:
			text = rapid.SampledFrom(scriptCounts).Draw(t, "count")
		case kind < 5 && scriptLocks[e.Name] != nil:
			locked := scriptReads
			if isMySQL(e) { // PostgreSQL locks no groups
				locked = slices.Concat(scriptReads, scriptCounts)
			}
			text = rapid.SampledFrom(locked).Draw(t, "read") + rapid.SampledFrom(scriptLocks[e.Name]).Draw(t, "lock")
		case kind < 6:
			text = rapid.SampledFrom(scriptUpserts[e.Name]).Draw(t, "upsert")
		default:
			text = rapid.SampledFrom(scriptWrites).Draw(t, "write")
		}
		return fillIn(t, text)
	})
	session := func(t *rapid.T, statement *rapid.Generator[string]) scripted {
		s := scripted{begin: rapid.SampledFrom(begins).Draw(t, "begin")}
		if s.begin != "" {
			s.rollback = rapid.IntRange(0, 5).Draw(t, "rollback") == 5
		}
		s.goesOn = rapid.IntRange(0, 5).Draw(t, "goes on") == 5
		for range rapid.IntRange(1, 4).Draw(t, "statements") {
			step := scriptStep{text: statement.Draw(t, "statement")}
			if len(s.steps) > 0 {
				step.ifOdd = rapid.IntRange(0, 3).Draw(t, "if odd") == 3
			}
			if s.begin != "" {
				step.inside = rapid.SampledFrom([]string{"", "", "", "", "", "", "ROLLBACK TO", "RELEASE"}).Draw(t, "inside")
			}
			s.steps = append(s.steps, step)
		}
		return s
	}
	return rapid.Custom(func(t *rapid.T) script {
		p := script{level: rapid.SampledFrom(e.Dialect.Levels).Draw(t, "level"), cascade: rapid.IntRange(0, 3).Draw(t, "cascade") == 3}
		// Half of them are of few statements, so that more is in each other's way.
		from := statement
		if rapid.Bool().Draw(t, "few") {
			from = rapid.SampledFrom(rapid.SliceOfN(statement, 2, 4).Draw(t, "pool"))
		}
		for range rapid.IntRange(2, 3).Draw(t, "sessions") {
			p.sessions = append(p.sessions, session(t, from))
		}
		return p.within(most)
	})
}

// fillIn puts values in place of k, K, v and V.
func fillIn(t *rapid.T, text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" (),", r) })
	for _, w := range []string{"k", "K", "v", "V"} {
		if !slices.Contains(words, w) {
			continue
		}
		value := fmt.Sprint(rapid.IntRange(1, 3).Draw(t, w))
		var b strings.Builder
		for i, r := range text {
			alone := string(r) == w && (i == 0 || strings.ContainsRune(" (", rune(text[i-1]))) && (i+1 == len(text) || strings.ContainsRune(" ),", rune(text[i+1])))
			if alone {
				b.WriteString(value)
			} else {
				b.WriteRune(r)
			}
		}
		text = b.String()
	}
	return text
}

// within shortens a script until it has so many schedules at most.
func (p script) within(most int) script {
	for p.schedules() > most {
		longest := 0
		for i, s := range p.sessions {
			if s.length() > p.sessions[longest].length() {
				longest = i
			}
		}
		switch s := &p.sessions[longest]; {
		case len(s.steps) > 1:
			s.steps = s.steps[:len(s.steps)-1]
		case s.steps[0].inside != "":
			s.steps[0].inside = ""
		default:
			s.begin = ""
		}
	}
	return p
}

// length is how many steps a session has at most, if all goes well.
func (s scripted) length() int {
	n := len(s.steps)
	for _, step := range s.steps {
		if step.inside != "" {
			n += 2
		}
	}
	if s.begin != "" {
		n += 2
	}
	return n
}

// schedules is how many there are if nobody ever waits.
func (p script) schedules() int {
	all, n := 1, 0
	for _, s := range p.sessions {
		for k := 1; k <= s.length(); k++ {
			n++
			if all = all * n / k; all > 1<<30 {
				return all
			}
		}
	}
	return all
}

// A comparer explores scripts, in worlds that it keeps.
type comparer struct {
	engine   racelab.Engine
	server   racelab.Server
	current  *script
	worlds   map[string]*scriptWorld
	relation func(*check.Relation) // changes what a reduction goes by; may be nil

	compared, all, reduced int
	odd                    []string // scripts that are not the same each time
	last                   string
}

type scriptWorld struct {
	selection stage.Selection
	cell      *stage.Cell
	relation  *check.Relation
}

func newComparer(t *testing.T, e racelab.Engine, server racelab.Server) *comparer {
	c := &comparer{engine: e, server: server, worlds: map[string]*scriptWorld{}}
	t.Cleanup(func() {
		for _, w := range c.worlds {
			if err := w.cell.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return c
}

func (c *comparer) world(ctx context.Context, p script) (*scriptWorld, error) {
	name := fmt.Sprint(p.level, p.cascade, len(p.sessions))
	if w := c.worlds[name]; w != nil {
		return w, nil
	}
	s := &racelab.Scenario{
		Name: "script", Setup: func(racelab.Dialect) []string { return scriptSetup(p.cascade) }, State: []string{"parent", "child"},
		Strategies: []racelab.Strategy{{Name: "it", Body: map[string]racelab.Body{}}},
		// Once something is found nobody hunts for it, which would hide what the
		// reduction misses.
		Invariants: []racelab.Invariant{{Name: "something is wrong", Measure: func(racelab.State) (int64, int64, error) { return 0, 1, nil }}},
	}
	for i := range p.sessions {
		role := string(racelab.Letter(i))
		s.Cast = append(s.Cast, racelab.Role{Name: role, Calls: []racelab.Args{{}}})
		s.Strategies[0].Body[role] = func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
			return c.current.sessions[i].run(ctx, env)
		}
	}
	sel, err := stage.Select(s, &s.Strategies[0], c.engine, p.level)
	if err != nil {
		return nil, err
	}
	w := &scriptWorld{selection: sel}
	if w.cell, err = sel.NewCell(ctx, c.server, stage.Controlled{}); err != nil {
		return nil, err
	}
	c.worlds[name] = w
	w.relation = w.cell.Relation()
	return w, err
}

// An explored script is its outcomes, each with the first schedule that came to
// it, and the outcome of each schedule.
type exploredScript struct {
	outcomes  map[string]racelab.Schedule
	schedules map[string]string
}

func (c *comparer) explore(ctx context.Context, p script, reduced bool) (out exploredScript, err error) {
	w, err := c.world(ctx, p)
	if err != nil {
		return out, err
	}
	c.current = &p
	out = exploredScript{outcomes: map[string]racelab.Schedule{}, schedules: map[string]string{}}
	search := w.selection.Search([]*stage.Cell{w.cell})
	search.Judge.InvariantsOnly = true // outcomes are compared, not judged
	if reduced {
		search.Relation = w.relation
		if c.relation != nil {
			c.relation(search.Relation)
		}
	}
	search.Judged = func(h racelab.History) {
		o := check.OutcomeOf(h, w.selection.Scenario, nil)
		text := o.Results(nil) + " | " + o.State
		schedule := explore.ScheduleOf(h)
		if _, ok := out.outcomes[text]; !ok {
			out.outcomes[text] = schedule
		}
		out.schedules[schedule.String()] = text
	}
	report, err := search.Run(ctx)
	if err == nil && !report.Complete {
		err = errors.New("not complete")
	}
	return out, err
}

// A difference is between what brute force and reduction found.
type difference struct {
	text string // "" is none
	odd  bool   // a schedule did not do the same twice
}

// compare explores a script both ways.
func (c *comparer) compare(ctx context.Context, p script) (d difference, err error) {
	all, err := c.explore(ctx, p, false)
	if err != nil {
		return d, fmt.Errorf("all: %w", err)
	}
	reduced, err := c.explore(ctx, p, true)
	if err != nil {
		return d, fmt.Errorf("reduced: %w", err)
	}
	c.compared++
	c.all += len(all.schedules)
	c.reduced += len(reduced.schedules)
	var b strings.Builder
	for schedule, outcome := range reduced.schedules {
		if other, ok := all.schedules[schedule]; ok && other != outcome {
			d.odd = true
			fmt.Fprintf(&b, "not the same twice: %s\n   %s\n   %s\n", schedule, other, outcome)
		}
	}
	list := func(what string, in, notIn exploredScript) {
		for outcome, schedule := range in.outcomes {
			if _, ok := notIn.outcomes[outcome]; !ok {
				fmt.Fprintf(&b, "%s: %s\n   %s\n", what, schedule, outcome)
			}
		}
	}
	list("missed", all, reduced)
	list("not there by brute force", reduced, all)
	if b.Len() == 0 {
		return d, nil
	}
	fmt.Fprintf(&b, "%d schedules, and %d reduced:", len(all.schedules), len(reduced.schedules))
	for i, schedule := range slices.Sorted(maps.Keys(reduced.schedules)) {
		if i == 12 {
			b.WriteString("\n   ...")
			break
		}
		fmt.Fprintf(&b, "\n   %s: %s", schedule, reduced.schedules[schedule])
	}
	d.text = b.String()
	return d, nil
}

// check fails if both ways do not come to the same. A server may decide by
// itself who of several that it lets go on at once is first, or in which order
// rows lie: then no two explorations need to come to the same. So a difference
// has to be there each time, and no schedule may be odd.
func (c *comparer) check(ctx context.Context, t interface{ Fatalf(string, ...any) }, p script) {
	for again := range 3 {
		d, err := c.compare(ctx, p)
		switch {
		case err != nil:
			t.Fatalf("%v\n%v", p, err)
		case d.text == "" && again == 0:
			return
		case hasServer(c.engine) && (d.text == "" || d.odd):
			c.odd = append(c.odd, fmt.Sprintf("%v\n%s", p, c.last))
			return
		case again == 2 || !hasServer(c.engine):
			t.Fatalf("%v\n%s", p, d.text)
		}
		c.last = d.text
	}
}

func TestReducedFindsWhatBruteForceFindsInAnyProgram(t *testing.T) {
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		c := newComparer(t, e, server)
		// Of 100 each. What SQLite does is what costs most with the race detector.
		rounds, most := 2, 30
		if hasServer(e) {
			rounds = 3
		}
		if os.Getenv("RACELAB_SOAK") != "" {
			rounds, most = rounds*120, 130
		}
		generator := scripts(e, most)
		for range rounds {
			rapid.Check(t, func(rt *rapid.T) {
				c.check(t.Context(), rt, generator.Draw(rt, "script"))
			})
		}
		t.Logf("compared %d: %d of %d schedules; %d not the same each time", c.compared, c.reduced, c.all, len(c.odd))
		for _, p := range c.odd {
			t.Log(p)
		}
		if c.compared == 0 || len(c.odd)*20 > c.compared {
			t.Errorf("%d were compared, and %d are not the same each time", c.compared, len(c.odd))
		}
	})
}
