package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// An Outcome is what a run comes to for whoever made its calls: what each call
// returned, and the final state. Two outcomes are equal if their texts are.
//
// In these texts a generated key that is not the set-up's has a label instead
// of its value: #1, #2 and so on, in order of appearance. Where nothing else of
// the outcome holds the key, its column is left out.
type Outcome struct {
	Calls map[racelab.CallID]racelab.Result
	Texts map[racelab.CallID]string // of their results
	State string
	Text  string // of it all
}

// OutcomeOf reads the outcome of a scenario's run that began with a state.
// Times are left out, and rows stand in an order that depends on their values
// only.
func OutcomeOf(h racelab.History, s *racelab.Scenario, initial racelab.State) Outcome {
	return readingOf(h, s, initial).outcome()
}

// all lists the calls that returned, by name.
func (o Outcome) all() []racelab.CallID {
	var ids []racelab.CallID
	for id := range o.Calls {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Results says what each of some calls returned, or all if none are named, in
// the order of their names.
func (o Outcome) Results(only []racelab.CallID) string {
	if only == nil {
		only = o.all()
	}
	return inOrder(only, o.Texts)
}

func inOrder(ids []racelab.CallID, results map[racelab.CallID]string) string {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = results[id]
	}
	return strings.Join(words, ", ")
}

// A reading of a run is what its outcome is made of.
type reading struct {
	calls map[racelab.CallID]racelab.Result
	final racelab.State
	keys  keyspaces
	seeds map[generated]bool // the set-up's own keys
}

func readingOf(h racelab.History, s *racelab.Scenario, initial racelab.State) reading {
	r := reading{calls: map[racelab.CallID]racelab.Result{}, final: compared(s, h.Final), keys: keyspacesOf(s)}
	r.seeds = r.keys.generatedIn(initial)
	for _, e := range h.Events {
		if e.Kind == racelab.Returned {
			r.calls[e.Op.Call] = e.Result
		}
	}
	return r
}

func (r reading) outcome() Outcome {
	o := Outcome{Calls: r.calls}
	o.Texts, o.State = r.print(o.all())
	o.Text = o.Results(nil) + "|" + o.State
	return o
}

// seenBy is the outcome's text for those of whom only some calls' results
// count: the labels are theirs.
func (r reading) seenBy(only []racelab.CallID) string {
	results, state := r.print(only)
	return inOrder(only, results) + "|" + state
}

// print gives the texts of some calls' results and of the state.
func (r reading) print(only []racelab.CallID) (results map[racelab.CallID]string, state string) {
	only = slices.Clone(only)
	slices.Sort(only)
	d := draft{of: r, places: r.places(only), index: map[generated]int{}}
	var calls []fact
	for _, id := range only {
		calls = append(calls, d.call(id))
	}
	facts := slices.Clone(calls)
	tables := make([][]fact, len(r.final))
	for i, t := range r.final {
		for _, row := range t.Rows {
			tables[i] = append(tables[i], d.row(t, row))
		}
		facts = append(facts, tables[i]...)
	}
	colours := canonical(facts, d.kinds)

	labels := make([]string, len(d.kinds))
	named := 0
	label := func(key int) string {
		if labels[key] == "" {
			named++
			labels[key] = fmt.Sprintf("#%d", named)
		}
		return labels[key]
	}
	results = map[racelab.CallID]string{}
	for i, id := range only {
		results[id] = calls[i].paint(label)
	}
	texts := make([]string, len(tables))
	for i, rows := range tables {
		slices.SortFunc(rows, func(a, b fact) int { return strings.Compare(a.paint(colours.colour), b.paint(colours.colour)) })
		lines := make([]string, len(rows))
		for j, f := range rows {
			lines[j] = f[1:].paint(label)
		}
		texts[i] = r.final[i].Name + " {" + grouped(lines) + "}"
	}
	return results, strings.Join(texts, "; ")
}

// fresh returns the generated key that a value of a keyspace is, and whether it
// is one that gets a label.
func (r reading) fresh(of keyspace, v racelab.Value) (generated, bool) {
	if key, ok := v.(racelab.Key); ok {
		v = key.Value
	}
	g := generated{of, textOf(v)}
	return g, of != "" && v != nil && !r.seeds[g]
}

// places counts in how many places of an outcome each generated key is. One
// that is returned or referred to counts more than once: that it is the only
// one says something.
func (r reading) places(calls []racelab.CallID) map[generated]int {
	places := map[generated]int{}
	for _, id := range calls {
		values := []racelab.Value{r.calls[id].Value}
		if shown, ok := values[0].(racelab.Shown); ok {
			values = nil
			for _, t := range shown {
				values = slices.Concat(values, slices.Concat(t.Rows...))
			}
		}
		for _, v := range values {
			if g, ok := r.fresh(r.keys.returned(v), v); ok {
				places[g] += 2
			}
		}
	}
	for _, t := range r.final {
		for j, column := range t.Columns {
			of := r.keys.of(t.Name, column)
			for _, row := range t.Rows {
				if g, ok := r.fresh(of, row[j]); ok {
					places[g]++
					if !of.is(t.Name, column) {
						places[g]++
					}
				}
			}
		}
	}
	return places
}

// A draft is an outcome on its way to facts.
type draft struct {
	of     reading
	places map[generated]int
	index  map[generated]int // position among the keys
	kinds  []string          // of the keys
}

// piece is a value of a keyspace, or any other.
func (d *draft) piece(before string, of keyspace, v racelab.Value) piece {
	g, ok := d.of.fresh(of, v)
	if !ok {
		return piece{before + exact(v), -1}
	}
	at, ok := d.index[g]
	if !ok {
		at = len(d.kinds)
		d.index[g] = at
		d.kinds = append(d.kinds, string(of))
	}
	return piece{before, at}
}

func (d *draft) call(id racelab.CallID) fact {
	r := d.of.calls[id]
	f := fact{{fmt.Sprintf("%s %s", id, r.Class), -1}}
	if shown, ok := r.Value.(racelab.Shown); ok {
		return append(f, d.shown(shown)...)
	}
	if r.Value != nil {
		f = append(f, d.piece(" (", d.of.keys.returned(r.Value), r.Value), piece{")", -1})
	}
	return f
}

func (d *draft) shown(tables racelab.Shown) (f fact) {
	before := " ("
	for _, t := range tables {
		f = append(f, piece{before + t.Name, -1})
		before = "; "
		for i, row := range t.Rows {
			space := " "
			if i > 0 {
				space = ", "
			}
			for j, v := range row {
				f = append(f, d.piece(space+t.Columns[j]+"=", d.of.keys.returned(v), v))
				space = " "
			}
		}
		if t.Columns != nil && len(t.Rows) == 0 {
			f = append(f, piece{" no rows", -1})
		}
	}
	if f != nil {
		f = append(f, piece{")", -1})
	}
	return f
}

// row begins with the table's name.
func (d *draft) row(t racelab.Table, row []racelab.Value) fact {
	f := fact{{t.Name + " ", -1}}
	space := ""
	for j, v := range row {
		of := d.of.keys.of(t.Name, t.Columns[j])
		if g, ok := d.of.fresh(of, v); ok && d.places[g] == 1 {
			continue
		}
		if _, isTime := v.(racelab.Time); isTime {
			continue
		}
		f = append(f, d.piece(space+t.Columns[j]+"=", of, v))
		space = " "
	}
	return f
}

// exact prints a value such that different values have different texts, and no
// text of a value is a label.
func exact(v racelab.Value) string {
	switch v := racelab.ValueOf(v).(type) {
	case racelab.Key:
		return exact(v.Value)
	case racelab.Time:
		return "time"
	case string:
		if strings.ContainsRune(v, '\\') || !utf8.ValidString(v) {
			return strconv.Quote(v) // a literal does not say what stands for itself
		}
		return sqltext.Literal(v)
	default:
		return sqltext.Literal(v)
	}
}

// grouped lists lines, those that are the same once and with their number.
func grouped(lines []string) string {
	var groups []string
	for len(lines) > 0 {
		same := 1
		for same < len(lines) && lines[same] == lines[0] {
			same++
		}
		group := lines[0]
		if same > 1 {
			group = fmt.Sprintf("%d x (%s)", same, group)
		}
		groups, lines = append(groups, group), lines[same:]
	}
	return strings.Join(groups, ", ")
}
