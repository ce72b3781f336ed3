// Package sqltext cuts the text of SQL statements into tokens, in what all
// engines' SQL has in common. It is for what need not be exact: pictures,
// explanations, and telling a COMMIT from a SELECT.
package sqltext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Kind says what a token is.
type Kind uint8

const (
	Word        Kind = iota + 1 // a keyword or a plain name
	Name                        // a quoted name
	String                      // a literal in single quotes, or between dollars
	Number                      // a literal
	Placeholder                 // ?
	Symbol                      // anything else, one character
	Gap                         // white space or a comment
)

// A Token is a piece of a statement.
type Token struct {
	Kind Kind
	Text string // as it stands, quotes included
	At   int    // its position in the statement, in bytes
}

// Is reports whether the token is that keyword.
func (t Token) Is(keyword string) bool { return t.Kind == Word && strings.EqualFold(t.Text, keyword) }

// Inside returns the text of a quoted name or string without its quotes, and
// any other as it stands.
func (t Token) Inside() string {
	if t.Kind != Name && t.Kind != String {
		return t.Text
	}
	quote := t.Text[:1]
	if quote == "$" {
		tag := t.Text[:strings.IndexByte(t.Text[1:], '$')+2]
		return strings.TrimSuffix(t.Text[len(tag):], tag)
	}
	inside := strings.TrimSuffix(t.Text[1:], quote)
	return strings.ReplaceAll(inside, quote+quote, quote)
}

// Scan cuts text into tokens that together are the text. What is not closed
// ends with it.
func Scan(text string) []Token {
	var tokens []Token
	for at := 0; at < len(text); {
		kind, length := first(text[at:])
		tokens = append(tokens, Token{kind, text[at : at+length], at})
		at += length
	}
	return tokens
}

// Tokens is Scan without the gaps.
func Tokens(text string) []Token {
	all := Scan(text)
	tokens := all[:0]
	for _, t := range all {
		if t.Kind != Gap {
			tokens = append(tokens, t)
		}
	}
	return tokens
}

// first returns what text begins with, and its length in bytes.
func first(text string) (Kind, int) {
	r, size := utf8.DecodeRuneInString(text)
	switch {
	case unicode.IsSpace(r):
		return Gap, run(text, unicode.IsSpace)
	case strings.HasPrefix(text, "--"):
		return Gap, through(text, 2, "\n")
	case strings.HasPrefix(text, "/*"):
		return Gap, through(text, 2, "*/")
	case r == '\'':
		return String, quoted(text)
	case r == '"', r == '`':
		return Name, quoted(text)
	case r == '$':
		if n := dollarQuoted(text); n > 0 {
			return String, n
		}
		return Word, run(text, inName)
	case r == '?':
		return Placeholder, 1
	case unicode.IsDigit(r):
		return Number, run(text, func(r rune) bool { return inName(r) || r == '.' })
	case inName(r):
		return Word, run(text, inName)
	}
	return Symbol, size
}

func inName(r rune) bool { return r == '_' || r == '$' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// run returns the length of the prefix whose characters are all in.
func run(text string, in func(rune) bool) int {
	if end := strings.IndexFunc(text, func(r rune) bool { return !in(r) }); end >= 0 {
		return end
	}
	return len(text)
}

// through returns the length up to and with the first mark at or after from.
func through(text string, from int, mark string) int {
	if n := strings.Index(text[from:], mark); n >= 0 {
		return from + n + len(mark)
	}
	return len(text)
}

// dollarQuoted returns the length of $tag$ ... $tag$, PostgreSQL's, or 0.
func dollarQuoted(text string) int {
	end := 1 + strings.IndexFunc(text[1:], func(r rune) bool { return r == '$' || !inName(r) })
	if end == 0 || text[end] != '$' || end > 1 && unicode.IsDigit(rune(text[1])) {
		return 0
	}
	tag := text[:end+1]
	if n := strings.Index(text[len(tag):], tag); n >= 0 {
		return len(tag) + n + len(tag)
	}
	return 0
}

// quoted returns the length of a quoted piece. A doubled quote stands for one.
func quoted(text string) int {
	for end := 1; end < len(text); end++ {
		if text[end] != text[0] {
			continue
		}
		if end+1 < len(text) && text[end+1] == text[0] {
			end++
			continue
		}
		return end + 1
	}
	return len(text)
}
