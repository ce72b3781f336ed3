package check

import (
	"slices"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// A keyspace is the generated column, "table.column" in lower case, among
// whose values a key is one: users.id, also for the key in orders.user.
type keyspace string

// keyspaces are those of a scenario by the columns that hold their values: the
// generated column itself, and those that refer to it.
type keyspaces map[string]keyspace

// keyspacesOf reads a scenario's. A column whose table is not compared at the
// end is not among them, for nobody could tell which of its keys the set-up made.
func keyspacesOf(s *racelab.Scenario) keyspaces {
	k := keyspaces{}
	for _, column := range s.Generated {
		column = strings.ToLower(column)
		table, _, _ := strings.Cut(column, ".")
		if s.Learn != nil || slices.ContainsFunc(s.State, func(compared string) bool { return strings.EqualFold(compared, table) }) {
			k[column] = keyspace(column)
		}
	}
	for column, of := range s.References {
		of = strings.ToLower(of)
		if k[of] == keyspace(of) {
			k[strings.ToLower(column)] = keyspace(of)
		}
	}
	return k
}

// of returns the keyspace of a table's column, or "".
func (k keyspaces) of(table, column string) keyspace {
	return k[strings.ToLower(table+"."+column)]
}

// is reports whether the keyspace is a table's column itself, and that column
// does not just refer to it.
func (k keyspace) is(table, column string) bool {
	return string(k) == strings.ToLower(table+"."+column)
}

// returned returns the keyspace of a call's value, or "".
func (k keyspaces) returned(v racelab.Value) keyspace {
	key, ok := v.(racelab.Key)
	if of := strings.ToLower(key.Of); ok && k[of] == keyspace(of) {
		return keyspace(of)
	}
	return ""
}

// named returns the keyspaces that a column of that name may be of in a
// statement: those of the tables that its text names.
func (k keyspaces) named(tokens []sqltext.Token, column string) (may []keyspace) {
	seen := map[keyspace]bool{}
	for _, t := range tokens {
		if t.Kind != sqltext.Word && t.Kind != sqltext.Name {
			continue
		}
		if of := k.of(t.Inside(), column); of != "" && !seen[of] {
			seen[of] = true
			may = append(may, of)
		}
	}
	return may
}

// A generated is a value of a keyspace, as text: drivers differ in whether they
// give a number as one.
type generated struct {
	of   keyspace
	text string
}

// generatedIn returns what a state holds of the keyspaces.
func (k keyspaces) generatedIn(state racelab.State) map[generated]bool {
	in := map[generated]bool{}
	for _, t := range state {
		for j, column := range t.Columns {
			if of := k.of(t.Name, column); of != "" {
				for _, row := range t.Rows {
					in[generated{of, textOf(row[j])}] = true
				}
			}
		}
	}
	return in
}

// argumentColumns returns, for each placeholder of a statement, the column that
// its argument is written to or compared with, or "" where the text does not
// say so plainly.
func argumentColumns(tokens []sqltext.Token, state racelab.State) []string {
	var columns []string
	inserted := insertedColumns(tokens, state)
	for i, t := range tokens {
		if t.Kind != sqltext.Placeholder {
			continue
		}
		column := inserted[i]
		before := i - 1
		for before >= 0 && tokens[before].Kind == sqltext.Symbol && strings.Contains("=<>!", tokens[before].Text) {
			before--
		}
		if before >= 0 && before < i-1 && (tokens[before].Kind == sqltext.Word || tokens[before].Kind == sqltext.Name) {
			column = tokens[before].Inside()
		}
		columns = append(columns, column)
	}
	return columns
}

// insertedColumns returns the columns of the values in an INSERT's lists, by
// the position of the token that the value is.
func insertedColumns(tokens []sqltext.Token, state racelab.State) map[int]string {
	if len(tokens) == 0 || !tokens[0].Is("INSERT") {
		return nil
	}
	var names []string
	t, ok := state.Table(nameAfter(tokens, "INTO"))
	if ok {
		names = t.Columns
	}
	columns := map[int]string{}
	values := find(tokens, "VALUES")
	depth, at, listed := 0, 0, []string{}
	for i, t := range tokens {
		switch {
		case t.Kind == sqltext.Symbol && t.Text == "(":
			if depth++; depth == 1 {
				at = 0
			}
		case t.Kind == sqltext.Symbol && t.Text == ")":
			depth--
		case t.Kind == sqltext.Symbol && t.Text == "," && depth == 1:
			at++
		case depth == 1 && i < values:
			listed = append(listed, t.Inside())
		case depth == 1 && at < len(names):
			columns[i] = names[at]
		}
		if i+1 == values && len(listed) > 0 {
			names = listed
		}
	}
	return columns
}
