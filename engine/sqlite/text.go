package sqlite

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/racelab/racelab"
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
	start := 0
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\'' || text[i] == '"' || text[i] == '`':
			i = after(text, i+1, string(text[i])) - 1
		case text[i] == '[':
			i = after(text, i+1, "]") - 1
		case strings.HasPrefix(text[i:], "--"):
			i = after(text, i+2, "\n") - 1
		case strings.HasPrefix(text[i:], "/*"):
			i = after(text, i+2, "*/") - 1
		case text[i] == ';' && !insideTrigger(text[start:i]):
			statements = appendStatement(statements, text[start:i])
			start = i + 1
		}
	}
	return appendStatement(statements, text[start:])
}

func appendStatement(to []string, s string) []string {
	if s = strings.TrimSpace(s); s != "" {
		to = append(to, s)
	}
	return to
}

// after returns the position behind the next mark at or after i.
func after(text string, i int, mark string) int {
	if n := strings.Index(text[min(i, len(text)):], mark); n >= 0 {
		return i + n + len(mark)
	}
	return len(text)
}

func insideTrigger(s string) bool {
	words := strings.Fields(strings.ToUpper(s))
	if len(words) < 3 || words[0] != "CREATE" {
		return false
	}
	isTrigger := words[1] == "TRIGGER" || (words[1] == "TEMP" || words[1] == "TEMPORARY") && words[2] == "TRIGGER"
	return isTrigger && words[len(words)-1] != "END"
}
