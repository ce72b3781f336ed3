// Package picture draws runs. It is pure: a run goes in, text comes out.
//
// A picture has a lane for each session and a row for each thing that
// happened, in order. Layout is the same for every form of output.
package picture

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// A Mark says something beside an event, which is then part of the finding.
type Mark map[int]string

// A Layout is a picture before it is drawn.
type Layout struct {
	Lanes []racelab.SessionID
	Rows  []Row
}

// A Row is one line of a picture.
type Row struct {
	Lane   int           // -1 if it is nobody's: time passes
	At     time.Duration // -1 if it is not known
	Cells  []Cell        // of each lane
	Name   string        // A1; "" for what is no operation
	Text   string        // what was done
	Result string        // what it gave
	Failed bool
	Mark   string
}

// A Cell says what a lane does at a row.
type Cell uint8

const (
	Absent  Cell = iota // no call yet, or none any more
	Idle                // in a call, between operations or in one
	Stopped             // waiting for another session
	Acts                // the row is the lane's own
	Pauses              // the row is the lane's window
)

// Lay makes the layout of a run; marks are by position in its history.
func Lay(run racelab.Run, marks Mark) Layout {
	l := Layout{}
	for _, e := range run.History.Events {
		if s := e.Op.Session; s != "" && !slices.Contains(l.Lanes, s) {
			l.Lanes = append(l.Lanes, s)
		}
	}
	slices.SortFunc(l.Lanes, beside)
	state := make([]Cell, len(l.Lanes))
	for i, e := range run.History.Events {
		row := Row{Lane: slices.Index(l.Lanes, e.Op.Session), At: -1, Mark: marks[i]}
		if i < len(run.At) {
			row.At = run.At[i]
		}
		if e.Kind == racelab.Ticked {
			row.Text, row.Cells = "(time passes)", slices.Clone(state)
			l.add(row)
			continue
		}
		if row.Lane < 0 {
			continue
		}
		switch e.Kind {
		case racelab.Called:
			state[row.Lane] = Idle
			continue
		case racelab.Entered:
			if state[row.Lane] == Absent { // the call began before the history did
				state[row.Lane] = Idle
			}
			continue
		case racelab.Waiting:
			state[row.Lane] = Stopped
			row.Name, row.Text = e.Op.Name(), waitText(e)
		case racelab.Left:
			state[row.Lane] = Idle
			row.Name, row.Text, row.Result, row.Failed = describe(e)
		case racelab.Returned:
			state[row.Lane] = Absent
			if e.Result.Class == racelab.OK {
				continue
			}
			row.Text, row.Failed = "ends: "+e.Result.Class.Words(), true
			if e.What != "" {
				row.Text = "ends: " + e.What
			}
		}
		row.Cells = slices.Clone(state)
		switch {
		case e.Kind == racelab.Left && pauses(e.Op):
			row.Cells[row.Lane] = Pauses
		case e.Kind != racelab.Waiting:
			row.Cells[row.Lane] = Acts
		}
		l.add(row)
	}
	return l
}

// add adds a row: one line that cannot steer a terminal, whatever the program
// says that is shown.
func (l *Layout) add(r Row) {
	r.Text, r.Result, r.Mark = sqltext.Printable(r.Text), sqltext.Printable(r.Result), sqltext.Printable(r.Mark)
	l.Rows = append(l.Rows, r)
}

// beside orders lanes: A, B, ..., AA, and each session's own behind it, Aa, Aaa,
// Ab.
func beside(a, b racelab.SessionID) int {
	own := func(s racelab.SessionID) int { // where the names of those it has started begin
		if i := strings.IndexFunc(string(s), unicode.IsLower); i >= 0 {
			return i
		}
		return len(s)
	}
	i, j := own(a), own(b)
	return cmp.Or(cmp.Compare(i, j), strings.Compare(string(a[:i]), string(b[:j])), strings.Compare(string(a[i:]), string(b[j:])))
}

// pauses reports whether a session does nothing but let time or others pass.
func pauses(op racelab.Op) bool {
	return op.Kind == racelab.Window || op.Kind == racelab.Sleep || op.Kind == racelab.Yield
}

// memoryWait says what of shared memory is waited for.
func memoryWait(e racelab.Event) string {
	var others []string
	itself := false
	for _, s := range e.On {
		if itself = itself || s == e.Op.Session; s != e.Op.Session {
			others = append(others, string(s))
		}
	}
	what := "waits for " + e.Op.Touches[0].Value()
	switch {
	case itself:
		return what + ", which it holds itself"
	case len(others) > 0:
		return fmt.Sprintf("%s, which %s holds", what, strings.Join(others, " and "))
	}
	return what
}

func waitText(e racelab.Event) string {
	if len(e.Op.Touches) > 0 {
		return memoryWait(e)
	}
	what := "a lock"
	if e.What != "" {
		what = "the " + e.What + " lock"
	}
	names := make([]string, len(e.On))
	for i, s := range e.On {
		names[i] = string(s)
	}
	switch {
	case len(names) > 0:
		return fmt.Sprintf("waits for %s, which %s holds", what, strings.Join(names, " and "))
	case e.Outside != "":
		return fmt.Sprintf("waits for %s: %s", what, e.Outside)
	}
	return "waits for " + what // its holder is not in the picture
}

// inGo writes a value of shared memory.
func inGo(v racelab.Value) string {
	if v == nil {
		return "nil"
	}
	return sqltext.Literal(v)
}

func describe(e racelab.Event) (name, text, result string, failed bool) {
	name, text = e.Op.Name(), e.Op.Text
	if len(e.Op.Touches) == 0 { // else it is no SQL
		text = sqltext.Inline(text, e.Op.Args)
	}
	switch e.Op.Kind {
	case racelab.Window:
		text = "(" + text + " pass)"
	case racelab.Sleep, racelab.Yield:
		text = "(" + text + ")"
	case racelab.Store:
		if e.Result.Value != nil || strings.HasPrefix(text, "store ") { // to clear an event says it all
			text += " = " + inGo(e.Result.Value)
		}
	case racelab.Load:
		result = inGo(e.Result.Value)
	case racelab.Spawn:
		result = fmt.Sprint(e.Result.Value)
	default:
		if e.Result.Value != nil {
			result = inGo(e.Result.Value)
		}
	}
	switch rows := e.Result.Rows; {
	case e.Op.Fault == racelab.DropBefore:
		return name, text, "not sent: the connection is lost", true
	case e.Op.Fault == racelab.DropAfter:
		return name, text, "done, but the connection is lost, and with it the answer", true
	case e.Result.Class != racelab.OK && e.What != "":
		return name, text, e.What, true
	case e.Result.Class != racelab.OK:
		return name, text, e.Result.Class.Words(), true
	case rows == nil:
		if e.Op.Kind == racelab.Exec && e.Result.Affected == 0 {
			result = "no row changed"
		}
	case len(rows.Rows) == 0:
		result = "no row"
	case len(rows.Rows) == 1:
		values := make([]string, len(rows.Rows[0]))
		for i, v := range rows.Rows[0] {
			values[i] = sqltext.Literal(v)
		}
		result = strings.Join(values, ", ")
	default:
		result = fmt.Sprintf("%d rows", len(rows.Rows))
	}
	return name, text, result, false
}
