package main

import (
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/racelab/racelab"
)

func TestAPictureOfManySessionsIsCut(t *testing.T) {
	var run racelab.Run
	add := func(kind racelab.EventKind, i, step int) {
		s := racelab.Letter(i)
		run.History.Events = append(run.History.Events, racelab.Event{
			Kind: kind, Op: racelab.Op{Session: s, Call: s.Call(1), Step: step, Kind: racelab.Query, Text: "SELECT " + strings.Repeat("x", 100)},
			Result: racelab.Result{Class: racelab.OK},
		})
	}
	for step := range 6 {
		for i := range 64 {
			add(racelab.Entered, i, step+1)
			add(racelab.Left, i, step+1)
		}
	}
	lines := strings.Split(strings.TrimSpace(drawing(io.Discard, run)), "\n")
	if last := lines[len(lines)-1]; last != "(52 other sessions and 32 more rows not shown)" {
		t.Errorf("the last line is %q", last)
	}
	if len(lines) != 1+mostRows+1 {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		if utf8.RuneCountInString(line) > 80 {
			t.Errorf("%d columns: %s", utf8.RuneCountInString(line), line)
		}
	}
	if got := drawing(io.Discard, racelab.Run{}); got != "" {
		t.Errorf("a run without events is drawn as %q", got)
	}
}
