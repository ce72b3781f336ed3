package main

import (
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/dsn"
)

// A declaration is what a strategy is expected to come to on an engine and
// level where it is available. racelab matrix computes it.
type declaration struct {
	Engine  string              `json:"engine"`
	Level   racelab.Level       `json:"level"`
	Result  *racelab.CellResult `json:"result"` // null: nothing is declared
	Anomaly *string             `json:"anomaly"`
}

// declarations lists what a strategy is expected to come to.
func declarations(s *racelab.Scenario, st *racelab.Strategy) []declaration {
	all := []declaration{}
	for _, e := range dsn.For(s) {
		for _, l := range e.Dialect.Levels {
			if s.Because(st, e, l) != "" {
				continue
			}
			d := declaration{Engine: e.Name, Level: l}
			if x, ok := st.Expected(e.Name, l); ok {
				d.Result, d.Anomaly = &x.Result, said(x.Anomaly)
			}
			all = append(all, d)
		}
	}
	return all
}

// declaredText says the same for people, a line for each result.
func declaredText(s *racelab.Scenario, st *racelab.Strategy, indent string) string {
	var cells []matrixCell
	for _, d := range declarations(s, st) {
		c := matrixCell{Strategy: st.Name, Engine: d.Engine, Level: d.Level, InProcess: s.InProcess(st), Result: "nothing declared", Anomaly: d.Anomaly, Agrees: true}
		if d.Result != nil {
			c.Result = *d.Result
		}
		cells = append(cells, c)
	}
	var b strings.Builder
	for _, g := range grouped(cells) {
		result := symbol(g.cells[0].Result) + " " + g.cells[0].words()
		for i, line := range strings.Split(wrap(g.where(cells), 80-len(indent)-resultWidth), "\n") {
			if i > 0 {
				result = ""
			}
			b.WriteString(indent + padded(result, resultWidth) + line + "\n")
		}
	}
	return b.String()
}
