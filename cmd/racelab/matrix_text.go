package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/racelab/racelab"
)

// A matrixGroup are cells of a strategy that came to the same.
type matrixGroup struct {
	cells []matrixCell
}

// grouped puts a strategy's cells that came to the same together.
func grouped(cells []matrixCell) (groups []matrixGroup) {
	for _, c := range cells {
		i := slices.IndexFunc(groups, func(g matrixGroup) bool {
			o := g.cells[0]
			same := o.words() == c.words() && o.objection() == c.objection()
			if c.Result == racelab.CellNotAvailable || c.Result == racelab.CellUnknown {
				return same && unsaid(o.Because) == unsaid(c.Because)
			}
			return same
		})
		if i < 0 {
			i, groups = len(groups), append(groups, matrixGroup{})
		}
		groups[i].cells = append(groups[i].cells, c)
	}
	return groups
}

// where names the engines and levels of the group; an engine alone is all its
// levels among the strategy's cells.
func (g matrixGroup) where(all []matrixCell) string {
	var engines []string
	for _, own := range groupsOf(g.cells, func(c matrixCell) string { return c.Engine }) {
		engine, levels := own[0].Engine, []string{}
		for _, c := range own {
			levels = append(levels, string(c.Level))
		}
		has := 0
		for _, c := range all {
			if c.Engine == engine {
				has++
			}
		}
		if has > len(own) {
			engine += " " + strings.Join(levels, ", ")
		}
		engines = append(engines, engine)
	}
	if slices.ContainsFunc(engines, func(e string) bool { return strings.Contains(e, ",") }) {
		return strings.Join(engines, "; ")
	}
	return strings.Join(engines, ", ")
}

// note says of the group what its result does not: why, how much was searched,
// and what aborted calls.
func (g matrixGroup) note() string {
	first := g.cells[0]
	switch first.Result {
	case racelab.CellNotAvailable, racelab.CellUnknown:
		return unsaid(first.Because)
	}
	low, high, classes := first.Schedules, first.Schedules, map[racelab.Class]bool{}
	for _, c := range g.cells {
		low, high = min(low, c.Schedules), max(high, c.Schedules)
		for class := range c.Classes {
			classes[class] = true
		}
	}
	note := count(high, "schedule")
	if low < high {
		note = fmt.Sprintf("%d to %s", low, note)
	}
	if by := aborts(slices.Sorted(maps.Keys(classes))); by != "" {
		note += ", " + by
	}
	return note
}

// aborts says how calls ended that did not count; "" if all did.
func aborts(classes []racelab.Class) string {
	var by, parts []string
	for _, class := range classes {
		if class.Aborted() {
			by = append(by, string(class))
		}
	}
	if len(by) > 0 {
		parts = append(parts, "aborts by "+strings.Join(by, ", "))
	}
	if slices.Contains(classes, racelab.Refused) {
		parts = append(parts, "calls refused")
	}
	return strings.Join(parts, ", ")
}

// matrixText prints a line for each thing that a strategy came to, and where.
func matrixText(w io.Writer, r matrixReport) error {
	var b strings.Builder
	for _, cells := range r.scenarios() {
		scenarioText(&b, w, cells)
	}
	for _, e := range r.Engines {
		fmt.Fprintf(&b, "%-8s %s %s\n", e.Engine, e.Product, e.Version)
	}
	fmt.Fprintf(&b, "%s\n", item("cells", r.tally()))
	for _, c := range r.Cells {
		if why := c.objection(); why != "" {
			b.WriteString(item("differs", fmt.Sprintf("%s/%s on %s, %s: %s; %s", c.Scenario, c.Strategy, c.Engine, c.Level, c.words(), why)))
		}
	}
	_, err := io.WriteString(w, strings.TrimRight(b.String(), "\n")+"\n")
	return err
}

const (
	matrixIndent = 29 // where the results begin
	resultWidth  = 24
)

func scenarioText(b *strings.Builder, w io.Writer, cells []matrixCell) {
	s := cells[0].Scenario
	fmt.Fprintf(b, "%s%s\n\n", strong(w, s), strings.TrimPrefix(wrap(s+": "+summaryOf(s), 80), plain(s)))
	var replays []string
	for _, own := range groupsOf(cells, func(c matrixCell) string { return c.Strategy }) {
		name := own[0].Strategy
		for _, g := range grouped(own) {
			where := g.where(own) + ": " + g.note()
			if g.cells[0].Result == racelab.CellNotAvailable {
				where = g.note() // which says where
			}
			if why := g.cells[0].objection(); why != "" {
				where += "; " + why
			}
			matrixLine(b, w, name, g.cells[0].Result, g.cells[0].words(), where)
			name = ""
			if line := g.cells[0].Replay; line != nil {
				replays = append(replays, *line)
			}
		}
	}
	b.WriteByte('\n')
	for _, line := range replays {
		fmt.Fprintf(b, "  %s\n", plain(line))
	}
	if len(replays) > 0 {
		b.WriteByte('\n')
	}
}

// matrixLine prints a strategy's name, its result, and what there is to say
// about it, as wide as the terminal.
func matrixLine(b *strings.Builder, w io.Writer, name string, r racelab.CellResult, result, note string) {
	name, result = "  "+name, symbol(r)+" "+result
	if utf8.RuneCountInString(name) >= matrixIndent {
		fmt.Fprintln(b, name)
		name = ""
	}
	width := min(max(columns(w), 80), 120) - matrixIndent - max(resultWidth, utf8.RuneCountInString(result)+1)
	for i, line := range strings.Split(wrap(note, width), "\n") {
		if i > 0 {
			name, result = "", ""
		}
		fmt.Fprintln(b, strings.TrimRight(padded(name, matrixIndent)+padded(result, resultWidth)+line, " "))
	}
}

// padded counts characters, where fmt's width counts bytes of what is no ASCII.
func padded(s string, width int) string {
	return s + strings.Repeat(" ", max(width-utf8.RuneCountInString(s), 0))
}
