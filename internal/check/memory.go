package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/racelab/racelab"
)

// inMemory reports whether an operation is of shared memory.
func inMemory(op racelab.Op) bool { return len(op.Touches) > 0 }

// writesMemory reports whether an operation has changed shared memory.
func writesMemory(op racelab.Op) bool {
	return slices.ContainsFunc(op.Touches, func(t racelab.Touch) bool { return t.Mode&racelab.Writes != 0 })
}

// object is the value of shared memory that an operation is about.
func object(op racelab.Op) string {
	if len(op.Touches) == 0 {
		return op.Text
	}
	return op.Touches[0].Value()
}

// share reports whether two operations are about the same value. What both only
// read is none: channels have that in common with all others.
func share(a, b racelab.Op) bool {
	return slices.ContainsFunc(a.Touches, func(x racelab.Touch) bool {
		return slices.ContainsFunc(b.Touches, func(y racelab.Touch) bool { return x.Object == y.Object && (x.Mode|y.Mode)&racelab.Writes != 0 })
	})
}

// accessesOf reads an operation of shared memory as statements: a load is a
// read of its value, a store a write, and an update both, each of them by itself
// and seen by everybody at once. What keeps sessions apart holds no data, and is
// none.
func accessesOf(s statement) []*statement {
	s.memory = true
	s.tx = &transaction{level: racelab.SequentialConsistency, first: s.entered, firstRead: s.entered, ended: s.left, committed: true, counts: true}
	s.region = region{access: access{table: object(s.op)}, where: conjunction{whole: true}, words: []string{"value"}}
	var both []*statement
	if s.op.Kind == racelab.Load || s.op.Kind == racelab.Update {
		read := s
		read.verb = "SELECT"
		both = append(both, &read)
	}
	if s.op.Kind == racelab.Store || s.op.Kind == racelab.Update && writesMemory(s.op) {
		write := s
		write.verb, write.result.Affected = "UPDATE", 1
		write.sets = []assignment{{column: "value", value: textOf(s.result.Value), literal: s.op.Kind == racelab.Store, relative: s.op.Kind == racelab.Update}}
		both = append(both, &write)
	}
	return both
}

// readVerb and wroteVerb say what an operation did.
func readVerb(op racelab.Op) string {
	if op.Kind == racelab.Load {
		return "loaded"
	}
	return "read"
}

func wroteVerb(op racelab.Op) string {
	switch op.Kind {
	case racelab.Store:
		return "stored"
	case racelab.Update:
		return "changed"
	}
	return "wrote"
}

// Ends reports whether a run would have ended a Go program.
func Ends(h racelab.History) bool {
	_, ends := fatalIn(h.Events)
	return ends
}

// fatalIn returns what ends a Go program whatever its serial orders do, and
// whether a history has it: a misuse of shared memory, or a panic of a session
// that another has started, which nobody recovers from.
func fatalIn(events []racelab.Event) (Anomaly, bool) {
	return brokenIn(events, func(e racelab.Event) bool {
		return e.Result.Class == racelab.Misuse || e.Result.Class == racelab.Panicked && isStarted(e.Op.Session)
	})
}

// panicIn returns the panic that ended a call, and whether there is one.
func panicIn(events []racelab.Event) (Anomaly, bool) {
	return brokenIn(events, func(e racelab.Event) bool { return e.Result.Class == racelab.Panicked })
}

// PanicIn says which call of a run was ended by a panic, and by what, if one
// was.
func PanicIn(h racelab.History) (why string, panicked bool) {
	a, panicked := panicIn(h.Events)
	return a.Why, panicked
}

// brokenIn tells how the first call broke that counts.
func brokenIn(events []racelab.Event, counts func(returned racelab.Event) bool) (Anomaly, bool) {
	i := slices.IndexFunc(events, func(e racelab.Event) bool { return e.Kind == racelab.Returned && counts(e) })
	if i < 0 {
		return Anomaly{}, false
	}
	e := events[i]
	a := Anomaly{Name: Panic, Cycle: []Edge{}, Events: []int{i}}
	last := lastOf(events[:i], e.Op.Session)
	if e.Result.Class == racelab.Misuse && last >= 0 {
		op := events[last].Op
		a.Name, a.Events = Misuse, []int{last, i}
		a.Why = fmt.Sprintf("%s %s: %s", op.Name(), placed(op.Text, op), events[last].What)
		a.Marks = map[int]string{last: "ends the program"}
		a.Prose = a.Why + ". In Go this ends the program."
		return a, true
	}
	a.Why = fmt.Sprintf("%s panics: %s", e.Op.Session, strings.TrimPrefix(e.What, "panic: "))
	a.Prose = a.Why + "."
	if isStarted(e.Op.Session) {
		a.Prose += " Nobody recovers from the panic of a goroutine: it ends the program."
	}
	return a, true
}

// placed adds where in the code an operation is.
func placed(text string, op racelab.Op) string {
	if op.Pos == "" {
		return text
	}
	return text + " (" + op.Pos + ")"
}

// lastOf returns the last thing that a session has done, or -1.
func lastOf(events []racelab.Event, session racelab.SessionID) int {
	for i, e := range slices.Backward(events) {
		if e.Op.Session == session && e.Kind == racelab.Left {
			return i
		}
	}
	return -1
}

// isStarted reports whether a session is one that another has started: Aa.
func isStarted(session racelab.SessionID) bool {
	return strings.ToUpper(string(session)) != string(session)
}
