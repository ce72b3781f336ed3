package mem_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/memory"
	"github.com/racelab/racelab/internal/control"
)

func TestMain(m *testing.M) {
	misuseInChild()
	raceInChild()
	goleak.VerifyTestMain(m)
}

// A program is what sessions A, B and so on do.
type program []func()

// play runs a program under a schedule, in a memory that make is given first.
func play(t interface {
	Helper()
	Fatal(...any)
}, schedule string, build func(*racelab.Memory) program) []racelab.Event {
	t.Helper()
	parsed, err := racelab.ParseSchedule(schedule)
	if err != nil {
		t.Fatal(err)
	}
	events, err := playWith(parsed, nil, build)
	if err != nil {
		t.Fatal(schedule, err)
	}
	return events
}

func playWith(schedule racelab.Schedule, then func([]racelab.Choice) racelab.Choice, build func(*racelab.Memory) program) ([]racelab.Event, error) {
	engine := control.NewEngine(nil, memory.Engine.Dialect, racelab.SequentialConsistency)
	defer engine.Close()
	d := control.NewDirector(engine)
	d.Then = then
	var scripts []control.Script
	for i, code := range build(&racelab.Memory{Gate: d}) {
		id := racelab.Letter(i)
		scripts = append(scripts, control.Script{Session: id, Calls: []control.Call{{ID: id.Call(1), Run: control.Plain(code)}}})
	}
	return d.Run(context.Background(), scripts, schedule)
}

// told is a history as people read it: what was done, what it gave, who waits
// at the end, and whose call broke.
func told(events []racelab.Event) string {
	var b strings.Builder
	for _, e := range events {
		switch {
		case e.Kind == racelab.Waiting:
			fmt.Fprintf(&b, "%s %s, waits for %v\n", e.Op.Name(), e.Op.Text, e.On)
		case e.Kind == racelab.Left && e.Result.Value != nil:
			fmt.Fprintf(&b, "%s %s → %v\n", e.Op.Name(), e.Op.Text, e.Result.Value)
		case e.Kind == racelab.Left && e.What == "":
			fmt.Fprintf(&b, "%s %s\n", e.Op.Name(), e.Op.Text)
		case e.Kind == racelab.Left:
			fmt.Fprintf(&b, "%s %s: %s\n", e.Op.Name(), e.Op.Text, e.What)
		}
	}
	return b.String()
}

// both runs several operations as one session's code.
func both(ops ...func()) func() {
	return func() {
		for _, op := range ops {
			op()
		}
	}
}
