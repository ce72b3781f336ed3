package check

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/racelab/racelab"
)

const (
	ru  = racelab.ReadUncommitted
	rc  = racelab.ReadCommitted
	rr  = racelab.RepeatableRead
	ser = racelab.Serializable
)

// Cycles are written as A1 -rw-> B2.
func cycleText(a Anomaly) string {
	var edges []string
	for _, e := range a.Cycle {
		edges = append(edges, fmt.Sprintf("%s -%s-> %s", e.FromOp, e.Kind, e.ToOp))
	}
	return strings.Join(edges, ", ")
}

func state(table string, rows string) racelab.State {
	t := rowsOf(rows, func(s string) any { return s })
	t.Name = table
	return racelab.State{*t}
}

const (
	onCall = "SELECT count(*) FROM doctor WHERE on_call = TRUE => count=2"
	count  = "SELECT count(*) FROM ledger WHERE account = 1"
	enter  = "INSERT INTO ledger (account, amount) VALUES (1, 5)"
	look   = "SELECT id FROM users WHERE email = 'x' =>"
	join   = "INSERT INTO users (email) VALUES ('x')"
)

func TestExplain(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		levels []racelab.Level // nil: READ COMMITTED
		final  racelab.State
		want   Name
		cycle  string
	}{
		"dirty write": {"A b; B b; A w x 1; B w x 2; B w y 2; A w y 1; A c; B c", []racelab.Level{ru, rc, rr}, nil,
			DirtyWrite, "A2 -ww-> B2, B3 -ww-> A3"},
		"writes of two transactions each are no dirty write": {"A w x 1; B w x 2; B w y 2; A w y 1", nil, nil, "", ""},
		"writes in the same order":                           {"A b; B b; A w x 1; A w y 1; A c; B w x 2; B w y 2; B c", nil, nil, "", ""},

		"dirty read, rolled back": {"A b; A w x 1; B r x 1; A a", []racelab.Level{ru}, nil, DirtyRead, "A2 -wr-> B1"},
		"dirty read of a value in the middle": {"A b; A w x 1; B r x 1; A w x 2; A c", []racelab.Level{ru}, nil,
			DirtyRead, "A2 -wr-> B1, B1 -rw-> A3"},
		"dirty read of one of two": {"C r x 0; A b; A w x 1; B r x 1; B r y 0; A w y 1; A c", []racelab.Level{ru}, nil,
			DirtyRead, "A2 -wr-> B1, B2 -rw-> A3"},
		"dirty read, told by what is left": {"B b; B + x -1; A r x 0; A r y 1; B + y 1; B c", []racelab.Level{ru}, state("t", "id=x v=0 | id=y v=2"),
			DirtyRead, "B2 -wr-> A1, A2 -rw-> B3"},
		"dirty read of a count": {"A " + count + " => count=0; B b; B " + enter + "; A " + count + " => count=1; B c", []racelab.Level{ru}, nil,
			DirtyRead, "B2 -wr-> A2, A1 -rw-> B2"},
		"READ UNCOMMITTED that is READ COMMITTED": {"C r x 0; A b; B b; A r x 0; A w x 1; B r x 0; B r y 0; A r y 0; B w y 1; A c; B c", []racelab.Level{ru}, nil,
			WriteSkew, "B2 -rw-> A3, A4 -rw-> B4"},
		"an early read that came to nothing":       {"A b; A w x 1; B r x 1; A c", []racelab.Level{ru}, nil, "", ""},
		"READ UNCOMMITTED that reads the old":      {"A b; A w x 1; B r x 0; A a", []racelab.Level{ru}, nil, "", ""},
		"READ COMMITTED does not see it":           {"A b; A w x 1; B r x 0; A a", []racelab.Level{rc, rr, ser}, nil, "", ""},
		"the value in the middle of two commits":   {"A w x 1; B r x 1; A w x 2", nil, nil, "", ""},
		"what was rolled back to a savepoint only": {"A b; A SAVEPOINT s; A w x 1; A ROLLBACK TO SAVEPOINT s; A c; B r x 0; B w x 5", nil, nil, "", ""},

		"lost update": {"A r x 0; B r x 0; A w x 1; B w x 1", []racelab.Level{ru, rc, rr, ser}, nil,
			LostUpdate, "B1 -rw-> A2, A2 -ww-> B2"},
		"lost update in transactions": {"A b; B b; A r x 0; B r x 0; A w x 1; A c; B w x 2; B c", []racelab.Level{ru, rc, rr}, nil,
			LostUpdate, "B2 -rw-> A3, A3 -ww-> B3"},
		"lost update by one that waited": {"A b; B b; A r x 0; B r x 0; A w x 1; B waits A: w x 2; A c; B done; B c", []racelab.Level{rc, rr}, nil,
			LostUpdate, "B2 -rw-> A3, A3 -ww-> B3"},
		"lost update before the commit was seen": {"A b; A w x 1; B r x 0; A c; B w x 2", nil, nil,
			LostUpdate, "B1 -rw-> A2, A2 -ww-> B2"},
		"lost update of a snapshot": {"B b; B r y 0; A w x 1; B r x 0; B w x 2; B c", []racelab.Level{rr}, nil,
			LostUpdate, "B3 -rw-> A1, A1 -ww-> B4"},
		"lost update of every row": {"A SELECT v FROM t => v=0; B SELECT v FROM t => v=0; A UPDATE t SET v = 1; B UPDATE t SET v = 1", nil, nil,
			LostUpdate, "B1 -rw-> A2, A2 -ww-> B2"},
		"lost update by an upsert": {"A r x 0; B r x 0; A w x 1; B INSERT INTO t (id, v) VALUES ('x', 7) ON CONFLICT (id) DO UPDATE SET v = excluded.v", nil, nil,
			LostUpdate, "B1 -rw-> A2, A2 -ww-> B2"},
		"a decision on a balance that was spent": {"A r x 100; B r x 100; A + x -100; B + x -100", nil, nil,
			LostUpdate, "B1 -rw-> A2, A2 -ww-> B2"},
		"one after the other":             {"A r x 0; A w x 1; B r x 1; B w x 2", []racelab.Level{ru, rc, rr, ser}, nil, "", ""},
		"it waited and read the new":      {"A b; B b; A l x 0; B waits A: l x 1; A w x 1; A c; B done; B w x 2; B c", []racelab.Level{rc, rr}, nil, "", ""},
		"other columns":                   {"A r x 0; B r x 0; A UPDATE t SET w = 1 WHERE id = 'x'; B w x 1", nil, nil, "", ""},
		"other rows":                      {"A r x 0; B r y 0; A w x 1; B w y 1", nil, nil, "", ""},
		"the other one was rolled back":   {"A b; B b; A r x 0; B r x 0; A w x 1; A a; B w x 2; B c; A ends deadlock", nil, nil, "", ""},
		"the update found the old gone":   {"A r x 0; B r x 0; A w x 1; B UPDATE t SET v = 1 WHERE id = 'x' AND v = 0 => 0; B ends exhausted", nil, nil, "", ""},
		"it tried again":                  {"A r x 0; B r x 0; A w x 1; B UPDATE t SET v = 1 WHERE id = 'x' AND v = 0 => 0; B r x 1; B UPDATE t SET v = 2 WHERE id = 'x' AND v = 1", nil, nil, "", ""},
		"it tried again in a transaction": {"A b; B b; A r x 0; B r x 0; A w x 1; A c; B w x 1 => !serialization-failure; B a; B b; B r x 1; B w x 2; B c", []racelab.Level{rr, ser}, nil, "", ""},
		"the values say that it saw the write, whatever the level says": {"B b; B r y 0; A r x 0; A w x 1; B r x 1; B w x 2; B c", []racelab.Level{rr}, nil, "", ""},

		"read skew": {"A b; A r x 50; B b; B w x 10; B w y 90; B c; A r y 90; A c", []racelab.Level{rc}, nil,
			ReadSkew, "A2 -rw-> B2, B3 -wr-> A3"},
		"no read skew in a snapshot":                   {"A b; A r x 50; B b; B w x 10; B w y 90; B c; A r y 50; A c", []racelab.Level{rr, ser}, nil, "", ""},
		"read skew between statements":                 {"A w x 10; B r x 10; B r y 50; A w y 90", nil, nil, ReadSkew, "B2 -rw-> A2, A1 -wr-> B1"},
		"read skew through a third":                    {"A b; A r x 0; B w x 1; C r x 1; C w y 1; A r y 1; A c", nil, nil, ReadSkew, "A2 -rw-> B1, B1 -wr-> C1, C2 -wr-> A3"},
		"non-repeatable read":                          {"A b; A r x 0; B w x 1; A r x 1; A c", nil, nil, NonRepeatableRead, "A2 -rw-> B1, B1 -wr-> A3"},
		"repeatable in a snapshot":                     {"A b; A r x 0; B w x 1; A r x 0; A c", []racelab.Level{rr, ser}, nil, "", ""},
		"a locking read sees more than the snapshot":   {"A b; A r x 0; B w x 1; A l x 1; A c", []racelab.Level{rr}, nil, NonRepeatableRead, "A2 -rw-> B1, B1 -wr-> A3"},
		"what it read first is of a try that was lost": {"A b; A r x 0; B w x 1; A w z 1 => !deadlock; A a; A b; A r x 1; A c", nil, nil, "", ""},

		"write skew": {"A b; B b; A r x 1; A r y 1; B r x 1; B r y 1; A w x 0; B w y 0; A c; B c", []racelab.Level{ru, rc, rr}, nil,
			WriteSkew, "A3 -rw-> B4, B2 -rw-> A4"},
		"write skew of rows that are shown": {"A SELECT id FROM doctor WHERE on_call = TRUE => id=1 | id=2; B SELECT id FROM doctor WHERE on_call = TRUE => id=1 | id=2; A UPDATE doctor SET on_call = FALSE WHERE id = 1; B UPDATE doctor SET on_call = FALSE WHERE id = 2", nil, nil,
			WriteSkew, "A1 -rw-> B2, B1 -rw-> A2"},
		"write skew by a count": {"A " + onCall + "; B " + onCall + "; A UPDATE doctor SET on_call = FALSE WHERE id = 1; B UPDATE doctor SET on_call = FALSE WHERE id = 2", nil, nil,
			WriteSkew, "A1 -rw-> B2, B1 -rw-> A2"},
		"write skew of three":    {"A r x 1; B r y 1; C r z 1; A w y 0; B w z 0; C w x 0", nil, nil, WriteSkew, "A1 -rw-> C2, C1 -rw-> B2, B1 -rw-> A2"},
		"a column nobody counts": {"A " + onCall + "; B " + onCall + "; A UPDATE doctor SET name = 'a' WHERE id = 1; B UPDATE doctor SET name = 'b' WHERE id = 2", nil, nil, "", ""},
		"only one relied on it":  {"A r x 1; B r y 1; A w z 0; B w x 0", nil, nil, "", ""},

		"phantom seen": {"A b; A " + count + " => count=0; B " + enter + "; A " + count + " => count=1; A c", nil, nil,
			Phantom, "A2 -rw-> B1, B1 -wr-> A3"},
		"phantom missed by both": {"A " + count + " => count=0; B " + count + " => count=0; A " + enter + "; B " + enter, []racelab.Level{rc, rr, ser}, nil,
			Phantom, "A1 -rw-> B2, B1 -rw-> A2"},
		"phantom deleted": {"A b; A " + count + " => count=2; B DELETE FROM ledger WHERE amount = 5; A " + count + " => count=1; A c", nil, nil,
			Phantom, "A2 -rw-> B1, B1 -wr-> A3"},
		"phantom in a range": {"A SELECT room FROM booking WHERE day BETWEEN 3 AND 5 =>; B SELECT room FROM booking WHERE day BETWEEN 4 AND 6 =>; A INSERT INTO booking (room, day) VALUES (1, 4); B INSERT INTO booking (room, day) VALUES (1, 5)", nil, nil,
			Phantom, "A1 -rw-> B2, B1 -rw-> A2"},
		"ranges that do not meet":     {"A SELECT room FROM booking WHERE day < 4 =>; B SELECT room FROM booking WHERE day >= 4 =>; A INSERT INTO booking (room, day) VALUES (1, 3); B INSERT INTO booking (room, day) VALUES (1, 4)", nil, nil, "", ""},
		"a row of another account":    {"A " + count + " => count=0; B " + count + " => count=0; A INSERT INTO ledger (account, amount) VALUES (2, 5); B INSERT INTO ledger (account, amount) VALUES (3, 5)", nil, nil, "", ""},
		"the same row is not deleted": {"A SELECT v FROM t WHERE id = 'x' => v=1; B DELETE FROM t WHERE id = 'y'; A SELECT v FROM t WHERE id = 'x' => v=1", nil, nil, "", ""},

		"duplicate": {"A " + look + "; B " + look + "; A " + join + "; B " + join, []racelab.Level{rc, rr}, state("users", "id=1 email=x | id=2 email=x"),
			Duplicate, "A1 -rw-> B2, B1 -rw-> A2"},
		"duplicate of what was looked for, whatever else the rows hold": {"A " + look + "; B " + look + "; A INSERT INTO users (email, n) VALUES ('x', 1); B INSERT INTO users (email, n) VALUES ('x', 2)", nil, state("users", "email=x n=1 | email=x n=2"),
			Duplicate, "A1 -rw-> B2, B1 -rw-> A2"},
		"two that differ in what was not looked for": {"A SELECT n FROM users WHERE n > 0 =>; B SELECT n FROM users WHERE n > 0 =>; A INSERT INTO users (email, n) VALUES ('x', 1); B INSERT INTO users (email, n) VALUES ('x', 2)", nil, state("users", "email=x n=1 | email=x n=2"),
			Phantom, "A1 -rw-> B2, B1 -rw-> A2"},
		"no duplicate if it is not there twice": {"A " + look + "; B " + look + "; A " + join + "; B " + join, nil, state("users", "id=1 email=x"),
			Phantom, "A1 -rw-> B2, B1 -rw-> A2"},
		"duplicate refused": {"A " + look + "; B " + look + "; A " + join + "; B " + join + " => !unique-violation; B ends unique-violation", nil, nil,
			Duplicate, "B1 -rw-> A2, A2 -wr-> B2"},
		"duplicate refused, and a look at the same snapshot": {"A b; A " + look + "; B " + join + "; A SAVEPOINT s; A " + join + " => !unique-violation; A ROLLBACK TO s; A " + look + "; A a; A ends unique-violation", []racelab.Level{rr}, nil,
			Duplicate, "A2 -rw-> B1, B1 -wr-> A4"},
		"duplicate refused, and no look any more": {"A b; A " + look + "; B " + join + "; A " + join + " => !unique-violation; A " + strings.TrimSuffix(look, "=>") + "=> !other; A a; A ends other", []racelab.Level{rc, rr}, nil,
			Duplicate, "A2 -rw-> B1, B1 -wr-> A3"},
		"duplicate refused, and begun again": {"A b; A " + look + "; B " + join + "; A " + join + " => !unique-violation; A a; A b; A SELECT id FROM users WHERE email = 'x' => id=1; A c", nil, nil, "", ""},
		"duplicate after an update of nothing": {"A UPDATE users SET n = 1 WHERE email = 'x' => 0; B UPDATE users SET n = 1 WHERE email = 'x' => 0; A " + join + "; B " + join, nil, state("users", "id=1 email=x | id=2 email=x"),
			Duplicate, "A1 -rw-> B2, B1 -rw-> A2"},
		"found and left": {"A " + look + "; A " + join + "; B SELECT id FROM users WHERE email = 'x' => id=1", nil, nil, "", ""},

		"deadlock": {"A b; B b; A w x 1; B w y 1; A waits B: w y 1; B waits A: w x 1; A stays; B stays", nil, nil,
			Deadlock, "A3 -waits-> B3, B3 -waits-> A3"},
		"deadlock with oneself": {"A w x 1; A waits A: w y 1; A stays", nil, nil, Deadlock, "A2 -waits-> A2"},
		"deadlock that the engine ended": {"A b; B b; A w x 1; B w y 1; A waits B: w y 1; B w x 1 => !deadlock; B a; A done; A c; B ends deadlock", nil, nil,
			Deadlock, "A3 -waits-> B3, B3 -waits-> A3"},
		"a wait without a circle": {"A b; A w x 1; B waits A: w x 1; A stays; B stays", nil, nil, "", ""},
		"an update is lost beside a deadlock": {"A r x 0; B r x 0; A w x 1; B w x 1; C w z 1 => !deadlock; C ends deadlock", nil, nil,
			LostUpdate, "B1 -rw-> A2, A2 -ww-> B2"},

		"nothing":             {"", nil, nil, "", ""},
		"only reads":          {"A r x 0; B r x 0", nil, nil, "", ""},
		"no SQL that we read": {"A CALL p(1); B CALL p(2); A VACUUM; B SELECT 1", nil, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			levels := test.levels
			if levels == nil {
				levels = []racelab.Level{rc}
			}
			for _, level := range levels {
				h := script(t, test.script)
				h.Final = test.final
				got, ok := Explain(h, level)
				if got.Name != test.want || ok != (test.want != "") || cycleText(got) != test.cycle {
					t.Errorf("%s: %q, %s\nwant %q, %s", level, got.Name, cycleText(got), test.want, test.cycle)
				}
			}
		})
	}
}

