package isolation_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/racelab/racelab/internal/spec"
)

// What is generated stays out of what the reference program leaves to luck, and
// of nothing else:
//
//   - Of several who wait for a row that changes, PostgreSQL does not say who is
//     first. So two sessions work on table t; a third has a table of its own, and
//     shares with them locks that are handed to who came first: advisory locks,
//     and locks on table v.
//   - Two whom one statement frees run beside each other. So what the third gives
//     does not depend on what the two write, nor the other way round.
//   - Who notices a deadlock first is its victim, deadlock_timeout after it began
//     to wait. So that differs between sessions, by more than a slow machine takes
//     to get from one step to the next. Which of the two goes on first to print is
//     said by a marker where the deadlock comes soon.
//   - A lock_timeout or a statement_timeout ends a wait while others go on. So what
//     is scheduled next is a step of the session that waits, which awaits it.
//   - A step marked (*) is not waited for. So if another one follows it, neither
//     waits, changes anything that others see, or takes a snapshot of it.
//   - A notice behind a first result, and then a wait, stop the program for good.
//   - A notification reaches a session that listens soon, and not at once. So it is
//     not looked at meanwhile: none of its steps has a marker.

// shared are statements of the two sessions on t.
var shared = []string{
	"BEGIN", "BEGIN ISOLATION LEVEL READ UNCOMMITTED", "BEGIN ISOLATION LEVEL READ COMMITTED", "BEGIN ISOLATION LEVEL REPEATABLE READ",
	"BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY, DEFERRABLE",
	"COMMIT", "COMMIT", "ROLLBACK", "SAVEPOINT s", "ROLLBACK TO s", "RELEASE s", "PREPARE TRANSACTION 'p#'", "COMMIT PREPARED 'p#'", "ROLLBACK PREPARED 'p#'",
	"SELECT * FROM t ORDER BY id", "SELECT sum(n), max(word) FROM t", "SELECT * FROM child ORDER BY id",
	"UPDATE t SET n = n + 1 WHERE id = 1", "UPDATE t SET n = n * 3 WHERE id = 2 RETURNING n, word", "UPDATE t SET n = n - 1", "UPDATE t SET id = id + 10 WHERE id = 2",
	"UPDATE t SET n = (SELECT sum(n) FROM t) WHERE id = #",
	"SELECT * FROM t WHERE id = 1 FOR UPDATE", "SELECT * FROM t WHERE id = 2 FOR NO KEY UPDATE", "SELECT * FROM t WHERE id = 2 FOR SHARE", "SELECT id FROM t WHERE id = 1 FOR KEY SHARE",
	"SELECT n FROM t WHERE id = 1 FOR UPDATE NOWAIT", "SELECT id FROM t ORDER BY id FOR UPDATE SKIP LOCKED", "SELECT id FROM t ORDER BY id FOR SHARE SKIP LOCKED",
	"DELETE FROM t WHERE id = 2", "DELETE FROM child", "INSERT INTO t VALUES (3, 3, 'three')", "INSERT INTO t VALUES (2, 0) ON CONFLICT DO NOTHING",
	"INSERT INTO t VALUES (1, 7) ON CONFLICT (id) DO UPDATE SET n = t.n + excluded.n RETURNING n",
	"INSERT INTO child VALUES (#, 1)", "INSERT INTO child VALUES (2#, 2)", "INSERT INTO child VALUES (3#, 99)",
	"LOCK t IN SHARE MODE", "LOCK t IN ROW EXCLUSIVE MODE", "LOCK t NOWAIT",
	"DO $$BEGIN RAISE NOTICE 'so far %', (SELECT count(*) FROM t); UPDATE t SET n = 0; END$$",
	"SELECT 1 / (n - 10) FROM t WHERE id = 1", "SELECT nothing FROM t", "UPDATE t SET n = NULL WHERE id = 1", "SELCT 1",
	"DECLARE c CURSOR FOR SELECT id, n FROM t ORDER BY id", "FETCH 1 FROM c", "FETCH ALL FROM c", "CLOSE c", "UPDATE t SET n = 5 WHERE CURRENT OF c",
	"BEGIN; UPDATE t SET n = n + 1 WHERE id = 2", "UPDATE t SET n = n + 1 WHERE id = 1; SELECT n FROM t WHERE id = 1", "SELECT 1 AS a; SELECT 1 / 0; SELECT 2 AS b",
	"COPY t TO '/dev/null'", "TRUNCATE child", "CREATE TABLE made#()", "ALTER TABLE t ADD COLUMN more# int",
	"NOTIFY news, 'from #'", "MERGE INTO t USING (VALUES (1), (4)) AS m(id) ON t.id = m.id WHEN MATCHED THEN UPDATE SET n = t.n + 1 WHEN NOT MATCHED THEN INSERT VALUES (m.id, 4)",
}

