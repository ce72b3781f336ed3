package sqltext

import (
	"fmt"
	"strconv"
	"strings"
)

// Inline returns a statement on one line, with the arguments in place of the
// placeholders and nothing in it that could steer a terminal.
func Inline(text string, args []any) string {
	var b strings.Builder
	for _, t := range Scan(text) {
		switch {
		case t.Kind == Placeholder && len(args) > 0:
			b.WriteString(Literal(args[0]))
			args = args[1:]
		case t.Kind == Gap && b.Len() > 0:
			b.WriteByte(' ')
		case t.Kind != Gap:
			b.WriteString(Printable(t.Text))
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// Literal prints a value as SQL has it, on one line and printable.
func Literal(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case string:
		return "'" + Printable(strings.ReplaceAll(v, "'", "''")) + "'"
	default:
		return fmt.Sprint(v)
	}
}

// Printable escapes what does not print, and so makes a text one line that cannot
// steer a terminal.
func Printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}
