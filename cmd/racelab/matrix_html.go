package main

import (
	_ "embed"
	"html/template"
	"io"
	"maps"
	"slices"

	"github.com/racelab/racelab"
)

//go:embed matrix.html
var matrixPage string

// matrixTemplate escapes all that comes from scenarios and servers.
var matrixTemplate = template.Must(template.New("matrix").Parse(matrixPage))

// A pageScenario is a scenario's table on the page.
type pageScenario struct {
	Name, Summary string
	Engines       []pageEngine
	Rows          []pageRow
}

type pageEngine struct {
	Name   string
	Levels []racelab.Level
}

type pageRow struct {
	Strategy string
	Cells    []pageCell
}

type pageCell struct {
	matrixCell
	Column, Symbol, Words, Objection, Searched, Aborts string
	Empty                                              bool
}

// matrixHTML writes one page that needs nothing else, and no script.
func matrixHTML(w io.Writer, r matrixReport) error {
	page := struct {
		matrixReport
		Tally     string
		Scenarios []pageScenario
	}{r, r.tally(), nil}
	for _, cells := range r.scenarios() {
		page.Scenarios = append(page.Scenarios, pageOf(cells))
	}
	return matrixTemplate.Execute(w, page)
}

func pageOf(cells []matrixCell) pageScenario {
	p := pageScenario{Name: cells[0].Scenario, Summary: summaryOf(cells[0].Scenario)}
	columns := columnsOf(cells)
	for _, c := range columns {
		if n := len(p.Engines); n == 0 || p.Engines[n-1].Name != c.engine {
			p.Engines = append(p.Engines, pageEngine{Name: c.engine})
		}
		last := &p.Engines[len(p.Engines)-1]
		last.Levels = append(last.Levels, c.level)
	}
	for _, own := range groupsOf(cells, func(c matrixCell) string { return c.Strategy }) {
		row := pageRow{Strategy: own[0].Strategy}
		for _, column := range columns {
			cell := pageCell{Empty: true}
			if i := slices.IndexFunc(own, column.has); i >= 0 {
				c := own[i]
				cell = pageCell{
					matrixCell: c, Column: c.Engine + ", " + string(c.Level), Symbol: symbol(c.Result), Words: c.words(),
					Objection: c.objection(), Searched: count(c.Schedules, "schedule"), Aborts: aborts(slices.Sorted(maps.Keys(c.Classes))),
				}
			}
			row.Cells = append(row.Cells, cell)
		}
		p.Rows = append(p.Rows, row)
	}
	return p
}