// handed are statements on what is given to who came first.
var handed = []string{
	"SELECT pg_advisory_lock(1)", "SELECT pg_advisory_unlock(1)", "SELECT pg_advisory_xact_lock(1)", "SELECT pg_advisory_xact_lock_shared(1)", "SELECT pg_try_advisory_xact_lock(1)",
	"SELECT pg_advisory_xact_lock(2)", "LOCK v", "LOCK v IN SHARE MODE", "LOCK v IN ACCESS SHARE MODE NOWAIT",
}

// apart are statements of the third session on its own table.
var apart = []string{
	"BEGIN", "COMMIT", "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT * FROM own ORDER BY id", "UPDATE own SET n = n + 1 RETURNING *", "DELETE FROM own", "INSERT INTO own VALUES (2)",
}

// still are statements that neither wait nor change what others see.
var still = []string{
	"SELECT NULL AS nothing, true AS yes, 1.5::float8 AS f, -0.1e-7::float8 AS small, 'NaN'::float8 AS nan", "SELECT E'two\\nlines' AS text, 'wide: 日本語 🙂' AS \"ä\", '' AS empty",
	"SELECT ARRAY[1, 2] AS a, ARRAY['x', NULL] AS b, ROW(1, 'two') AS r", "SELECT 1 AS n, 'a' AS w UNION ALL SELECT -22, 'bb' ORDER BY 1", "SELECT", "SELECT FROM generate_series(1, 2)",
	"SELECT 1 AS one WHERE false", "VALUES (' 1'), ('2 '), ('3e5'), ('e5'), ('-')", "", ";", "SELECT 1 AS a; SELECT 2 AS b; SELECT 3 AS c", "SHOW transaction_isolation",
	"DO $$BEGIN RAISE NOTICE 'heard'; END$$", "DO $$BEGIN RAISE WARNING 'two\\nlines' USING DETAIL = 'more', HINT = 'less'; END$$", "DO $$BEGIN RAISE NOTICE 'a'; RAISE INFO 'b'; RAISE NOTICE 'c'; END$$",
	"DO $$BEGIN RAISE EXCEPTION 'no: %', 1 USING HINT = 'why'; END$$", "SELECT 'x'::int", "SELECT 1 / 0", "LISTEN news", "UNLISTEN news",
	"SELECT '[1, null]'::jsonb AS j, '1 day'::interval AS i, '2020-02-29'::date AS d, '\\x00ff'::bytea AS b, 12345678901234567890::numeric AS n",
}

// loud are those of still that, in a transaction, free its locks or change what
// it will hear.
var loud = regexp.MustCompile(`1 / 0|EXCEPTION|'x'::int|LISTEN`)

const schema = `
	CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, word text);
	CREATE TABLE child (id int PRIMARY KEY, t int REFERENCES t);
	CREATE TABLE own (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE v ();
	INSERT INTO child VALUES (9, NULL); INSERT INTO own VALUES (1);
`

const trigger = `
	CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN RAISE NOTICE '% of %', TG_OP, TG_TABLE_NAME; RETURN NEW; END$$;
	CREATE TRIGGER tell BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION tell();
`

