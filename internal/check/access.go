// Package check judges histories. It is pure: it knows no engine and runs
// nothing.
package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// An access is what the text of a statement says about the rows it touches.
// It is read for explanations: where the text is not of a plain form, the
// access says less, never something wrong.
type access struct {
	verb     string // SELECT, INSERT, UPDATE, DELETE, or ""
	table    string
	key      string // "id=1" where the text compares one column for equality first; else ""
	relative bool   // an UPDATE that computes from the row's current values
	sets     []assignment
}

type assignment struct{ column, value string }

// accessOf reads op's text.
func accessOf(op racelab.Op) access {
	tokens := sqltext.Tokens(op.Text)
	for i, args := 0, op.Args; i < len(tokens) && len(args) > 0; i++ {
		if tokens[i].Kind == sqltext.Placeholder {
			tokens[i] = sqltext.Token{Kind: sqltext.Number, Text: fmt.Sprint(args[0])}
			args = args[1:]
		}
	}
	if len(tokens) == 0 {
		return access{}
	}
	a := access{verb: strings.ToUpper(tokens[0].Text)}
	where := find(tokens, "WHERE")
	switch a.verb {
	case "SELECT", "DELETE":
		if a.table = nameAfter(tokens, "FROM"); a.table == "" {
			return access{}
		}
	case "UPDATE":
		if len(tokens) < 3 || !tokens[2].Is("SET") {
			return access{} // an alias, or nothing we read
		}
		a.table = strings.ToLower(tokens[1].Inside())
		a.sets, a.relative = assignments(tokens[3:max(where, 3)])
	case "INSERT":
		if a.table = nameAfter(tokens, "INTO"); a.table == "" {
			return access{}
		}
		return a
	default:
		return access{}
	}
	a.key = key(tokens[where:])
	return a
}

// key reads WHERE column = literal, at its end or followed by AND or FOR.
func key(where []sqltext.Token) string {
	if len(where) < 4 || where[2].Text != "=" || where[3].Kind != sqltext.Number && where[3].Kind != sqltext.String {
		return ""
	}
	if rest := where[4:]; len(rest) > 0 && !rest[0].Is("AND") && !rest[0].Is("FOR") {
		return ""
	}
	return strings.ToLower(where[1].Inside()) + "=" + where[3].Inside()
}

// assignments reads the list between SET and WHERE.
func assignments(tokens []sqltext.Token) (sets []assignment, relative bool) {
	depth, start := 0, 0
	flush := func(end int) {
		if end-start >= 3 && tokens[start+1].Text == "=" {
			value := make([]string, 0, end-start-2)
			for _, t := range tokens[start+2 : end] {
				value = append(value, t.Inside())
				relative = relative || t.Kind == sqltext.Word || t.Kind == sqltext.Name
			}
			sets = append(sets, assignment{strings.ToLower(tokens[start].Inside()), strings.Join(value, " ")})
		}
		start = end + 1
	}
	for i, t := range tokens {
		switch {
		case t.Text == "(":
			depth++
		case t.Text == ")":
			depth--
		case t.Text == "," && depth == 0:
			flush(i)
		}
	}
	flush(len(tokens))
	return sets, relative
}

// find returns the position of a keyword, or len(tokens).
func find(tokens []sqltext.Token, keyword string) int {
	if i := slices.IndexFunc(tokens, func(t sqltext.Token) bool { return t.Is(keyword) }); i >= 0 {
		return i
	}
	return len(tokens)
}

// nameAfter returns the name behind a keyword, or "".
func nameAfter(tokens []sqltext.Token, keyword string) string {
	if i := find(tokens, keyword) + 1; i < len(tokens) {
		return strings.ToLower(tokens[i].Inside())
	}
	return ""
}
