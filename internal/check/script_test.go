package check

import (
	"strconv"
	"strings"
	"testing"

	"github.com/racelab/racelab"
)

// script reads a history under control from a few words a step, in order:
//
//	A b, A c, A a       begin, commit, roll back
//	A r x 0, A l x 0    read v of the row x, which is 0; the same FOR UPDATE
//	A w x 1, A + x 1    write v of the row x; add to it
//	A SELECT ... => id=1 on=0 | id=2    any statement and its rows
//	A UPDATE ... => 0                   or how many rows it changed (1)
//	A UPDATE ... => !deadlock           or how it failed
//	A waits B: w x 1, A done            it waits; it is done
//	A ends refused                      how its call ended (ok)
//	A stays                             its call never ends
//
// Each session makes one call.
func script(t *testing.T, text string) racelab.History {
	t.Helper()
	var h racelab.History
	steps := map[racelab.SessionID]int{}
	pending := map[racelab.SessionID]racelab.Event{}
	over := map[racelab.SessionID]bool{}
	var sessions []racelab.SessionID
	add := func(e racelab.Event, kind racelab.EventKind) {
		e.Kind = kind
		h.Events = append(h.Events, e)
	}
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == ';' || r == '\n' }) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" {
			continue
		}
		s := racelab.SessionID(name)
		call := racelab.Event{Op: racelab.Op{Session: s, Call: s.Call(1)}}
		if _, known := over[s]; !known {
			sessions, over[s] = append(sessions, s), false
			add(call, racelab.Called)
		}
		on, isWait := strings.CutPrefix(rest, "waits ")
		words := strings.Fields(rest)
		switch {
		case words[0] == "done":
			add(pending[s], racelab.Left)
			continue
		case words[0] == "ends":
			over[s] = true
			call.Result.Class = racelab.Class(words[1])
			add(call, racelab.Returned)
			continue
		case words[0] == "stays":
			over[s] = true
			continue
		case isWait:
			on, rest, _ = strings.Cut(on, ": ")
		}
		steps[s]++
		e := operation(t, rest)
		e.Op.Session, e.Op.Call, e.Op.Step = s, s.Call(1), steps[s]
		enter := racelab.Event{Op: e.Op}
		add(enter, racelab.Entered)
		if !isWait {
			add(e, racelab.Left)
			continue
		}
		for _, o := range strings.Fields(on) {
			enter.On = append(enter.On, racelab.SessionID(o))
		}
		add(enter, racelab.Waiting)
		pending[s] = e
	}
	for _, s := range sessions {
		if !over[s] {
			add(racelab.Event{Op: racelab.Op{Session: s, Call: s.Call(1)}, Result: racelab.Result{Class: racelab.OK}}, racelab.Returned)
		}
	}
	return h
}

func operation(t *testing.T, text string) racelab.Event {
	t.Helper()
	text, result, _ := strings.Cut(text, " =>")
	result = strings.TrimSpace(result)
	words := strings.Fields(text)
	e := racelab.Event{Result: racelab.Result{Class: racelab.OK}}
	e.Op.Kind = racelab.Query
	value := func(s string) any {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n
		}
		return s
	}
	switch words[0] {
	case "b":
		e.Op.Kind, e.Op.Text = racelab.Begin, "BEGIN"
	case "c":
		e.Op.Kind, e.Op.Text = racelab.Commit, "COMMIT"
	case "a":
		e.Op.Kind, e.Op.Text = racelab.Rollback, "ROLLBACK"
	case "r", "l":
		e.Op.Text, e.Op.Args = "SELECT v FROM t WHERE id = ?", []any{words[1]}
		if words[0] == "l" {
			e.Op.Text += " FOR UPDATE"
		}
		e.Result.Rows = &racelab.Table{Columns: []string{"v"}, Rows: [][]racelab.Value{{value(words[2])}}}
		return e
	case "w":
		e.Op.Kind, e.Op.Text, e.Op.Args = racelab.Exec, "UPDATE t SET v = ? WHERE id = ?", []any{value(words[2]), words[1]}
		e.Result.Affected = 1
	case "+":
		e.Op.Kind, e.Op.Text, e.Op.Args = racelab.Exec, "UPDATE t SET v = v + ? WHERE id = ?", []any{value(words[2]), words[1]}
		e.Result.Affected = 1
	default:
		e.Op.Text = text
		if words[0] != "SELECT" {
			e.Op.Kind, e.Result.Affected = racelab.Exec, 1
		}
	}
	class, failed := strings.CutPrefix(result, "!")
	switch n, err := strconv.ParseInt(result, 10, 64); {
	case failed:
		e.Result = racelab.Result{Class: racelab.Class(class)}
	case err == nil:
		e.Result.Affected = n
	case e.Op.Kind == racelab.Query:
		e.Result.Rows = rowsOf(result, value)
	}
	return e
}

func rowsOf(text string, value func(string) any) *racelab.Table {
	table := &racelab.Table{}
	for _, line := range strings.Split(text, "|") {
		var row []racelab.Value
		for i, field := range strings.Fields(line) {
			column, v, _ := strings.Cut(field, "=")
			if i == len(table.Columns) {
				table.Columns = append(table.Columns, column)
			}
			row = append(row, value(v))
		}
		if row != nil {
			table.Rows = append(table.Rows, row)
		}
	}
	return table
}