const drop = "DROP TABLE IF EXISTS child, t, own, v, made1, made2; DROP FUNCTION IF EXISTS tell()"

// rivals are pairs of sessions that get in each other's way in most orders.
var rivals = [][2][]string{
	{{"BEGIN ISOLATION LEVEL SERIALIZABLE", "SELECT sum(n) FROM t", "UPDATE t SET n = 1 WHERE id = 1", "COMMIT"},
		{"BEGIN ISOLATION LEVEL SERIALIZABLE", "SELECT sum(n) FROM t", "UPDATE t SET n = 2 WHERE id = 2", "COMMIT"}},
	{{"BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT * FROM t ORDER BY id", "UPDATE t SET n = 0 WHERE id = 1", "COMMIT"}, {"UPDATE t SET n = n + 1 WHERE id = 1", "DELETE FROM t WHERE id = 1"}},
	{{"BEGIN", "DELETE FROM t WHERE id = 1", "ROLLBACK"}, {"INSERT INTO child VALUES (7, 1)", "INSERT INTO child VALUES (8, 99)"}},
	{{"BEGIN", "INSERT INTO t VALUES (3, 3)", "COMMIT"}, {"INSERT INTO t VALUES (3, 4)"}},
	{{"BEGIN", "SELECT id FROM t WHERE id = 1 FOR UPDATE", "ROLLBACK"}, {"SELECT n FROM t WHERE id = 1 FOR SHARE NOWAIT", "SELECT id FROM t ORDER BY id FOR UPDATE SKIP LOCKED", "LOCK t NOWAIT"}},
	{{"BEGIN", "UPDATE t SET n = n + 1 WHERE id = 1", "SAVEPOINT s", "UPDATE t SET n = n + 1 WHERE id = 2", "ROLLBACK TO s", "COMMIT"}, {"SELECT * FROM t WHERE id = 2 FOR NO KEY UPDATE", "UPDATE t SET n = n * 2 RETURNING id, n"}},
	{{"LISTEN news", "SELECT 1 AS one"}, {"BEGIN", "NOTIFY news, 'first'", "COMMIT", "NOTIFY news"}},
	{{"BEGIN ISOLATION LEVEL SERIALIZABLE", "UPDATE t SET n = 1", "COMMIT"}, {"BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY, DEFERRABLE", "SELECT * FROM t ORDER BY id", "COMMIT"}},
}

// evenly is rapid.SampledFrom without its preference for what comes first, of
// which much here is rare enough.
func evenly[T any](t *rapid.T, label string, from []T) T {
	const bits = 12
	n := 0
	for _, bit := range rapid.SliceOfN(rapid.Bool(), bits, bits).Draw(t, label) {
		if n *= 2; bit {
			n++
		}
	}
	return from[n*len(from)>>bits]
}

func likely(t *rapid.T, label string, percent int) bool {
	percents := make([]int, 100) // shrinks to no
	for i := range percents {
		percents[i] = 100 - i
	}
	return evenly(t, label, percents) <= percent
}

// scripts are steps of a session that make more sense in a row.
var scripts = [][]string{
	{"BEGIN ISOLATION LEVEL SERIALIZABLE", "SELECT sum(n), max(word) FROM t", "UPDATE t SET n = n + 1 WHERE id = #", "COMMIT"},
	{"BEGIN ISOLATION LEVEL SERIALIZABLE", "SELECT * FROM t ORDER BY id", "INSERT INTO child VALUES (#, 2)", "COMMIT"},
	{"BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT * FROM t ORDER BY id", "UPDATE t SET n = n - 1", "COMMIT"},
	{"BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT * FROM child ORDER BY id", "DELETE FROM t WHERE id = 2", "ROLLBACK"},
	{"BEGIN", "DECLARE c CURSOR FOR SELECT id, n FROM t ORDER BY id", "FETCH 1 FROM c", "UPDATE t SET n = 5 WHERE CURRENT OF c", "FETCH ALL FROM c"},
	{"BEGIN", "SAVEPOINT s", "UPDATE t SET n = n + 1 WHERE id = 1", "ROLLBACK TO s", "SELECT * FROM t ORDER BY id", "COMMIT"},
	{"BEGIN", "UPDATE t SET n = n * 3 WHERE id = 2 RETURNING n, word", "PREPARE TRANSACTION 'p#'", "COMMIT PREPARED 'p#'"},
	{"BEGIN", "DELETE FROM t WHERE id = 1", "PREPARE TRANSACTION 'p#'", "ROLLBACK PREPARED 'p#'"},
	{"LISTEN news", "NOTIFY news, 'from #'", "SELECT 1 AS n, 'a' AS w UNION ALL SELECT -22, 'bb' ORDER BY 1"},
	{"BEGIN", "INSERT INTO child VALUES (#, 1)", "INSERT INTO t VALUES (3, 3, 'three')", "COMMIT"},
}