// What a person reads, whole, for some.
func TestAnAnomalyIsToldInPlainWords(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		level  racelab.Level
		prose  string
		marks  map[int]string
	}{
		"lost update": {"A r x 0; B r x 0; A w x 1; B w x 1", rc,
			"B read t id x (B1) before A wrote it (A2), and then wrote it from what it had read (B2). What A wrote is gone.",
			map[int]string{5: "stale at B2", 7: "lost to B2", 9: "overwrites A2"}},
		"lost update of an old snapshot": {"B b; B r y 0; A w x 1; B r x 0; B w x 2; B c", rr,
			"B read t id x (B3) without what A had written (A1), and then wrote it from what it had read (B4). What A wrote is gone.",
			map[int]string{7: "lost to B4", 9: "stale at B4", 11: "overwrites A1"}},
		"read skew": {"A b; A r x 50; B b; B w x 10; B w y 90; B c; A r y 90; A c", rc,
			"A read t id x (A2) before B wrote it (B2), and t id y (A3) after B wrote it (B3). The two do not belong together: A saw a state that never was.",
			map[int]string{4: "before B2", 9: "unseen by A2", 11: "seen by A3", 15: "after B3"}},
		"phantom": {"A " + count + " => count=0; B " + count + " => count=0; A " + enter + "; B " + enter, rc,
			"A read ledger account 1 (A1) before B put a row into it (B2). But B comes before A as well: B read ledger account 1 (B1) before A put a row into it (A2).",
			map[int]string{2: "before B2", 5: "before A2", 7: "unseen by B1", 9: "unseen by A1"}},
		"duplicate": {"A " + look + "; B " + look + "; A " + join + "; B " + join + " => !unique-violation; B ends unique-violation", rc,
			"B found no users email x (B1) before A put it in (A2), and then tried to put it in too (B2). The database refused the second.",
			map[int]string{5: "finds none", 7: "unseen by B1", 9: "meets A2"}},
		"duplicate that a snapshot hides": {"A b; A " + look + "; B " + join + "; A " + join + " => !unique-violation; A " + look + "; A a; A ends unique-violation", rr,
			"A found no users email x (A2) before B put it in (B1), and then tried to put it in too (A3). The database refused the second. A looked again (A4) and still found none: its transaction sees the state from before.",
			map[int]string{4: "finds none", 7: "unseen by A2", 9: "meets B1", 11: "still without B1"}},
		"duplicate, and the transaction is over": {"A b; A " + look + "; B " + join + "; A " + join + " => !unique-violation; A " + strings.TrimSuffix(look, "=>") + "=> !transaction-failed; A a; A ends transaction-failed", rc,
			"A found no users email x (A2) before B put it in (B1), and then tried to put it in too (A3). The database refused the second. A looked again (A4), and that failed too: the refusal had ended its transaction.",
			map[int]string{4: "finds none", 7: "unseen by A2", 9: "meets B1", 11: "fails after A3"}},
		"dirty read": {"A b; A w x 1; B r x 1; A a", ru,
			"B read t id x (B1) after A wrote it (A2) and before A committed. A was rolled back, so B saw what never was.",
			map[int]string{4: "read before its commit at B1", 7: "reads what A had not committed"}},
		"deadlock": {"A b; B b; A w x 1; B w y 1; A waits B: w y 1; B waits A: w x 1; A stays; B stays", rc,
			"A waits for B at A3, and B waits for A at B3. Nobody can go on.",
			map[int]string{11: "waits for B", 13: "waits for A"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := Explain(script(t, test.script), test.level)
			if diff := cmp.Diff(test.prose, got.Prose); diff != "" {
				t.Errorf("prose (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.marks, got.Marks); diff != "" {
				t.Errorf("marks (-want +got):\n%s", diff)
			}
		})
	}
}

