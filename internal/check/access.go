// Package check judges histories. It is pure: it knows no engine and runs
// nothing.
package check

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/racelab/racelab"
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
	tokens := tokenize(op.Text, op.Args)
	if len(tokens) == 0 {
		return access{}
	}
	a := access{verb: strings.ToUpper(tokens[0].text)}
	where := find(tokens, 0, "WHERE")
	switch a.verb {
	case "SELECT", "DELETE":
		from := find(tokens, 0, "FROM")
		if from+1 >= len(tokens) {
			return access{}
		}
		a.table = strings.ToLower(tokens[from+1].text)
	case "UPDATE":
		set := find(tokens, 0, "SET")
		if set != 2 || len(tokens) < 3 {
			return access{} // an alias, or nothing we read
		}
		a.table = strings.ToLower(tokens[1].text)
		a.sets, a.relative = assignments(tokens[set+1 : max(where, set+1)])
	case "INSERT":
		into := find(tokens, 0, "INTO")
		if into+1 >= len(tokens) {
			return access{}
		}
		a.table = strings.ToLower(tokens[into+1].text)
		return a
	default:
		return access{}
	}
	if where+3 < len(tokens) && tokens[where+2].text == "=" && tokens[where+3].literal {
		a.key = strings.ToLower(tokens[where+1].text) + "=" + tokens[where+3].text
	}
	return a
}

// assignments reads the list between SET and WHERE.
func assignments(tokens []token) (sets []assignment, relative bool) {
	depth := 0
	start := 0
	flush := func(end int) {
		if end-start >= 3 && tokens[start+1].text == "=" {
			value := make([]string, 0, end-start-2)
			for _, t := range tokens[start+2 : end] {
				value = append(value, t.text)
				relative = relative || t.word
			}
			sets = append(sets, assignment{strings.ToLower(tokens[start].text), strings.Join(value, " ")})
		}
		start = end + 1
	}
	for i, t := range tokens {
		switch {
		case t.text == "(":
			depth++
		case t.text == ")":
			depth--
		case t.text == "," && depth == 0:
			flush(i)
		}
	}
	flush(len(tokens))
	return sets, relative
}

// find returns the position of a word at or after i, or len(tokens).
func find(tokens []token, i int, word string) int {
	for ; i < len(tokens); i++ {
		if tokens[i].word && strings.EqualFold(tokens[i].text, word) {
			return i
		}
	}
	return len(tokens)
}

type token struct {
	text    string
	word    bool // a name or keyword
	literal bool // a number, a string or an argument
}

// tokenize cuts a statement into tokens, each ? being the next argument.
func tokenize(text string, args []any) []token {
	var tokens []token
	next := 0
	for i := 0; i < len(text); {
		c := rune(text[i])
		switch {
		case unicode.IsSpace(c):
			i++
		case c == '?':
			value := "?"
			if next < len(args) {
				value = fmt.Sprint(args[next])
				next++
			}
			tokens = append(tokens, token{text: value, literal: true})
			i++
		case c == '\'' || c == '"' || c == '`':
			inside, _, _ := strings.Cut(text[i+1:], string(c))
			tokens = append(tokens, token{text: inside, word: c != '\'', literal: c == '\''})
			i += len(inside) + 2
		case isName(text[i]):
			end := i
			for end < len(text) && isName(text[end]) {
				end++
			}
			t := token{text: text[i:end]}
			t.literal = unicode.IsDigit(c)
			t.word = !t.literal
			tokens = append(tokens, t)
			i = end
		default:
			tokens = append(tokens, token{text: string(text[i])})
			i++
		}
	}
	return tokens
}

func isName(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= 0x80
}