func drawSpec(t *rapid.T) *spec.Spec {
	pick := func(label string, from ...string) string { return evenly(t, label, from) }
	often := func(label string, percent int) bool { return likely(t, label, percent) }
	if often("plain", 12) {
		return drawPlain(t)
	}
	s := &spec.Spec{Setups: []string{drop, schema + "INSERT INTO t VALUES (1, 10, NULL), (2, -20, 'two');"}} // a test that fails leaves its tables
	if often("trigger", 15) {
		s.Setups = append(s.Setups, trigger)
	}
	if often("another set-up", 20) {
		s.Setups = append(s.Setups, pick("set-up", "SELECT * FROM t ORDER BY id", "SELECT", "UPDATE t SET word = E'd\\nrei'"))
	}
	teardown := pick("teardown", drop, drop, drop+"; SELECT 'gone' AS tables", "SELECT count(*) FROM t; "+drop)
	s.Teardown = &teardown

	shape := pick("shape", "two", "two", "two", "three", "three", "three", "rivals", "rivals", "rivals", "rivals", "rivals", "orders", "deadlock", "timeout")
	sessions, most, limit := 2, 5, ""
	switch shape {
	case "timeout":
		limit = pick("limit", "lock", "statement")
	case "three":
		sessions, most = 3, 4
	case "orders":
		most = 2
	}
	for i := range sessions {
		session := spec.Session{Name: pick("name", "s", "a b", "é")}
		if often("numbered", 90) {
			session.Name += fmt.Sprint(i)
		}
		number := strings.NewReplacer("#", fmt.Sprint(i+1))
		setup := "BEGIN; SET deadlock_timeout = " + map[bool][]string{false: {"'1s'", "'6s'", "'11s'"}, true: {"'60s'", "'500ms'"}}[shape == "deadlock"][i]
		if limit == "lock" && i == 1 {
			setup += "; SET lock_timeout = '500ms'"
		}
		setup += "; COMMIT" // else a rollback takes it back
		if often("in a transaction", 30) {
			setup += "; " + pick("begin", "BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN ISOLATION LEVEL SERIALIZABLE")
		}
		session.Setup = &setup
		end := "ROLLBACK; RESET ALL; SELECT pg_advisory_unlock_all(); UNLISTEN *"
		if often("tells", 10) {
			end += "; SELECT 'bye' AS word"
		}
		session.Teardown = &end
		choice := [][]string{shared, shared, shared, handed, still}
		if i == 2 {
			choice = [][]string{apart, handed, still}
		}
		if i < 2 && shape != "orders" && often("script", 40) {
			for _, sql := range evenly(t, "script", scripts) {
				session.Steps = append(session.Steps, spec.Step{SQL: number.Replace(sql)})
			}
			s.Sessions = append(s.Sessions, session)
			continue
		}
		for range rapid.IntRange(1, most).Draw(t, "steps") {
			sql := number.Replace(evenly(t, "sql", evenly(t, "kind", choice)))
			session.Steps = append(session.Steps, spec.Step{SQL: sql + pick("end", "", ";", " ; ")})
		}
		s.Sessions = append(s.Sessions, session)
	}
	switch shape {
	case "deadlock":
		one, two := evenly(t, "crossed", crossed), ""
		one, two, _ = strings.Cut(one, " | ")
		s.Sessions[0].Steps = steps("BEGIN", one, two, "COMMIT")
		s.Sessions[1].Steps = steps("BEGIN", two, one, "COMMIT")
	case "rivals":
		for i, script := range evenly(t, "rivals", rivals) {
			s.Sessions[i].Steps = steps(script...)
		}
	case "timeout":
		for i := range 2 {
			lock := pick("lock", "LOCK t", "UPDATE t SET n = 1", "SELECT pg_advisory_xact_lock(3) FROM t FOR UPDATE")
			if limit == "statement" && i == 1 { // only what waits has one, or a busy machine decides
				lock = "SET LOCAL statement_timeout = '500ms'; " + lock
			}
			s.Sessions[i].Steps = slices.Insert(s.Sessions[i].Steps, 0, steps("BEGIN", lock)...)
		}
	}
	var turns []int // of each step, whose it is
	for i := range s.Sessions {
		for j := range s.Sessions[i].Steps {
			word := "s"
			if shape != "orders" && often("words", 25) { // a permutation's head has names without quotes
				word = "Step "
			}
			s.Sessions[i].Steps[j].Name = word + fmt.Sprintf("%d_%d", i, j)
			turns = append(turns, i)
		}
	}
	if shape == "orders" {
		return s
	}
	permutations := 1 // those with timeouts take long
	if shape != "deadlock" && shape != "timeout" {
		permutations = rapid.IntRange(1, 3).Draw(t, "permutations")
	}
	for range permutations {
		order := rapid.Permutation(turns).Draw(t, "order")
		switch shape {
		case "deadlock":
			order = []int{0, 1, 0, 1, 0, 1, 1, 0}
		case "timeout": // 1 waits for 0, and is awaited
			order = append([]int{0, 0, 1, 1}, slices.Repeat([]int{1}, len(s.Sessions[1].Steps)-2)...)
			order = append(order, slices.Repeat([]int{0}, len(s.Sessions[0].Steps)-2)...)
		}
		if often("cut", 10) {
			order = order[:rapid.IntRange(1, len(order)).Draw(t, "steps")]
		}
		p := mark(t, s, order)
		if shape == "deadlock" && len(order) > 5 {
			p[4].Markers = append(p[4].Markers, spec.Marker{Kind: spec.AfterStep, Step: p[5].Step})
		}
		s.Permutations = append(s.Permutations, p)
	}
	return s
}

