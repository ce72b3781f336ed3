package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
)

// matrixReport is racelab.matrix/1.
type matrixReport struct {
	Schema  string         `json:"schema"`
	Engines []matrixEngine `json:"engines"`
	Cells   []matrixCell   `json:"cells"`
	Seconds float64        `json:"seconds"`
}

type matrixEngine struct {
	Engine  string `json:"engine"`
	Product string `json:"product"`
	Version string `json:"version"`
}

type matrixCell struct {
	Scenario  string                `json:"scenario"`
	Strategy  string                `json:"strategy"`
	Engine    string                `json:"engine"`
	Level     racelab.Level         `json:"level"`
	Result    racelab.CellResult    `json:"result"`
	Anomaly   *string               `json:"anomaly"`
	Schedules int                   `json:"schedules"`
	Complete  bool                  `json:"complete"`
	Aborted   int                   `json:"aborted_schedules"`
	Classes   map[racelab.Class]int `json:"abort_classes"`
	Because   *string               `json:"because"`
	InProcess bool                  `json:"in_process"` // as explore has it
	Expected  *racelab.CellResult   `json:"expected"`   // null: nothing is declared
	// ExpectedAnomaly narrows what is expected of a violation.
	ExpectedAnomaly *string `json:"expected_anomaly"`
	Agrees          bool    `json:"agrees"`
	Replay          *string `json:"replay"`
	Seconds         float64 `json:"seconds"`
}

func (f matrixFlags) report(stands []stage.Stand, cells []stage.MatrixCell) matrixReport {
	r := matrixReport{Schema: matrixSchema, Engines: []matrixEngine{}, Cells: []matrixCell{}}
	for _, s := range stands {
		p := s.Server.Product()
		r.Engines = append(r.Engines, matrixEngine{s.Engine.Name, p.Name, p.Version})
	}
	for _, c := range cells {
		r.Cells = append(r.Cells, f.cell(c))
	}
	return r
}

func (f matrixFlags) cell(c stage.MatrixCell) matrixCell {
	cell := matrixCell{
		Scenario: c.Scenario.Name, Strategy: c.Strategy.Name, Engine: c.Engine.Name, Level: c.Level,
		InProcess: c.Scenario.InProcess(c.Strategy), Result: c.Result, Anomaly: said(c.Anomaly), Because: said(c.Because), Agrees: c.Agrees(),
		Schedules: c.Schedules, Complete: c.Complete, Aborted: c.Aborted, Classes: map[racelab.Class]int{}, Seconds: c.Took.Seconds(),
	}
	maps.Copy(cell.Classes, c.Classes)
	if c.Declared {
		cell.Expected, cell.ExpectedAnomaly = &c.Expected.Result, said(c.Expected.Anomaly)
	}
	if c.Witness != nil {
		what := chosen{Selection: c.Selection, name: c.Selection.Name()}
		line := exploreFlags{controlFlags: f.again(c)}.onlyFor(c.Explored)
		replay := what.command("run", what.name, line, "--schedule", c.Schedule.String())
		cell.Replay = &replay
	}
	return cell
}

// again are the flags of a line that runs in the cell again.
func (f matrixFlags) again(c stage.MatrixCell) controlFlags {
	again := controlFlags{engineFlags: engineFlags{engine: c.Engine.Name}, judge: "serial", processes: 1}
	if len(c.Engine.Dialect.Levels) > 1 {
		again.level = string(c.Level)
	}
	return again
}

// said is a text that JSON has as null if it is empty.
func said(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// unsaid is the text of one that may be null.
func unsaid(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// code is the exit code: what disagrees weighs more than what nobody knows.
func (r matrixReport) code() int {
	disagrees := func(c matrixCell) bool { return !c.Agrees && c.Result != racelab.CellUnknown }
	unknown := func(c matrixCell) bool { return c.Result == racelab.CellUnknown }
	switch {
	case slices.ContainsFunc(r.Cells, disagrees):
		return exitViolated
	case slices.ContainsFunc(r.Cells, unknown):
		return exitUnknown
	}
	return exitOK
}

// scenarios are the report's cells by scenario, in order.
func (r matrixReport) scenarios() [][]matrixCell {
	return groupsOf(r.Cells, func(c matrixCell) string { return c.Scenario })
}

// groupsOf cuts cells where a key changes.
func groupsOf(cells []matrixCell, key func(matrixCell) string) (groups [][]matrixCell) {
	for i, c := range cells {
		if i == 0 || key(c) != key(cells[i-1]) {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], c)
	}
	return groups
}

// symbol stands before a result's words: never instead of them.
func symbol(r racelab.CellResult) string {
	switch r {
	case racelab.CellHolds, racelab.CellHoldsWithAborts:
		return "✓"
	case racelab.CellViolated, racelab.CellDeadlock:
		return "✗"
	case racelab.CellNotAvailable:
		return "–"
	}
	return "?"
}

// words says a result in a few words.
func words(r racelab.CellResult, anomaly *string) string {
	switch {
	case r == racelab.CellHoldsWithAborts:
		return "holds, with aborts"
	case r == racelab.CellNotAvailable:
		return "not available"
	case r == racelab.CellViolated && anomaly != nil:
		return strings.ReplaceAll(*anomaly, "-", " ")
	}
	return string(r)
}

func (c matrixCell) words() string {
	if symbol(c.Result) == "✓" {
		return held(words(c.Result, c.Anomaly), c.InProcess)
	}
	return words(c.Result, c.Anomaly)
}

// held says of what holds where it does.
func held(what string, inProcess bool) string {
	if inProcess {
		return what + " in one process"
	}
	return what
}

// objection says what else was expected; "" if nothing was.
func (c matrixCell) objection() string {
	if c.Agrees || c.Expected == nil {
		return ""
	}
	return words(*c.Expected, c.ExpectedAnomaly) + " was expected"
}

// tally counts the cells by what they came to.
func (r matrixReport) tally() string {
	n, disagree, undeclared := map[racelab.CellResult]int{}, 0, 0
	for _, c := range r.Cells {
		n[c.Result]++
		if c.Expected == nil {
			undeclared++
		}
		if !c.Agrees && c.Result != racelab.CellUnknown {
			disagree++
		}
	}
	parts := []string{}
	for _, part := range []struct {
		n    int
		what string
	}{
		{n[racelab.CellHolds] + n[racelab.CellHoldsWithAborts], "hold"},
		{n[racelab.CellViolated] + n[racelab.CellDeadlock], "violated"},
		{n[racelab.CellNotAvailable], "not available"},
		{n[racelab.CellUnknown], "unknown"},
	} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	line := fmt.Sprintf("%d: %s", len(r.Cells), strings.Join(parts, ", "))
	switch {
	case disagree == 1:
		line += "; 1 is not as declared"
	case disagree > 0:
		line += fmt.Sprintf("; %d are not as declared", disagree)
	case n[racelab.CellUnknown] == 0:
		line += "; all are as declared"
	}
	if undeclared > 0 {
		line += fmt.Sprintf("; of %d nothing is declared", undeclared)
	}
	return line + fmt.Sprintf("; %.1f s", r.Seconds)
}

func summaryOf(name string) string {
	if s, ok := scenario.Named(name); ok {
		return s.Summary
	}
	return ""
}
