package picture

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
)

var update = flag.Bool("update", false, "write the golden files anew")

type script struct {
	events []racelab.Event
	steps  map[racelab.SessionID]int
}

func (s *script) add(kind racelab.EventKind, session racelab.SessionID, e racelab.Event) {
	e.Kind, e.Op.Session, e.Op.Call = kind, session, session.Call(1)
	if kind == racelab.Entered {
		s.steps[session]++
	}
	e.Op.Step = s.steps[session]
	if e.Result.Class == "" {
		e.Result.Class = racelab.OK
	}
	s.events = append(s.events, e)
}

// do is an operation that enters and leaves at once.
func (s *script) do(session racelab.SessionID, op racelab.Op, r racelab.Result) {
	s.add(racelab.Entered, session, racelab.Event{Op: op})
	s.add(racelab.Left, session, racelab.Event{Op: op, Result: r})
}

func value(v racelab.Value) racelab.Result {
	return racelab.Result{Rows: &racelab.Table{Columns: []string{"x"}, Rows: [][]racelab.Value{{v}}}}
}

func lostUpdate() (racelab.Run, Mark) {
	s := &script{steps: map[racelab.SessionID]int{}}
	read := racelab.Op{Kind: racelab.Query, Text: "SELECT balance FROM account WHERE id = ?", Args: []any{int64(1)}}
	write := racelab.Op{Kind: racelab.Exec, Text: "UPDATE account SET balance = ? WHERE id = ?", Args: []any{int64(100), int64(1)}}
	s.add(racelab.Called, "A", racelab.Event{})
	s.add(racelab.Called, "B", racelab.Event{})
	s.do("A", read, value(int64(0)))
	s.do("B", read, value(int64(0)))
	s.do("A", racelab.Op{Kind: racelab.Window, Text: "2.5ms"}, racelab.Result{})
	s.do("A", write, racelab.Result{Affected: 1})
	s.add(racelab.Returned, "A", racelab.Event{})
	s.do("B", write, racelab.Result{Affected: 1})
	s.add(racelab.Returned, "B", racelab.Event{})
	run := racelab.Run{History: racelab.History{Events: s.events}}
	for i := range s.events {
		run.At = append(run.At, time.Duration(i)*1300*time.Microsecond)
	}
	return run, Mark{5: "stale at B2", 9: "lost to B2", 12: "overwrites A3"}
}

func deadlock() racelab.Run {
	s := &script{steps: map[racelab.SessionID]int{}}
	insert := racelab.Op{Kind: racelab.Exec, Text: "INSERT INTO ledger (account, amount, note) VALUES (?, ?, ?)", Args: []any{int64(1), nil, "a\x1b[31m'red'\n"}}
	write := racelab.Op{Kind: racelab.Exec, Text: "UPDATE account\n\tSET balance = 100"}
	for _, session := range []racelab.SessionID{"A", "B"} {
		s.add(racelab.Called, session, racelab.Event{})
		s.do(session, racelab.Op{Kind: racelab.Begin, Text: "BEGIN"}, racelab.Result{})
		s.do(session, insert, racelab.Result{Affected: 1})
	}
	s.add(racelab.Entered, "A", racelab.Event{Op: write})
	s.add(racelab.Waiting, "A", racelab.Event{Op: write, On: []racelab.SessionID{"B"}, What: "row"})
	s.do("B", write, racelab.Result{Class: racelab.Deadlock})
	s.add(racelab.Returned, "B", racelab.Event{Result: racelab.Result{Class: racelab.Deadlock}})
	s.add(racelab.Left, "A", racelab.Event{Op: write, Result: racelab.Result{Affected: 1}})
	s.do("A", racelab.Op{Kind: racelab.Commit, Text: "COMMIT"}, racelab.Result{})
	s.add(racelab.Returned, "A", racelab.Event{})
	return racelab.Run{History: racelab.History{Events: s.events}}
}

func TestText(t *testing.T) {
	lost, marks := lostUpdate()
	for name, got := range map[string]string{
		"lost-update.txt":        Text(lost, marks, Options{}),
		"lost-update-color.txt":  Text(lost, marks, Options{Color: true}),
		"lost-update-narrow.txt": Text(lost, marks, Options{Width: 50}),
		"deadlock.txt":           Text(deadlock(), nil, Options{}),
		"empty.txt":              Text(racelab.Run{}, nil, Options{}),
	} {
		golden(t, name, got)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestTextKeepsToItsWidthAndEscapes(t *testing.T) {
	for _, line := range strings.Split(Text(deadlock(), nil, Options{}), "\n") {
		if n := len([]rune(line)); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
		if strings.ContainsAny(line, "\x1b\t") {
			t.Errorf("a control character in %q", line)
		}
	}
}
