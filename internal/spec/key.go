package spec

import (
	"slices"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// learn reads from a schema which columns the database makes up, and who refers
// to them. One to which a statement gives values of its own is data: taken for
// keys, different values would be the same.
func (p *Played) learn(schema racelab.Schema) (generated []string, references map[string]string) {
	schema.Tables = slices.Clone(schema.Tables)
	for i := range schema.Tables {
		t := &schema.Tables[i]
		t.Generated = slices.DeleteFunc(slices.Clone(t.Generated), func(column string) bool { return p.gives(t.Name, column) })
		for _, column := range t.Generated {
			generated = append(generated, t.Name+"."+column)
		}
	}
	references = map[string]string{}
	for _, t := range schema.Tables {
		for _, ref := range t.References {
			for i, column := range ref.Columns {
				if i < len(ref.To) && slices.Contains(generated, ref.Table+"."+ref.To[i]) {
					references[t.Name+"."+column] = ref.Table + "." + ref.To[i]
				}
			}
		}
	}
	p.schema.Store(&schema)
	return generated, references
}

// gives reports whether a step, or a routine that it may call, puts values of its
// own into a column.
func (p *Played) gives(table, column string) bool {
	for _, session := range p.Program.Sessions {
		for _, m := range session.messages() {
			if slices.ContainsFunc(m.statements, func(s string) bool { return gives(sqltext.Words(s), table, column) }) {
				return true
			}
		}
	}
	return slices.ContainsFunc(p.routines, func(words []sqltext.Token) bool { return gives(words, table, column) })
}

// routines are what functions, procedures, triggers and rules of a set-up do: a
// list of tokens for each.
func routines(setups []string) (all [][]sqltext.Token) {
	var inside func([]sqltext.Token)
	inside = func(words []sqltext.Token) {
		all = append(all, words)
		for _, t := range words {
			if t.Kind == sqltext.String {
				inside(sqltext.Words(t.Inside()))
			}
		}
	}
	for _, setup := range setups {
		for _, statement := range sqltext.Statements(setup) {
			words := sqltext.Words(statement)
			if words[0].Is("CREATE") && slices.ContainsFunc(words, func(t sqltext.Token) bool {
				return t.Is("FUNCTION") || t.Is("PROCEDURE") || t.Is("TRIGGER") || t.Is("RULE")
			}) {
				inside(words[1:])
			}
		}
	}
	return all
}

func gives(words []sqltext.Token, table, column string) bool {
	for i, t := range words {
		switch {
		case strings.EqualFold(t.Inside(), table) && isFilled(words[:i]) && fills(words[i+1:], column),
			t.Is("SET") && sets(words[i+1:], column),
			t.Is("NEW") && i+3 < len(words) && words[i+1].Text == "." && names(words[i+2], column) &&
				(words[i+3].Text == "=" || words[i+3].Text == ":"): // a trigger's
			return true
		}
	}
	return false
}

func names(t sqltext.Token, name string) bool { return strings.EqualFold(t.Inside(), name) }

// isFilled reports whether the table that comes after some words is one that an
// INSERT or the like fills.
func isFilled(before []sqltext.Token) bool {
	n := len(before)
	if n > 2 && before[n-1].Text == "." { // of a schema
		n -= 2
	}
	return n > 0 && slices.ContainsFunc([]string{"INTO", "INSERT", "REPLACE", "IGNORE", "LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED"}, before[n-1].Is)
}

// fills reports whether an INSERT, from behind its table, fills a column. Where
// it names none it fills all, unless it begins each row with DEFAULT, where a key
// is.
func fills(words []sqltext.Token, column string) bool {
	if len(words) > 1 && words[0].Text == "(" && !words[1].Is("SELECT") && !words[1].Is("WITH") && !words[1].Is("VALUES") {
		for _, t := range words[1:] {
			if t.Text == ")" {
				return false
			}
			if names(t, column) {
				return true
			}
		}
		return true
	}
	if len(words) > 0 && words[0].Is("DEFAULT") {
		return false
	}
	if len(words) == 0 || !words[0].Is("VALUES") {
		return true
	}
	depth := 0
	for i, t := range words[1:] {
		switch {
		case t.Text == "(":
			if depth++; depth == 1 && !(i+2 < len(words) && words[i+2].Is("DEFAULT")) {
				return true
			}
		case t.Text == ")":
			depth--
		case depth == 0 && t.Text != ",":
			return false
		}
	}
	return false
}

// sets reports whether an UPDATE, from behind its SET, sets a column.
func sets(words []sqltext.Token, column string) bool {
	depth, target := 0, true
	for _, t := range words {
		switch {
		case target && names(t, column):
			return true
		case t.Text == "(":
			depth++
		case t.Text == ")":
			if depth--; depth < 0 {
				return false
			}
		case depth > 0:
		case t.Text == "=":
			target = false
		case t.Text == ",":
			target = true
		case t.Is("WHERE"), t.Is("FROM"), t.Is("RETURNING"), t.Is("WHEN"), t.Text == ";":
			return false
		}
	}
	return false
}

// labelled is a result, which the history has too, brought into an order that
// depends on its values, and with the keys marked that the database has made up.
func (p *Played) labelled(t racelab.Table, text string) racelab.Table {
	rows := make([][]racelab.Value, len(t.Rows))
	for i, row := range t.Rows {
		rows[i] = slices.Clone(row)
	}
	t.Rows = rows
	words := sqltext.Words(text)
	for j, column := range t.Columns {
		of := p.keyOf(words, strings.ToLower(column))
		if of == "" {
			continue
		}
		for _, row := range t.Rows {
			if row[j] != nil {
				row[j] = racelab.Key{Of: of, Value: row[j]}
			}
		}
	}
	if slices.ContainsFunc(words, func(t sqltext.Token) bool { return t.Is("ORDER") }) {
		return t
	}
	slices.SortStableFunc(t.Rows, func(a, b []racelab.Value) int { return strings.Compare(withoutKeys(a), withoutKeys(b)) })
	return t
}

// keyOf says which column's made-up values a column of a statement's result
// holds. It is none, "", if the name may be another column's, or one that the
// statement gives: data taken for keys would hide what is wrong with them.
func (p *Played) keyOf(words []sqltext.Token, column string) (of string) {
	for _, t := range p.schema.Load().Tables {
		made := slices.Contains(t.Generated, column)
		has := made || slices.Contains(t.Integers, column) || slices.ContainsFunc(t.Unique, func(key []string) bool { return slices.Contains(key, column) })
		if !has || !slices.ContainsFunc(words, func(w sqltext.Token) bool { return names(w, t.Name) }) {
			continue
		}
		if of != "" || !made {
			return ""
		}
		of = t.Name + "." + column
	}
	if isAlias(words, column) {
		return ""
	}
	return of
}

// beforeColumns are words that may stand before a column's name; behind any other
// a name is an alias.
var beforeColumns = words("SELECT DISTINCT ALL RETURNING BY WHERE AND OR ON NOT SET HAVING CASE WHEN THEN ELSE IN LIKE BETWEEN IS")

func isAlias(words []sqltext.Token, column string) bool {
	for i, t := range words[1:] { // words[i] is the one before
		before := words[i]
		if names(t, column) && (before.Text == ")" || before.Kind != sqltext.Symbol && !beforeColumns[strings.ToUpper(before.Text)]) {
			return true
		}
	}
	return false
}

func withoutKeys(row []racelab.Value) string {
	var b strings.Builder
	for _, v := range row {
		if _, ok := v.(racelab.Key); !ok {
			b.WriteString(textOf(v))
		}
		b.WriteByte(0)
	}
	return b.String()
}