// plain are statements that racelab knows how to undo without new tables. What
// they give without ORDER BY says in which order rows lie in them.
var plain = []string{
	"SELECT * FROM t", "SELECT * FROM t", "SELECT * FROM child", "SELECT id, word FROM t WHERE id > 0", "SELECT id, mine FROM log", "SELECT sum(n) FROM t", "SELECT n FROM t WHERE id = #",
	"UPDATE t SET n = n + 1 WHERE id = 1", "UPDATE t SET n = n * 2 RETURNING id, n", "UPDATE t SET id = id + 10 WHERE id = 2", "UPDATE t SET word = repeat('long', 200) WHERE id = #", "UPDATE t SET word = repeat('apart', 90000) WHERE id = 3",
	"DELETE FROM t WHERE id = 1", "DELETE FROM t WHERE id = 3", "DELETE FROM child", "INSERT INTO t VALUES (4, #, 'four')", "INSERT INTO t VALUES (5#, 5, repeat('wide', 100)) RETURNING id",
	"INSERT INTO log (mine) VALUES (#) RETURNING id", "INSERT INTO log (mine) SELECT id FROM t", "INSERT INTO child VALUES (2#, 3)", "INSERT INTO child VALUES (3#, 99)",
	"INSERT INTO t VALUES (1, 7) ON CONFLICT (id) DO UPDATE SET n = t.n + excluded.n", "SELECT id FROM t FOR UPDATE", "SELECT id FROM t FOR SHARE SKIP LOCKED", "SELECT id FROM t WHERE n < 3 FOR UPDATE NOWAIT",
	"SAVEPOINT s", "ROLLBACK TO s", "COMMIT", "ROLLBACK", "LOCK t IN SHARE MODE", "LOCK child NOWAIT", "SELECT pg_advisory_xact_lock(1)", "SELECT 1 / (n - 2) FROM t",
}

