package soundness_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/racelab/racelab"
)

// A script is a program of which everything is drawn: what each session does,
// as data, so that it can be shrunk and printed.
type script struct {
	level   racelab.Level
	cascade bool     // children go with their parents
	faults  int      // connections lost in a schedule, at most
	tables  []string // statements that make more of them
	// unsorted is to compare rows in the order in which they came. PostgreSQL
	// leaves it to chance where the set-up's rows lie.
	unsorted bool
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
	if p.faults > 0 {
		fmt.Fprintf(&b, ", %d fault", p.faults)
	}
	if p.unsorted {
		b.WriteString(", unsorted")
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
func (s scripted) run(ctx context.Context, env *racelab.Env, unsorted bool) (_ racelab.Value, err error) {
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
		text, last, err := scriptStatement(ctx, conn, step.text, unsorted)
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

// scriptStatement runs one statement and returns what it gave, and the sum of
// the numbers in it.
func scriptStatement(ctx context.Context, conn *sql.Conn, text string, unsorted bool) (string, int64, error) {
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
	if !unsorted {
		slices.Sort(lines)
	}
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

// parseScript reads what a script's String writes.
func parseScript(text string) (p script) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	level, unsorted := strings.CutSuffix(strings.TrimSpace(lines[0]), ", unsorted")
	p.unsorted = unsorted
	level, faults := strings.CutSuffix(level, ", 1 fault")
	if faults {
		p.faults = 1
	}
	level, p.cascade = strings.CutSuffix(level, ", cascade")
	p.level = racelab.Level(level)
	for _, line := range lines[1:] {
		_, line, _ = strings.Cut(strings.TrimSpace(line), ": ")
		var s scripted
		line, s.goesOn = strings.CutPrefix(line, "(goes on) ")
		var step scriptStep
		for _, part := range strings.Split(line, "; ") {
			part, odd := strings.CutPrefix(part, "if odd: ")
			step.ifOdd = step.ifOdd || odd
			end, ended := strings.CutSuffix(part, " s")
			switch {
			case strings.HasPrefix(part, "BEGIN"):
				s.begin = part
				continue
			case part == "COMMIT", part == "ROLLBACK":
				s.rollback = part == "ROLLBACK"
				continue
			case part == "SAVEPOINT s":
				step.inside = "?"
				continue
			case ended:
				step.inside = end
			default:
				if step.text = part; step.inside != "" {
					continue
				}
			}
			s.steps = append(s.steps, step)
			step = scriptStep{}
		}
		p.sessions = append(p.sessions, s)
	}
	return p
}
