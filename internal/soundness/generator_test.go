package soundness_test

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/racelab/racelab"
)

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

// scripts generates scripts: most are small, a few are not, and some may lose a
// connection.
func scripts(e racelab.Engine) *rapid.Generator[script] {
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
			if e.Name == "mysql" { // PostgreSQL locks no groups
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
		if rapid.IntRange(0, 7).Draw(t, "faults") == 7 {
			p.faults = 1
		}
		return p.within(rapid.SampledFrom([]int{6, 10, 15, 20, 30, 30, 30, 130}).Draw(t, "schedules"))
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
		case s.begin != "":
			s.begin = ""
		default:
			return p // nothing is left to be taken away
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

// schedules is about how many there are if nobody ever waits.
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
	if p.faults > 0 { // at each step, and then that session has fewer
		all *= n
	}
	return all
}