// Calls that run one after another, each in a transaction or in several, have
// no anomaly, whatever they read and write.
func TestSerialRunsHaveNoName(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		values, ledger := map[string]int{"x": 0, "y": 0}, 0
		var steps []string
		for _, s := range rapid.Permutation([]string{"A", "B", "C"}).Draw(rt, "order") {
			tx := rapid.Bool().Draw(rt, "transaction")
			if tx {
				steps = append(steps, s+" b")
			}
			for range rapid.IntRange(1, 5).Draw(rt, "steps") {
				row := rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "row")
				n := rapid.IntRange(0, 3).Draw(rt, "value")
				switch rapid.IntRange(0, 6).Draw(rt, "step") {
				case 0:
					steps = append(steps, fmt.Sprintf("%s r %s %d", s, row, values[row]))
				case 1:
					steps = append(steps, fmt.Sprintf("%s l %s %d", s, row, values[row]))
				case 2:
					values[row] = n
					steps = append(steps, fmt.Sprintf("%s w %s %d", s, row, n))
				case 3:
					values[row] += n
					steps = append(steps, fmt.Sprintf("%s + %s %d", s, row, n))
				case 4:
					steps = append(steps, fmt.Sprintf("%s SELECT id, v FROM t => id=x v=%d | id=y v=%d", s, values["x"], values["y"]))
				case 5:
					steps = append(steps, fmt.Sprintf("%s %s => count=%d", s, count, ledger))
				case 6:
					ledger++
					steps = append(steps, s+" "+enter)
				}
			}
			if tx {
				steps = append(steps, s+" c")
			}
		}
		level := rapid.SampledFrom([]racelab.Level{ru, rc, rr, ser}).Draw(rt, "level")
		if a, ok := Explain(script(t, strings.Join(steps, "; ")), level); ok {
			rt.Fatalf("%s: %s by %s", strings.Join(steps, "; "), a.Name, cycleText(a))
		}
	})
}

