package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// An Outcome is what a run comes to for whoever made its calls: what each call
// returned, and the final state. Two outcomes are equal if their texts are.
type Outcome struct {
	Calls map[racelab.CallID]racelab.Result
	State string
}

// OutcomeOf reads a run's outcome. Columns whose values the database makes up
// ("table.column") are left out of the state, and rows stand in an order that
// depends on their values only.
func OutcomeOf(h racelab.History, generated []string) Outcome {
	o := Outcome{Calls: map[racelab.CallID]racelab.Result{}}
	for _, e := range h.Events {
		if e.Kind == racelab.Returned {
			o.Calls[e.Op.Call] = e.Result
		}
	}
	var b strings.Builder
	for i, t := range h.Final {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(t.Name)
		b.WriteString(rowsText(t, generated))
	}
	o.State = b.String()
	return o
}

func rowsText(t racelab.Table, generated []string) string {
	rows := make([]string, len(t.Rows))
	for i, row := range t.Rows {
		var values []string
		for j, v := range row {
			if slices.Contains(generated, t.Name+"."+t.Columns[j]) {
				continue
			}
			if _, isTime := v.(racelab.Time); isTime {
				continue
			}
			values = append(values, t.Columns[j]+"="+sqltext.Literal(v))
		}
		rows[i] = strings.Join(values, " ")
	}
	slices.Sort(rows)
	var groups []string
	for len(rows) > 0 {
		same := 1
		for same < len(rows) && rows[same] == rows[0] {
			same++
		}
		group := rows[0]
		if same > 1 {
			group = fmt.Sprintf("%d x (%s)", same, group)
		}
		groups, rows = append(groups, group), rows[same:]
	}
	return " {" + strings.Join(groups, ", ") + "}"
}

// Results says what each of some calls returned, or all if none are named, in
// the order of their names.
func (o Outcome) Results(only []racelab.CallID) string {
	ids := only
	if ids == nil {
		for id := range o.Calls {
			ids = append(ids, id)
		}
	}
	ids = slices.Clone(ids)
	slices.Sort(ids)
	words := make([]string, len(ids))
	for i, id := range ids {
		r := o.Calls[id]
		words[i] = fmt.Sprintf("%s %s", id, r.Class)
		if r.Value != nil {
			words[i] += fmt.Sprintf(" (%v)", r.Value)
		}
	}
	return strings.Join(words, ", ")
}
