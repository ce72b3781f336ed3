package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// A Cause says why the same schedule gave another history: what it is that no
// schedule controls.
type Cause string

const (
	ByTime      Cause = "time"
	ByChance    Cause = "random"
	ByGoroutine Cause = "another goroutine"
	ByEngine    Cause = "the engine"
)

// remedies say what to do about a cause.
var remedies = map[Cause]string{
	ByTime:      "the time of day: let the database take it, or pass a time.Time, which is not compared",
	ByChance:    "chance: take the value from the call's arguments, or seed it",
	ByGoroutine: "another goroutine of the call, or a branch that chance or time decides: do all of a call's operations in one goroutine, in an order that the call's arguments and what it has read decide",
	ByEngine:    "the engine, for the operations were the same: say what the statement leaves open, such as the order of its rows (ORDER BY), or declare the column in Generated or References if it holds made-up keys",
}

// A Difference is the first one between two runs of the same schedule.
type Difference struct {
	Step  string // A3, or the call A.1, or "the final state"
	What  string // what was different there
	Cause Cause
}

// String is the difference as one sentence, with what to do about it.
func (d Difference) String() string {
	return fmt.Sprintf("%s %s; the cause is %s", d.Step, d.What, remedies[d.Cause])
}

// DifferenceOf compares two runs of the same schedule of a scenario, and
// reports whether they are different. Times are not compared, generated keys up
// to a renaming, and the rows of a statement that does not order them as a
// multiset; everything else has to be equal. The second may have been broken
// off: then it is different, in what is missing if in nothing before.
func DifferenceOf(a, b racelab.History, s *racelab.Scenario) (Difference, bool) {
	c := comparison{spaces: keyspacesOf(s), there: map[generated]string{}, back: map[generated]string{}, final: a.Final}
	for i := range min(len(a.Events), len(b.Events)) {
		c.learn(a.Events[i], b.Events[i])
	}
	for i := range max(len(a.Events), len(b.Events)) {
		switch {
		case i >= len(b.Events):
			return missing(a.Events[i], "was there, and then not"), true
		case i >= len(a.Events):
			return missing(b.Events[i], "was not there, and then it was"), true
		}
		if d, different := c.events(a.Events[i], b.Events[i]); different {
			return d, true
		}
	}
	return c.states(a, b, s)
}

// nameOf is the step or the call that an event is of.
func nameOf(e racelab.Event) string {
	switch {
	case e.Kind == racelab.Called || e.Kind == racelab.Returned:
		return string(e.Op.Call)
	case e.Op.Session == "":
		return "a tick"
	}
	return e.Op.Name()
}

// missing is an event that is in one history only. What the engine answers is
// its own; what it is asked is the session's.
func missing(e racelab.Event, what string) Difference {
	d := Difference{Step: nameOf(e), What: fmt.Sprintf("(%s) %s", doing(e), what), Cause: ByGoroutine}
	if e.Kind == racelab.Left || e.Kind == racelab.Waiting {
		d.Cause = ByEngine
	}
	return d
}

// doing says what an event is, in a few words.
func doing(e racelab.Event) string {
	switch e.Kind {
	case racelab.Entered:
		if e.Op.Text == "" {
			return string(e.Op.Kind)
		}
		return short(sqltext.Inline(e.Op.Text, nil))
	case racelab.Waiting:
		return fmt.Sprintf("waits for %v", e.On)
	case racelab.Left:
		return "is done"
	}
	return string(e.Kind)
}

// short cuts a text for a sentence.
func short(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}

// A comparison of two histories knows which generated key of the one is which
// of the other.
type comparison struct {
	spaces      keyspaces
	there, back map[generated]string
	final       racelab.State
}

// learn takes what is at the same place, where keys are, for the same key.
func (c *comparison) learn(a, b racelab.Event) {
	pair := func(v, w racelab.Value, spaces []keyspace) {
		if len(spaces) == 0 || v == nil || w == nil || c.renamed(v, w, spaces) {
			return
		}
		for _, of := range spaces {
			there, back := generated{of, textOf(v)}, generated{of, textOf(w)}
			if _, taken := c.there[there]; taken {
				continue
			}
			if _, taken := c.back[back]; !taken {
				c.there[there], c.back[back] = back.text, there.text
				return
			}
		}
	}
	c.each(a, b, pair)
}

