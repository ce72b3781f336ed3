package sqlite

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// textOf prints a value as SQLite's shell does: a float always with a point.
func textOf(v racelab.Value) racelab.Value {
	switch v := v.(type) {
	case nil:
		return nil
	case float64:
		s := strconv.FormatFloat(v, 'g', 15, 64)
		if !strings.ContainsAny(s, ".eIN") {
			s += ".0"
		}
		return s
	case bool:
		if v {
			return "1"
		}
		return "0"
	default:
		return fmt.Sprint(v)
	}
}

// split cuts a text into its statements. A semicolon ends one, unless it
// stands in quotes, in a comment, or in a trigger's body.
func split(text string) []string {
	var statements []string
	var words []sqltext.Token // of the statement so far
	start := 0
	end := func(at int) {
		if len(words) > 0 {
			statements = append(statements, strings.TrimSpace(text[start:at]))
		}
		words, start = words[:0], at+1
	}
	for _, t := range sqltext.Tokens(text) {
		if t.Text == ";" && !insideTrigger(words) {
			end(t.At)
			continue
		}
		words = append(words, t)
	}
	end(len(text))
	return statements
}

func insideTrigger(words []sqltext.Token) bool {
	if len(words) < 3 || !words[0].Is("CREATE") || words[len(words)-1].Is("END") {
		return false
	}
	return words[1].Is("TRIGGER") || (words[1].Is("TEMP") || words[1].Is("TEMPORARY")) && words[2].Is("TRIGGER")
}
