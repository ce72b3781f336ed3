package isolation

import (
	"errors"
	"fmt"
	"strings"

	"github.com/racelab/racelab"
)

// primary is what is told of a step that failed: no detail, which may hold
// numbers of transactions.
func primary(err error) string {
	var said *racelab.ServerError
	if errors.As(err, &said) {
		return said.Severity + ":  " + said.Message + "\n"
	}
	return err.Error() + "\n"
}

// whole is a server's message as libpq prints it (pqBuildErrorMessage3), about
// the SQL that was sent.
func whole(n racelab.Notice, sql string, context bool) string {
	var out strings.Builder
	out.WriteString(n.Severity + ":  " + n.Message + "\n")
	about := sql
	if n.Query != "" {
		about = n.Query
	}
	if n.Position > 0 {
		out.WriteString(place(about, n.Position-1))
	}
	for _, part := range []struct{ name, text string }{{"DETAIL", n.Detail}, {"HINT", n.Hint}, {"QUERY", n.Query}, {"CONTEXT", n.Context}} {
		if part.text != "" && (context || part.name != "CONTEXT") {
			out.WriteString(part.name + ":  " + part.text + "\n")
		}
	}
	return out.String()
}

func wholeError(err error, sql string) string {
	var said *racelab.ServerError
	if errors.As(err, &said) {
		return whole(said.Notice, sql, true)
	}
	return err.Error() + "\n"
}

// place shows the line of sql that the character at is in, and points at it.
// Long lines are cut to 60 characters, from the right if 10 remain there beyond
// the place (reportErrorPosition). Wide characters count as one.
func place(sql string, at int) string {
	const width, remain = 60, 10
	text := []rune(sql)
	if at > len(text) {
		return ""
	}
	number, from := 1, 0
	for i, r := range text[:at] {
		if r == '\n' || r == '\r' {
			from = i + 1
			if r == '\n' || from == len(text) || text[from] != '\n' {
				number++
			}
		}
	}
	to := at
	for to < len(text) && text[to] != '\n' && text[to] != '\r' {
		to++
	}
	var left, right string
	if to-from > width {
		if right = "..."; at+remain <= from+width {
			to = from + width
		} else {
			if at+remain < to {
				to = at + remain
			} else {
				right = ""
			}
			if to-from > width {
				from, left = to-width, "..."
			}
		}
	}
	head := fmt.Sprintf("LINE %d: %s", number, left)
	line := strings.ReplaceAll(string(text[from:to]), "\t", " ")
	return head + line + right + "\n" + strings.Repeat(" ", len(head)+at-from) + "^\n"
}

// connectionLost is what libpq adds when the server has closed a connection.
const connectionLost = `server closed the connection unexpectedly
	This probably means the server terminated abnormally
	before or while processing the request.

`

// fatal reports whether an error has ended its connection: a server's own does
// so only if it says so, anything else is of the connection itself.
func fatal(err error) bool {
	var said *racelab.ServerError
	return !errors.As(err, &said) || said.Severity == racelab.Fatal
}