// renamed reports whether one value is the other's name in one of the keyspaces.
func (c *comparison) renamed(v, w racelab.Value, spaces []keyspace) bool {
	for _, of := range spaces {
		if got, ok := c.there[generated{of, textOf(v)}]; ok && got == textOf(w) {
			return true
		}
	}
	return false
}

// each calls do with the values of two events that are at the same place, and
// the keyspaces that they may be of.
func (c *comparison) each(a, b racelab.Event, do func(v, w racelab.Value, spaces []keyspace)) {
	if a.Kind != b.Kind || a.Op.Text != b.Op.Text {
		return
	}
	if a.Kind == racelab.Returned {
		of := c.spaces.returned(a.Result.Value)
		if of != "" && of == c.spaces.returned(b.Result.Value) {
			do(a.Result.Value.(racelab.Key).Value, b.Result.Value.(racelab.Key).Value, []keyspace{of})
		}
		return
	}
	tokens := sqltext.Tokens(a.Op.Text)
	if a.Kind == racelab.Entered && len(a.Op.Args) == len(b.Op.Args) {
		columns := argumentColumns(tokens, c.final)
		for i, v := range a.Op.Args {
			if i < len(columns) {
				do(v, b.Op.Args[i], c.spaces.named(tokens, columns[i]))
			}
		}
	}
	if x, y := a.Result.Rows, b.Result.Rows; a.Kind == racelab.Left && x != nil && y != nil && slices.Equal(x.Columns, y.Columns) {
		for i := range min(len(x.Rows), len(y.Rows)) {
			for j, column := range x.Columns {
				do(x.Rows[i][j], y.Rows[i][j], c.spaces.named(tokens, column))
			}
		}
	}
}

// same reports whether two values are the same, or one is the other's name: in
// one of the keyspaces where it is known what they are of, and else in any, for
// a key may be read in a way that does not say so: max(id).
func (c *comparison) same(v, w racelab.Value, spaces []keyspace) bool {
	v, w = racelab.ValueOf(v), racelab.ValueOf(w)
	if x, ok := v.(racelab.Key); ok {
		y, both := w.(racelab.Key)
		return both && x.Of == y.Of && c.same(x.Value, y.Value, spaces)
	}
	if reflect.TypeOf(v) != reflect.TypeOf(w) {
		return false
	}
	if _, isTime := v.(racelab.Time); isTime {
		return true
	}
	if x, ok := v.(racelab.Shown); ok {
		return slices.EqualFunc(x, w.(racelab.Shown), c.sameTable)
	}
	if len(spaces) == 0 {
		spaces = slices.Collect(maps.Values(c.spaces))
	}
	return v == w || v != nil && c.renamed(v, w, spaces)
}

func (c *comparison) sameTable(a, b racelab.Table) bool {
	if a.Name != b.Name || !slices.Equal(a.Columns, b.Columns) || len(a.Rows) != len(b.Rows) {
		return false
	}
	_, _, _, same := c.rows(a.Rows, b.Rows, make([][]keyspace, len(a.Columns)), true)
	return same
}

