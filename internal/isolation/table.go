package isolation

import (
	"fmt"
	"strings"

	"github.com/racelab/racelab"
)

// tableText prints a result as PQprint of PostgreSQL's libpq does, with header
// and alignment. Widths are bytes there, and so they are here.
func tableText(t racelab.Table) string {
	if len(t.Columns) == 0 {
		return ""
	}
	widths := make([]int, len(t.Columns))
	words := make([]bool, len(t.Columns)) // not numbers: they stand to the left
	for i, c := range t.Columns {
		widths[i] = len(c)
	}
	rows := make([][]string, len(t.Rows))
	for r, row := range t.Rows {
		rows[r] = make([]string, len(row))
		for i, v := range row {
			s, _ := v.(string) // NULL is empty
			rows[r][i] = s
			widths[i] = max(widths[i], len(s))
			words[i] = words[i] || s != "" && !numeric(s)
		}
	}
	var out strings.Builder
	line := func(cells []string) {
		for i, cell := range cells {
			if i > 0 {
				out.WriteByte('|')
			}
			padding := strings.Repeat(" ", widths[i]-len(cell))
			if words[i] {
				out.WriteString(cell + padding)
			} else {
				out.WriteString(padding + cell)
			}
		}
		out.WriteByte('\n')
	}
	line(t.Columns)
	for i, width := range widths {
		if i > 0 {
			out.WriteByte('+')
		}
		out.WriteString(strings.Repeat("-", width))
	}
	out.WriteByte('\n')
	for _, row := range rows {
		line(row)
	}
	s := "s"
	if len(rows) == 1 {
		s = ""
	}
	fmt.Fprintf(&out, "(%d row%s)\n\n", len(rows), s)
	return out.String()
}

// numeric is what libpq takes for a number: anything made of a number's
// characters that ends in a digit and does not begin with an exponent.
func numeric(s string) bool {
	last := s[len(s)-1]
	return strings.Trim(s, "0123456789.eE -") == "" && s[0] != 'e' && s[0] != 'E' && '0' <= last && last <= '9'
}
