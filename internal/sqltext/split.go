package sqltext

import (
	"slices"
	"strings"
)

// Statements cuts a text into its statements. A semicolon ends one, unless it
// stands in quotes, in a comment, or in the body of a trigger
// or routine, from BEGIN to END.
func Statements(text string) []string {
	var statements []string
	var words []Token // of the statement so far
	start := 0
	end := func(at int) {
		if len(words) > 0 {
			statements = append(statements, strings.TrimSpace(text[start:at]))
		}
		words, start = words[:0], at+1
	}
	for _, t := range Tokens(text) {
		if t.Text == ";" && !insideBody(words) {
			end(t.At)
			continue
		}
		words = append(words, t)
	}
	end(len(text))
	return statements
}

func insideBody(words []Token) bool {
	if len(words) == 0 || !words[0].Is("CREATE") || words[len(words)-1].Is("END") {
		return false
	}
	has := func(keywords ...string) bool {
		return slices.ContainsFunc(words, func(t Token) bool { return slices.ContainsFunc(keywords, t.Is) })
	}
	return has("TRIGGER", "PROCEDURE", "FUNCTION") && has("BEGIN")
}