// reads are such in pairs: what each session reads, another one of a serializable
// pair writes. The planner reads some by an index, of which a page is locked.
var reads = [][]string{
	{"SELECT sum(n) FROM t", "UPDATE t SET n = # WHERE id = #"},
	{"SELECT n FROM t WHERE id = 1", "SELECT n FROM t WHERE id = 2", "UPDATE t SET n = 0 WHERE id = #"},
	{"SELECT id FROM t WHERE id > 1", "INSERT INTO t VALUES (4#, 0, repeat('w', 300))"},
	{"SELECT * FROM child", "INSERT INTO child VALUES (2#, 3)"},
	{"SELECT id, mine FROM log WHERE mine = 3", "INSERT INTO log (mine) VALUES (#) RETURNING id"},
	{"SELECT count(*) FROM log", "SELECT * FROM child", "INSERT INTO log (mine) VALUES (#)"},
}

// full are steps that fill a page: of what, they differ in the last.
var full = []string{
	"UPDATE t SET word = repeat('x', 1900) WHERE id = 1", "UPDATE t SET word = repeat('y', 1900) WHERE id = 1", "UPDATE t SET word = repeat('z', 1900) WHERE id = 1",
	"SELECT id FROM t", "INSERT INTO t VALUES (4#, 4, 'four')", "SELECT id FROM t",
}

// oldest is a session that may leave a transaction open, in which there is nothing
// but a snapshot: what reads a table comes before the COMMIT. What it is warned of
// comes from the permutation before.
const oldest = "old"

var old = []string{"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 AS one", "SELECT * FROM t", "COMMIT"}

// drawPlain draws a test with so many permutations that their tables are used
// again.
func drawPlain(t *rapid.T) *spec.Spec {
	teardown := "DROP TABLE child, t, log"
	serial := evenly(t, "serial", []string{"serial", "bigserial", "serial8", "int GENERATED ALWAYS AS IDENTITY", "int GENERATED BY DEFAULT AS IDENTITY (START 7 INCREMENT 2)"})
	s := &spec.Spec{
		Setups: []string{
			"CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, word text); CREATE TABLE log (id " + serial + `, mine int); CREATE INDEX ON log (mine);
			INSERT INTO log (mine) VALUES (3); INSERT INTO t VALUES (3, 1, 'three'), (1, 2, NULL), (2, 3, 'two');`,
			"CREATE TABLE child (id int PRIMARY KEY, t int REFERENCES t" + evenly(t, "on delete", []string{"", " ON DELETE CASCADE", " DEFERRABLE INITIALLY DEFERRED"}) + "); INSERT INTO child VALUES (9, NULL), (8, 3)",
		},
		Teardown: &teardown,
	}
	var turns []int
	serializable, read, fills := likely(t, "serializable", 35), evenly(t, "reads", reads), likely(t, "full", 15)
	for i := range 2 {
		setup := fmt.Sprintf("BEGIN; SET deadlock_timeout = '%ds'; COMMIT", 1+5*i)
		if serializable { // they do not wait for each other
			setup = "BEGIN ISOLATION LEVEL SERIALIZABLE"
		} else if likely(t, "in a transaction", 80) {
			setup += "; BEGIN ISOLATION LEVEL " + evenly(t, "level", []string{"READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"})
		}
		session := spec.Session{Name: fmt.Sprint("s", i), Setup: &setup}
		end := evenly(t, "end", []string{"COMMIT", "COMMIT", "COMMIT", "ROLLBACK", "ROLLBACK", "ROLLBACK; SELECT 1 / 0", "ROLLBACK;;", "ROLLBACK; SELECT 'bye' AS word"})
		session.Teardown = &end
		switch {
		case serializable:
			session.Steps = steps(append(slices.Clone(read), "COMMIT")...)
		case fills && i == 0:
			session.Steps = steps(full...)
		default:
			for range rapid.IntRange(1, 4).Draw(t, "steps") {
				session.Steps = append(session.Steps, spec.Step{SQL: evenly(t, "sql", plain)})
			}
		}
		s.Sessions = append(s.Sessions, session)
	}
	if likely(t, "old", 15) {
		s.Sessions = append(s.Sessions, spec.Session{Name: oldest, Steps: steps(evenly(t, "old steps", [][]string{old, {old[2], old[0]}, {old[1], old[2], old[0]}})...)})
	}
	for i := range s.Sessions {
		for j := range s.Sessions[i].Steps {
			step := &s.Sessions[i].Steps[j]
			step.Name, step.SQL = fmt.Sprintf("s%d_%d", i, j), strings.ReplaceAll(step.SQL, "#", fmt.Sprint(i+1))
			turns = append(turns, i)
		}
	}
	permutations := rapid.IntRange(3, 12).Draw(t, "permutations")
	if likely(t, "many", 25) {
		permutations = 30 // so that pages become full
	}
	for range permutations {
		s.Permutations = append(s.Permutations, mark(t, s, rapid.Permutation(turns).Draw(t, "order")))
	}
	return s
}

