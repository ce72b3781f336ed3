package picture

import (
	"strings"
	"testing"

	"github.com/racelab/racelab"
)

// memory is a run in which A starts a session, time passes, and all of them end
// up waiting.
func memory() (racelab.Run, Mark) {
	s := &script{steps: map[racelab.SessionID]int{}}
	touching := func(kind racelab.OpKind, text, object string) racelab.Op {
		return racelab.Op{Kind: kind, Text: text, Touches: []racelab.Touch{{Object: object}}}
	}
	gives := func(v racelab.Value) racelab.Result { return racelab.Result{Value: v} }
	waits := func(session racelab.SessionID, op racelab.Op, on ...racelab.SessionID) {
		s.steps[session]++
		s.add(racelab.Waiting, session, racelab.Event{Op: op, On: on, What: op.Text})
	}
	s.add(racelab.Called, "A", racelab.Event{})
	s.add(racelab.Called, "B", racelab.Event{})
	spawn := racelab.Op{Kind: racelab.Spawn, Text: "go"}
	s.add(racelab.Entered, "A", racelab.Event{Op: spawn})
	s.add(racelab.Called, "Aa", racelab.Event{})
	s.add(racelab.Left, "A", racelab.Event{Op: spawn, Result: gives("Aa")})
	s.do("Aa", touching(racelab.Load, "load number", "number"), gives(int64(30)))
	s.do("B", touching(racelab.Store, "store number", "number"), gives(int64(40)))
	s.do("B", touching(racelab.Load, "load head", "head"), gives(nil))
	s.do("B", touching(racelab.Store, "store head", "head"), gives(nil))
	s.do("B", touching(racelab.Store, "clear done", "done"), gives(nil))
	s.do("B", touching(racelab.Try, "try to lock m", "m"), gives(true))
	s.do("A", touching(racelab.Acquire, "lock accounts", "accounts"), racelab.Result{})
	s.do("A", racelab.Op{Kind: racelab.Yield, Text: "yield"}, racelab.Result{})
	s.events = append(s.events, racelab.Event{Kind: racelab.Ticked})
	s.do("B", racelab.Op{Kind: racelab.Sleep, Text: "sleep 10ms"}, racelab.Result{})
	s.add(racelab.Called, "C", racelab.Event{})
	unlock := touching(racelab.Release, "unlock m2", "m2")
	s.add(racelab.Entered, "C", racelab.Event{Op: unlock})
	s.add(racelab.Left, "C", racelab.Event{Op: unlock, Result: racelab.Result{Class: racelab.Misuse}, What: "sync: unlock of unlocked mutex"})
	s.add(racelab.Returned, "C", racelab.Event{Result: racelab.Result{Class: racelab.Misuse}, What: "misuse: sync: unlock of unlocked mutex"})
	waits("A", touching(racelab.Acquire, "lock accounts", "accounts"), "A")
	waits("Aa", touching(racelab.Acquire, "lock accounts", "accounts"), "A")
	waits("B", touching(racelab.Acquire, "wait done", "done"))
	return racelab.Run{History: racelab.History{Events: s.events}}, Mark{4: "never ends"}
}

func TestSharedMemoryIsShownInItsOwnWords(t *testing.T) {
	run, marks := memory()
	golden(t, "memory.txt", Text(run, marks, Options{}))
}

func TestWhatAProgramSaysIsOneLineAndNoComment(t *testing.T) {
	const name = "m -- its\nname\x1b[2J"
	s := &script{steps: map[racelab.SessionID]int{}}
	lock := racelab.Op{Kind: racelab.Acquire, Text: "lock " + name, Touches: []racelab.Touch{{Object: racelab.PartOf(name, "1")}}}
	s.do("A", lock, racelab.Result{Class: racelab.OK})
	s.add(racelab.Waiting, "B", racelab.Event{Op: lock, On: []racelab.SessionID{"A"}})
	s.add(racelab.Returned, "A", racelab.Event{Result: racelab.Result{Class: racelab.Panicked}, What: "panic: " + name})
	text := Text(racelab.Run{History: racelab.History{Events: s.events}}, Mark{1: "of " + name}, Options{Width: 160})
	for _, want := range []string{"lock ", "waits for ", "panic: ", "of "} {
		if want += `m -- its\nname\x1b[2J`; !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if part := racelab.PartOf("", "1"); strings.Contains(text, part) || strings.Contains(text, `\x00`) {
		t.Errorf("the name of a part is shown:\n%s", text)
	}
}
