package picture

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/racelab/racelab"
)

// Options says how a text picture looks.
type Options struct {
	Width int  // columns; 80 if 0
	Color bool // ANSI colours
}

const (
	reset = "\x1b[0m"
	dim   = "\x1b[2m"
	bold  = "\x1b[1m"
	red   = "\x1b[31m"
)

var laneColors = []string{"\x1b[36m", "\x1b[33m", "\x1b[35m", "\x1b[32m", "\x1b[34m"}

// Text draws a run for a terminal: one line a row, each ended by a newline.
func Text(run racelab.Run, marks Mark, o Options) string {
	if o.Width == 0 {
		o.Width = 80
	}
	l := Lay(run, marks)
	timed := len(run.At) > 0
	names := 2
	for _, r := range l.Rows {
		names = max(names, len(r.Name))
	}
	var b strings.Builder
	widths, room := l.widths()
	b.WriteString(o.paint(dim, head(l, widths, timed)))
	b.WriteByte('\n')
	for _, r := range l.Rows {
		line := ""
		if timed {
			line = o.paint(dim, fmt.Sprintf("%7s", millis(r))) + "  "
		}
		for lane, c := range r.Cells {
			line += o.paint(laneColors[lane%len(laneColors)], symbol(c, r.Failed)) + strings.Repeat(" ", widths[lane]-1)
		}
		line += " " + o.paint(laneColors[max(r.Lane, 0)%len(laneColors)], fmt.Sprintf("%-*s", names, r.Name)) + "  "
		used := room + names + 3
		if timed {
			used += 9
		}
		b.WriteString(strings.TrimRight(line+o.words(r, o.Width-used), " "))
		b.WriteByte('\n')
	}
	return b.String()
}

// widths are those of the lanes, and how much they are together.
func (l Layout) widths() (each []int, all int) {
	for _, s := range l.Lanes {
		each = append(each, len(s)+1)
		all += len(s) + 1
	}
	return each, all
}

func head(l Layout, widths []int, timed bool) string {
	line := ""
	if timed {
		line = fmt.Sprintf("%7s  ", "ms")
	}
	for i, s := range l.Lanes {
		line += fmt.Sprintf("%-*s", widths[i], s)
	}
	return strings.TrimRight(line, " ")
}

func millis(r Row) string { return fmt.Sprintf("%.1f", float64(r.At.Microseconds())/1000) }

func symbol(c Cell, failed bool) string {
	switch c {
	case Idle:
		return "│"
	case Stopped:
		return "┊"
	case Pauses:
		return "◦"
	case Acts:
		if failed {
			return "✗"
		}
		return "●"
	}
	return " "
}

// words writes what happened into width columns. If there is too little room
// the statement is cut, not what it gave or why it matters.
func (o Options) words(r Row, width int) string {
	result, mark := "", ""
	if r.Result != "" {
		result = " → " + r.Result
		if r.Failed {
			result = " ✗ " + r.Result
		}
	}
	if r.Mark != "" {
		mark = "  ◀ " + r.Mark
	}
	room := max(width-utf8.RuneCountInString(result)-utf8.RuneCountInString(mark), 12)
	text := cut(r.Text, room)
	switch {
	case r.Mark != "":
		return o.paint(bold, text+result) + o.paint(red, mark)
	case r.Failed:
		return text + o.paint(red, result)
	}
	return text + result
}

func cut(s string, room int) string {
	if utf8.RuneCountInString(s) <= room {
		return s
	}
	return string([]rune(s)[:room-1]) + "…"
}

func (o Options) paint(code, s string) string {
	if !o.Color || strings.TrimSpace(s) == "" {
		return s
	}
	return code + s + reset
}