// crossed are pairs of statements that wait for each other in another order.
var crossed = []string{
	"UPDATE t SET n = 1 WHERE id = 1 | UPDATE t SET n = 2 WHERE id = 2 RETURNING *", "LOCK t IN SHARE MODE | LOCK v",
	"SELECT pg_advisory_xact_lock(1) | SELECT id FROM t WHERE id = 1 FOR UPDATE", "DELETE FROM child | SELECT pg_advisory_xact_lock(7)",
}

func steps(sql ...string) (steps []spec.Step) {
	for _, text := range sql {
		steps = append(steps, spec.Step{SQL: text})
	}
	return steps
}

func keepsSnapshot(s spec.Session) bool {
	text := (&spec.Spec{Sessions: []spec.Session{s}}).String()
	return strings.Contains(text, "REPEATABLE READ") || strings.Contains(text, "SERIALIZABLE")
}

func listens(s spec.Session) bool {
	return slices.ContainsFunc(s.Steps, func(step spec.Step) bool { return strings.HasPrefix(step.SQL, "LISTEN") })
}

// mark gives steps in an order of sessions their names, and some of them markers.
func mark(t *rapid.T, s *spec.Spec, order []int) (p spec.Permutation) {
	next := make([]int, len(s.Sessions))
	for at, i := range order {
		step := s.Sessions[i].Steps[next[i]]
		next[i]++
		p = append(p, spec.Scheduled{Step: step.Name})
		quiet := slices.Contains(still, strings.TrimRight(step.SQL, " ;")) && !loud.MatchString(step.SQL) && !keepsSnapshot(s.Sessions[i])
		if (at == len(order)-1 || quiet) && !listens(s.Sessions[i]) && likely(t, "once", 25) {
			p[at].Markers = append(p[at].Markers, spec.Marker{Kind: spec.Once})
		}
	}
	for at, i := range order {
		if listens(s.Sessions[i]) || !likely(t, "marked", 10) {
			continue
		}
		var others []string // of the permutation
		for on, j := range order {
			if i != j && s.Sessions[j].Name != oldest {
				others = append(others, p[on].Step)
			}
		}
		if len(others) == 0 {
			continue
		}
		m := spec.Marker{Kind: spec.AfterStep, Step: evenly(t, "until", others)}
		if rapid.Bool().Draw(t, "by notices") {
			m.Kind, m.Notices = spec.AfterNotices, rapid.IntRange(0, 1).Draw(t, "notices")
		}
		p[at].Markers = append(p[at].Markers, m)
	}
	return p
}