// events compares two events at the same position.
func (c *comparison) events(a, b racelab.Event) (Difference, bool) {
	if a.Kind != b.Kind || shape(a.Op) != shape(b.Op) {
		return otherEvent(a, b), true
	}
	d := Difference{Step: nameOf(a)}
	tokens := sqltext.Tokens(a.Op.Text)
	switch a.Kind {
	case racelab.Entered:
		columns := argumentColumns(tokens, c.final)
		if len(a.Op.Args) != len(b.Op.Args) {
			d.What, d.Cause = fmt.Sprintf("was given %d arguments, and then %d", len(a.Op.Args), len(b.Op.Args)), ByChance
			return d, true
		}
		for i, v := range a.Op.Args {
			var spaces []keyspace
			if i < len(columns) {
				spaces = c.spaces.named(tokens, columns[i])
			}
			if w := b.Op.Args[i]; !c.same(v, w, spaces) {
				d.What = fmt.Sprintf("(%s) was given %s as its argument %d, and then %s, though all before was the same", doing(a), printed(v), i+1, printed(w))
				d.Cause = chance(v, w)
				return d, true
			}
		}
	case racelab.Returned:
		var spaces []keyspace
		if of := c.spaces.returned(a.Result.Value); of != "" {
			spaces = []keyspace{of}
		}
		v, w := a.Result.Value, b.Result.Value
		switch {
		case a.Result.Class != b.Result.Class:
			d.What, d.Cause = fmt.Sprintf("ended with %s, and then with %s, though all before was the same", a.Result.Class, b.Result.Class), ByChance
		case !c.same(v, w, spaces):
			d.What, d.Cause = fmt.Sprintf("returned %s, and then %s, though all before was the same", printed(v), printed(w)), chance(v, w)
		}
	case racelab.Waiting:
		if !slices.Equal(a.On, b.On) || a.What != b.What || a.Outside != b.Outside {
			d.What, d.Cause = fmt.Sprintf("waited for %v (%s), and then for %v (%s)", a.On, a.What, b.On, b.What), ByEngine
		}
	case racelab.Left:
		return c.answers(a, b, tokens)
	}
	return d, d.What != ""
}

// shape is what an operation is, but for its arguments.
func shape(op racelab.Op) string {
	op.Args = nil
	text, _ := json.Marshal(op) // a history's own text
	return string(text)
}

// otherEvent is the difference where one event is in the place of another.
func otherEvent(a, b racelab.Event) Difference {
	engine := func(e racelab.Event) bool { return e.Kind == racelab.Left || e.Kind == racelab.Waiting }
	switch {
	case engine(a) && engine(b) && a.Op.Session == b.Op.Session && a.Op.Step == b.Op.Step:
		return Difference{nameOf(a), fmt.Sprintf("%s, and then it %s", doing(a), doing(b)), ByEngine}
	case engine(a):
		return missing(a, "there, and then not")
	case engine(b):
		return missing(b, "then, and not before")
	case a.Kind == b.Kind && nameOf(a) == nameOf(b) && doing(a) == doing(b):
		return Difference{nameOf(a), fmt.Sprintf("(%s) came from %s, and then from %s", doing(a), a.Op.Pos, b.Op.Pos), ByGoroutine}
	case a.Kind == racelab.Entered && nameOf(a) == nameOf(b):
		return Difference{nameOf(a), fmt.Sprintf("was %s, and then %s", doing(a), doing(b)), ByGoroutine}
	case a.Kind == racelab.Entered:
		return missing(a, "came, and then not")
	case b.Kind == racelab.Entered:
		return missing(b, "did not come, and then it did")
	}
	return missing(a, "came, and then something else")
}

// answers compares what the engine gave.
func (c *comparison) answers(a, b racelab.Event, tokens []sqltext.Token) (Difference, bool) {
	d := Difference{Step: nameOf(a), Cause: ByEngine}
	x, y := a.Result, b.Result
	statement := fmt.Sprintf("(%s) ", short(sqltext.Inline(a.Op.Text, a.Op.Args)))
	switch {
	case x.Class != y.Class:
		d.What = fmt.Sprintf("%sended with %s, and then with %s", statement, x.Class, y.Class)
	case x.Affected != y.Affected:
		d.What = fmt.Sprintf("%schanged %d rows, and then %d", statement, x.Affected, y.Affected)
	case (x.Rows == nil) != (y.Rows == nil):
		d.What = statement + "gave rows one time only"
	case x.Rows == nil:
	case !slices.Equal(x.Rows.Columns, y.Rows.Columns):
		d.What = fmt.Sprintf("%sgave the columns %v, and then %v", statement, x.Rows.Columns, y.Rows.Columns)
	case len(x.Rows.Rows) != len(y.Rows.Rows):
		d.What = fmt.Sprintf("%sgave %d rows, and then %d", statement, len(x.Rows.Rows), len(y.Rows.Rows))
	default:
		spaces := make([][]keyspace, len(x.Rows.Columns))
		for i, column := range x.Rows.Columns {
			spaces[i] = c.spaces.named(tokens, column)
		}
		if v, w, row, ok := c.rows(x.Rows.Rows, y.Rows.Rows, spaces, find(tokens, "ORDER") < len(tokens)); !ok {
			d.What = fmt.Sprintf("%sgave %s in row %d, and then %s", statement, printed(v), row+1, printed(w))
			if timely(v, w) {
				d.Cause = ByTime
			}
		}
	}
	return d, d.What != ""
}

