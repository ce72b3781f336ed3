package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/racelab/racelab"
)

// matrixMarkdown writes a table for each scenario: a strategy is a row, and an
// engine at a level a column. No date and no time is in it, so that a file of it
// changes only when a cell does, or a version.
func matrixMarkdown(w io.Writer, r matrixReport) error {
	var b strings.Builder
	b.WriteString("# What every strategy comes to\n\nComputed by `racelab matrix --format markdown`: each cell is an exploration of every order of its sessions'\noperations, on\n\n")
	for _, e := range r.Engines {
		fmt.Fprintf(&b, "- %s: %s %s\n", markdown(e.Engine), markdown(e.Product), markdown(e.Version))
	}
	b.WriteString("\n✓ holds, with aborts or without; ✗ violated, and by which anomaly; – not available; ? unknown. In parentheses: the\nschedules that were run. The level that stands first is the one that racelab takes if none is named.\n")
	for _, cells := range r.scenarios() {
		scenarioMarkdown(&b, cells)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func scenarioMarkdown(b *strings.Builder, cells []matrixCell) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n|", markdown(cells[0].Scenario), markdown(summaryOf(cells[0].Scenario)))
	columns := columnsOf(cells)
	for _, c := range columns {
		fmt.Fprintf(b, " | %s<br>%s", markdown(c.engine), markdown(string(c.level)))
	}
	fmt.Fprintf(b, " |\n| ---%s |\n", strings.Repeat(" | ---", len(columns)))
	var notes, replays, reasons []string
	lacking := map[string][]string{} // strategies, by the reason
	for _, own := range groupsOf(cells, func(c matrixCell) string { return c.Strategy }) {
		fmt.Fprintf(b, "| `%s`", own[0].Strategy)
		for _, column := range columns {
			text := ""
			if i := slices.IndexFunc(own, column.has); i >= 0 {
				text = cellMarkdown(own[i])
				if own[i].Replay != nil {
					replays = append(replays, *own[i].Replay)
				}
			}
			b.WriteString(" | " + text)
		}
		b.WriteString(" |\n")
		for _, g := range grouped(own) {
			why := unsaid(g.cells[0].Because)
			switch g.cells[0].Result {
			case racelab.CellNotAvailable: // the reason says where
				if lacking[why] == nil {
					reasons = append(reasons, why)
				}
				lacking[why] = append(lacking[why], "`"+own[0].Strategy+"`")
			case racelab.CellUnknown:
				notes = append(notes, fmt.Sprintf("- `%s` on %s: unknown, because %s\n", own[0].Strategy, markdown(g.where(own)), markdown(why)))
			}
		}
	}
	for _, why := range reasons {
		notes = append(notes, fmt.Sprintf("- not available, because %s: %s\n", markdown(why), strings.Join(lacking[why], ", ")))
	}
	if len(notes) > 0 {
		fmt.Fprintf(b, "\n%s", strings.Join(notes, ""))
	}
	if len(replays) > 0 {
		fmt.Fprintf(b, "\n<details><summary>The schedule of each violation</summary>\n\n```\n%s\n```\n\n</details>\n", strings.Join(replays, "\n"))
	}
}

func cellMarkdown(c matrixCell) string {
	text := symbol(c.Result) + " " + markdown(c.words())
	if c.Schedules > 0 {
		text += fmt.Sprintf(" (%d)", c.Schedules)
	}
	if why := c.objection(); why != "" {
		text += "<br>**" + markdown(why) + "**"
	}
	return text
}

// A matrixColumn is an engine at a level.
type matrixColumn struct {
	engine string
	level  racelab.Level
}

func (m matrixColumn) has(c matrixCell) bool { return c.Engine == m.engine && c.Level == m.level }

func columnsOf(cells []matrixCell) (columns []matrixColumn) {
	for _, c := range cells {
		if m := (matrixColumn{c.Engine, c.Level}); !slices.Contains(columns, m) {
			columns = append(columns, m)
		}
	}
	return columns
}

// markdown is text that means nothing to Markdown, on one line.
func markdown(s string) string {
	s = printable(strings.Join(strings.Fields(s), " "))
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "|", `\|`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`).Replace(s)
}
