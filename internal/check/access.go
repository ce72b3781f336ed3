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

type assignment struct {
	column, value string
	literal       bool // value is what the column has afterwards
	relative      bool // it is computed from the row's current values
}

// accessOf reads op's text.
func accessOf(op racelab.Op) access { return accessIn(tokensOf(op)) }

// tokensOf cuts op's text, its arguments in place of the placeholders.
func tokensOf(op racelab.Op) []sqltext.Token {
	tokens := sqltext.Tokens(op.Text)
	for i, args := 0, op.Args; i < len(tokens) && len(args) > 0; i++ {
		if tokens[i].Kind == sqltext.Placeholder {
			tokens[i] = argument(args[0])
			args = args[1:]
		}
	}
	return tokens
}

// argument is the token that stands for an argument's value.
func argument(v any) sqltext.Token {
	if v == nil {
		return sqltext.Token{Kind: sqltext.Word, Text: "NULL"}
	}
	return sqltext.Token{Kind: sqltext.Number, Text: fmt.Sprint(v)}
}

func accessIn(tokens []sqltext.Token) access {
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
		a.sets = assignments(tokens[3:max(where, 3)])
		a.relative = slices.ContainsFunc(a.sets, func(s assignment) bool { return s.relative })
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
func assignments(tokens []sqltext.Token) (sets []assignment) {
	for _, item := range split(tokens, ",") {
		if len(item) < 3 || item[1].Text != "=" {
			continue
		}
		s := assignment{column: strings.ToLower(item[0].Inside())}
		s.value, s.literal = literal(item[2:])
		if !s.literal {
			value := make([]string, 0, len(item)-2)
			for i, t := range item[2:] {
				value = append(value, t.Inside())
				function := i+3 < len(item) && item[i+3].Text == "("
				s.relative = s.relative || t.Kind == sqltext.Name || t.Kind == sqltext.Word && !function && !constant(t)
			}
			s.value = strings.Join(value, " ")
		}
		sets = append(sets, s)
	}
	return sets
}

// literal reads a value that the text itself gives.
func literal(tokens []sqltext.Token) (string, bool) {
	switch {
	case len(tokens) == 2 && tokens[0].Text == "-" && tokens[1].Kind == sqltext.Number:
		return "-" + tokens[1].Text, true
	case len(tokens) != 1:
		return "", false
	case tokens[0].Kind == sqltext.Number, tokens[0].Kind == sqltext.String:
		return tokens[0].Inside(), true
	case tokens[0].Is("NULL"), tokens[0].Is("TRUE"), tokens[0].Is("FALSE"):
		return strings.ToUpper(tokens[0].Text), true
	}
	return "", false
}

// constant reports whether a word stands for no column.
func constant(t sqltext.Token) bool {
	for _, word := range []string{"NULL", "TRUE", "FALSE", "DEFAULT", "CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME", "INTERVAL"} {
		if t.Is(word) {
			return true
		}
	}
	return false
}

// split cuts tokens at a symbol or keyword that stands in no brackets.
func split(tokens []sqltext.Token, at string) [][]sqltext.Token {
	var parts [][]sqltext.Token
	depth, start := 0, 0
	for i, t := range tokens {
		switch {
		case t.Kind == sqltext.Symbol && t.Text == "(":
			depth++
		case t.Kind == sqltext.Symbol && t.Text == ")":
			depth--
		case depth == 0 && (t.Kind == sqltext.Symbol || t.Kind == sqltext.Word) && strings.EqualFold(t.Text, at):
			parts = append(parts, tokens[start:i])
			start = i + 1
		}
	}
	return append(parts, tokens[start:])
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
	return nameAt(tokens, find(tokens, keyword)+1)
}

// nameAt returns the name at a position, without its schema, or "".
func nameAt(tokens []sqltext.Token, i int) string {
	if i+2 < len(tokens) && tokens[i+1].Text == "." {
		i += 2
	}
	if i < len(tokens) {
		return strings.ToLower(tokens[i].Inside())
	}
	return ""
}
