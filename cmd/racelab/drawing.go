package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/picture"
	"github.com/racelab/racelab/internal/stage"
)

// A picture that shows no finding is only an impression: this much of it.
const (
	mostLanes = 12
	mostRows  = 40
)

// drawing is the picture of a run: of one loss with the prose beneath, if there
// is one that can be told from the history; else of how the run began.
func drawing(w io.Writer, run racelab.Run) string {
	x, ok := stage.LostUpdate(run)
	if !ok {
		return beginning(w, run)
	}
	text := picture.Text(x.Run, x.Marks, options(w))
	if x.Left > 0 {
		text += fmt.Sprintf("(%s not shown)\n", count(x.Left, "other session"))
	}
	return text + "\n" + wrap(x.Prose, 78) + "\n\n"
}

// beginning draws the first sessions and rows of a run; it is "" if there are
// none.
func beginning(w io.Writer, run racelab.Run) string {
	part, left := lanes(run, mostLanes)
	lines := strings.SplitAfter(picture.Text(part, nil, options(w)), "\n")
	head, rows := lines[0], lines[1:len(lines)-1] // what follows the last newline is nothing
	if len(rows) == 0 {
		return ""
	}
	text := head + strings.Join(rows[:min(len(rows), mostRows)], "")
	var missing []string
	if left > 0 {
		missing = append(missing, count(left, "other session"))
	}
	if len(rows) > mostRows {
		missing = append(missing, count(len(rows)-mostRows, "more row"))
	}
	if len(missing) > 0 {
		text += fmt.Sprintf("(%s not shown)\n", strings.Join(missing, " and "))
	}
	return text + "\n"
}

// lanes keeps the sessions of a run that came first, and says how many it left
// out.
func lanes(run racelab.Run, most int) (part racelab.Run, left int) {
	var kept, others []racelab.SessionID
	part = run
	part.History.Events, part.At = []racelab.Event{}, []time.Duration{}
	for i, e := range run.History.Events {
		s := e.Op.Session
		switch {
		case slices.Contains(others, s):
			continue
		case slices.Contains(kept, s):
		case len(kept) == most:
			others = append(others, s)
			continue
		default:
			kept = append(kept, s)
		}
		part.History.Events = append(part.History.Events, e)
		if i < len(run.At) {
			part.At = append(part.At, run.At[i])
		}
	}
	return part, len(others)
}
