package spec

import (
	"strings"

	"github.com/racelab/racelab/internal/sqltext"
)

// mark begins a comment that is for racelab.
const mark = "racelab:"

// invariant is the only thing that such a comment can say.
const invariant = "invariant"

// told reads a comment that begins with the mark.
func (p *parser) told(text string, at int) {
	from := strings.Index(text, mark) + len(mark)
	next := func() { // passes blanks
		from += len(text[from:]) - len(strings.TrimLeft(text[from:], blanks))
	}
	expected := func(what string) {
		found := "the end of the comment"
		if from < len(text) {
			found = quote(strings.TrimRight(text[from:], blanks))
		}
		p.fail(at+from, "expected "+what+", found "+found)
	}
	next()
	word, _, _ := strings.Cut(strings.TrimRight(text[from:], blanks), " ")
	if word, _, _ = strings.Cut(word, "\t"); word != invariant {
		expected(invariant)
		return
	}
	from += len(invariant)
	next()
	claim := Invariant{}
	if name, _, named := strings.Cut(text[from:], ":"); named && !isQuery(text[from:]) {
		if claim.Name = strings.TrimSpace(name); claim.Name == "" {
			expected("a name before the colon")
			return
		}
		from += len(name) + 1
		next()
	}
	if !isQuery(text[from:]) {
		expected("a query that begins with SELECT")
		return
	}
	claim.Query = strings.TrimRight(text[from:], blanks+";")
	if len(sqltext.Statements(claim.Query)) != 1 {
		expected("one query")
		return
	}
	p.invariants = append(p.invariants, claim)
}

func isQuery(text string) bool {
	const verb = "SELECT"
	return len(text) > len(verb) && strings.EqualFold(text[:len(verb)], verb) && !continues(text[len(verb)])
}

// String prints the invariant's line.
func (i Invariant) String() string {
	line := "# " + mark + " " + invariant + " "
	if i.Name != "" {
		line += i.Name + ": "
	}
	return line + i.Query
}
