package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/racelab/racelab"
)

// nasty are names as no scenario of ours has them, but a user's may.
func nasty() matrixReport {
	anomaly, why := "<b>|`x`", "\x1b[31m & \"quoted\"\nnext | line"
	replay := "racelab run '<script>alert(1)</script>'"
	holds := racelab.CellHolds
	return matrixReport{
		Schema: matrixSchema, Engines: []matrixEngine{{"sq|lite", "<i>SQLite", "3 & more"}},
		Cells: []matrixCell{
			{Scenario: "<script>alert(2)</script>", Strategy: "a", Engine: "sq|lite", Level: "<LEVEL>", Result: racelab.CellViolated, Anomaly: &anomaly, Because: &why, Expected: &holds, Replay: &replay, Schedules: 1},
			{Scenario: "<script>alert(2)</script>", Strategy: "b", Engine: "sq|lite", Level: "<LEVEL>", Result: racelab.CellUnknown, Because: &why},
		},
	}
}

func TestThePageEscapesWhatItShows(t *testing.T) {
	var b strings.Builder
	if err := matrixHTML(&b, nasty()); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, raw := range []string{"<script", "<b>", "<i>", "<LEVEL>", `"quoted"`} {
		if strings.Contains(page, raw) {
			t.Errorf("the page holds %s", raw)
		}
	}
	for _, want := range []string{"&lt;script&gt;alert(1)", "&lt;script&gt;alert(2)", "&lt;i&gt;SQLite", "holds was expected", `title="racelab run &#39;`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

func TestATableOfMarkdownStaysOne(t *testing.T) {
	var b strings.Builder
	if err := matrixMarkdown(&b, nasty()); err != nil {
		t.Fatal(err)
	}
	columns := map[int]bool{}
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, "|") {
			columns[strings.Count(line, "|")-strings.Count(line, `\|`)] = true
		}
	}
	if len(columns) != 1 || !columns[3] {
		t.Errorf("the rows have %v separators:\n%s", columns, b.String())
	}
	if strings.Contains(b.String(), "\x1b") || strings.Contains(b.String(), "<i>") {
		t.Errorf("not escaped:\n%s", b.String())
	}
}

func TestTheTextEscapesWhatSteersATerminal(t *testing.T) {
	var b strings.Builder
	if err := matrixText(&b, nasty()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "\x1b") || !strings.Contains(b.String(), "differs ") {
		t.Errorf("%q", b.String())
	}
}

func TestTheFieldsOfAMatrix(t *testing.T) {
	text, err := json.Marshal(nasty())
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Engines []map[string]any
		Cells   []map[string]any
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	has := func(m map[string]any, fields ...string) {
		t.Helper()
		for _, f := range fields {
			if _, ok := m[f]; !ok {
				t.Errorf("no field %s in %v", f, m)
			}
		}
	}
	has(document.Engines[0], "engine", "product", "version")
	has(document.Cells[0], "scenario", "strategy", "engine", "level", "result", "anomaly", "schedules", "complete",
		"aborted_schedules", "abort_classes", "because", "expected", "agrees", "replay")
	if document.Cells[1]["anomaly"] != nil || document.Cells[1]["expected"] != nil || document.Cells[1]["replay"] != nil {
		t.Errorf("what is not there is not null: %v", document.Cells[1])
	}
}

func TestTheExitCodeOfAMatrix(t *testing.T) {
	agrees := matrixCell{Result: racelab.CellHolds, Agrees: true}
	disagrees := matrixCell{Result: racelab.CellViolated}
	unknown := matrixCell{Result: racelab.CellUnknown}
	for _, test := range []struct {
		cells []matrixCell
		want  int
	}{
		{nil, exitOK},
		{[]matrixCell{agrees}, exitOK},
		{[]matrixCell{agrees, unknown}, exitUnknown},
		{[]matrixCell{unknown, disagrees}, exitViolated},
	} {
		if got := (matrixReport{Cells: test.cells}).code(); got != test.want {
			t.Errorf("%v: %d, want %d", test.cells, got, test.want)
		}
	}
}

// Levels are named only where an engine has come to several things.
func TestWhereAGroupIs(t *testing.T) {
	cell := func(engine string, l racelab.Level, r racelab.CellResult) matrixCell {
		return matrixCell{Engine: engine, Level: l, Result: r, Agrees: true}
	}
	cells := []matrixCell{
		cell("sqlite", racelab.Serializable, racelab.CellHolds),
		cell("postgres", racelab.ReadCommitted, racelab.CellViolated),
		cell("postgres", racelab.Serializable, racelab.CellHolds),
		cell("mysql", racelab.ReadCommitted, racelab.CellViolated),
		cell("mysql", racelab.Serializable, racelab.CellViolated),
	}
	var got []string
	for _, g := range grouped(cells) {
		got = append(got, g.cells[0].words()+": "+g.where(cells))
	}
	if want := []string{"holds: sqlite, postgres SERIALIZABLE", "violated: postgres READ COMMITTED, mysql"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