func TestExplainNeverPanics(t *testing.T) {
	texts := []string{
		"", ";", "BEGIN", "COMMIT", "SAVEPOINT s", "ROLLBACK TO s", "SELECT v FROM t WHERE id = ?", "SELECT * FROM t", "SELECT FROM", "SELECT a.b, FROM t, u WHERE",
		"UPDATE t SET v = ? WHERE id = 1", "UPDATE t SET v = v + 1", "INSERT INTO t (id, v) VALUES (?, 1)", "INSERT INTO t () VALUES", "INSERT INTO t (a) VALUES (1), (",
		"REPLACE INTO t (id) VALUES (1)", "INSERT INTO t (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET v = excluded.v", "DELETE FROM t WHERE id IN (1, ?)", "DELETE FROM t WHERE v BETWEEN 1",
		"SELECT count(*) FROM t WHERE v IS NOT NULL OR x", "SELECT v FROM t WHERE a.id >= -1 AND NOT x FOR UPDATE",
	}
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SampledFrom([]racelab.Value{nil, int64(0), int64(1), "x", "(", true, 1.5, racelab.Time("now")})
		table := rapid.Custom(func(t *rapid.T) *racelab.Table {
			return &racelab.Table{
				Name:    "t",
				Columns: rapid.SliceOfN(rapid.SampledFrom([]string{"id", "v", "V", ""}), 0, 3).Draw(t, "columns"),
				Rows:    rapid.SliceOfN(rapid.SliceOfN(rapid.Map(value, func(v racelab.Value) racelab.Value { return v }), 0, 4), 0, 3).Draw(t, "rows"),
			}
		})
		session := rapid.SampledFrom([]racelab.SessionID{"A", "B", "C", ""})
		event := rapid.Custom(func(t *rapid.T) racelab.Event {
			e := racelab.Event{
				Kind: rapid.SampledFrom([]racelab.EventKind{racelab.Called, racelab.Entered, racelab.Waiting, racelab.Left, racelab.Left, racelab.Left, racelab.Returned, ""}).Draw(t, "kind"),
				On:   rapid.SliceOfN(session, 0, 2).Draw(t, "on"),
			}
			s := session.Draw(t, "session")
			e.Op = racelab.Op{
				Session: s, Call: s.Call(rapid.IntRange(1, 2).Draw(t, "call")), Step: rapid.IntRange(0, 5).Draw(t, "step"),
				Kind: rapid.SampledFrom([]racelab.OpKind{racelab.Begin, racelab.Commit, racelab.Rollback, racelab.Query, racelab.Exec, racelab.Query, racelab.Exec, racelab.Acquire, ""}).Draw(t, "op"),
				Text: rapid.OneOf(rapid.SampledFrom(texts), rapid.String()).Draw(t, "text"),
			}
			for range rapid.IntRange(0, 2).Draw(t, "args") {
				e.Op.Args = append(e.Op.Args, value.Draw(t, "arg"))
			}
			e.Result = racelab.Result{
				Class:    rapid.SampledFrom([]racelab.Class{racelab.OK, racelab.OK, racelab.OK, racelab.UniqueViolation, racelab.Deadlock, ""}).Draw(t, "class"),
				Affected: rapid.Int64Range(0, 2).Draw(t, "affected"),
			}
			if rapid.Bool().Draw(t, "rows") {
				e.Result.Rows = table.Draw(t, "result")
			}
			return e
		})
		h := racelab.History{Events: rapid.SliceOfN(event, 0, 40).Draw(t, "events"), Final: racelab.State{*table.Draw(t, "final")}}
		level := rapid.SampledFrom([]racelab.Level{ru, rc, rr, racelab.RepeatableReadSnapshot, ser, ""}).Draw(t, "level")
		a, ok := Explain(h, level)
		if ok != (a.Name != "") || ok && a.Prose == "" {
			t.Fatalf("explained: %v, as %+v", ok, a)
		}
		for i, e := range a.Cycle {
			if next := a.Cycle[(i+1)%len(a.Cycle)]; len(a.Cycle) > 1 && e.To != next.From {
				t.Fatalf("no cycle: %+v", a.Cycle)
			}
		}
		for at := range a.Marks {
			if at < 0 || at >= len(h.Events) {
				t.Fatalf("a mark at %d of %d events", at, len(h.Events))
			}
		}
		if b, _ := Explain(h, level); !cmp.Equal(a, b) {
			t.Fatalf("explained as %+v, and then as %+v", a, b)
		}
	})
}