// rows compares as many rows as there are, in their order if it counts. It
// returns the first two values at the same place that differ, and their row.
func (c *comparison) rows(a, b [][]racelab.Value, spaces [][]keyspace, ordered bool) (v, w racelab.Value, row int, same bool) {
	equal := func(x, y []racelab.Value) (v, w racelab.Value, same bool) {
		for i := range x {
			if !c.same(x[i], y[i], spaces[i]) {
				return x[i], y[i], false
			}
		}
		return nil, nil, true
	}
	left := slices.Clone(b)
	for i, x := range a {
		at := 0
		if !ordered {
			at = max(0, slices.IndexFunc(left, func(y []racelab.Value) bool { _, _, same := equal(x, y); return same }))
		}
		if v, w, same := equal(x, left[at]); !same {
			return v, w, i, false
		}
		left = slices.Delete(left, at, at+1)
	}
	return nil, nil, 0, true
}

// states compares what two runs with the same events have left.
func (c *comparison) states(a, b racelab.History, s *racelab.Scenario) (Difference, bool) {
	x, y := OutcomeOf(a, s, nil), OutcomeOf(b, s, nil)
	if x.State == y.State {
		return Difference{}, false
	}
	d := Difference{"the final state", fmt.Sprintf("was %s, and then %s", short(x.State), short(y.State)), ByEngine}
	for i, t := range a.Final {
		if i >= len(b.Final) || len(t.Rows) != len(b.Final[i].Rows) {
			return d, true
		}
		spaces := make([][]keyspace, len(t.Columns))
		for j, column := range t.Columns {
			if of := c.spaces.of(t.Name, column); of != "" {
				spaces[j] = []keyspace{of}
			}
		}
		if v, w, _, same := c.rows(t.Rows, b.Final[i].Rows, spaces, true); !same {
			d.What = fmt.Sprintf("has %s in table %s, and then %s", printed(v), t.Name, printed(w))
			if timely(v, w) {
				d.Cause = ByTime
			}
			return d, true
		}
	}
	return d, true
}

// printed is a value in a sentence.
func printed(v racelab.Value) string { return short(exact(v)) }

// chance is the cause of two values that nothing before explains.
func chance(v, w racelab.Value) Cause {
	if timely(v, w) {
		return ByTime
	}
	return ByChance
}

// timely reports whether two values both look like times of day.
func timely(v, w racelab.Value) bool { return looksLikeTime(v) && looksLikeTime(w) }

// moment is how ISO 8601, SQL and Go's own time.Time.String begin.
var moment = regexp.MustCompile(`^\d{4}-\d\d-\d\d[ T]\d\d:\d\d`)

// looksLikeTime reports whether a value is a time, a text that begins like one,
// or a number of seconds, or thousandths, millionths or milliardths of them,
// from 1970 to within a day of now.
func looksLikeTime(v racelab.Value) bool {
	var n float64
	switch v := racelab.ValueOf(v).(type) {
	case racelab.Time:
		return true
	case string:
		return moment.MatchString(v)
	case int64:
		n = float64(v)
	case float64:
		n = v
	default:
		return false
	}
	now := float64(time.Now().Unix())
	for _, unit := range []float64{1, 1e3, 1e6, 1e9} {
		if math.Abs(n/unit-now) < 24*60*60 {
			return true
		}
	}
	return false
}
