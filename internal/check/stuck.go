package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/racelab/racelab"
)

// forgottenUnlock returns the lock that a session waits for and whose holder
// has ended the call that took it.
func forgottenUnlock(events []racelab.Event, w wait, open map[racelab.CallID]bool) (Anomaly, bool) {
	op := events[w.at].Op
	for _, holder := range w.on {
		at := takenAt(events, holder, op)
		if at < 0 || open[events[at].Op.Call] {
			continue
		}
		lock := events[at].Op
		a := Anomaly{Name: ForgottenUnlock, Cycle: []Edge{}, Events: []int{at, w.at}}
		a.Why = fmt.Sprintf("%s waits at %s for %s, which %s has locked at %s and never unlocked", w.session, op.Name(), object(op), holder, placed(lock.Name(), lock))
		a.Prose = fmt.Sprintf("%s. %s %s, and holds it for ever.", a.Why, holder, endedHow(events, lock.Call))
		a.Marks = map[int]string{at: "never unlocked", w.at: "waits for " + string(holder)}
		return a, true
	}
	return Anomaly{}, false
}

// takenAt returns where a session last took what an operation waits for, or -1.
func takenAt(events []racelab.Event, holder racelab.SessionID, waits racelab.Op) int {
	for i, e := range slices.Backward(events) {
		taken := e.Op.Kind == racelab.Acquire || e.Op.Kind == racelab.Try && e.Result.Value != false
		if e.Kind == racelab.Left && e.Op.Session == holder && taken && share(e.Op, waits) {
			return i
		}
	}
	return -1
}

// endedHow says how a call ended that has.
func endedHow(events []racelab.Event, call racelab.CallID) string {
	for _, e := range events {
		if e.Kind == racelab.Returned && e.Op.Call == call && e.Result.Class == racelab.Panicked {
			return "has panicked"
		}
	}
	return "has returned"
}

// lostWakeup returns the signal that a session waits for and that was given
// before it began to, and that woke nobody else.
func lostWakeup(events []racelab.Event, w wait) (Anomaly, bool) {
	op := events[w.at].Op
	if len(w.on) > 0 {
		return Anomaly{}, false
	}
	for i, e := range slices.Backward(events[:max(lastOf(events, w.session), 0)]) {
		switch {
		case e.Kind != racelab.Left || !share(e.Op, op):
			continue
		case e.Op.Kind == racelab.Acquire:
			return Anomaly{}, false // it woke somebody
		case e.Op.Kind != racelab.Signal || e.Op.Session == w.session:
			continue
		}
		a := Anomaly{Name: LostWakeup, Cycle: []Edge{}, Events: []int{i, w.at}}
		a.Why = fmt.Sprintf("%s waits at %s for %s, and %s gave the signal (%s) before %s began to wait", w.session, op.Name(), object(op), e.Op.Session, e.Op.Name(), w.session)
		a.Prose = a.Why + ". Nobody waited for it then, and nobody gives it again."
		a.Marks = map[int]string{i: "nobody waits yet", w.at: "too late for " + e.Op.Name()}
		return a, true
	}
	return Anomaly{}, false
}

// leaked returns the session that another one has started and that waits for
// ever while everyone of the cast has ended.
func leaked(events []racelab.Event, w wait, open map[racelab.CallID]bool) (Anomaly, bool) {
	op := events[w.at].Op
	if !isStarted(w.session) || !inMemory(op) {
		return Anomaly{}, false
	}
	for call := range open {
		if session, _, _ := strings.Cut(string(call), "."); !isStarted(racelab.SessionID(session)) {
			return Anomaly{}, false
		}
	}
	a := Anomaly{Name: LeakedSession, Cycle: []Edge{}, Events: []int{w.at}, Marks: map[int]string{w.at: "never ends"}}
	a.Why = fmt.Sprintf("%s waits at %s for %s and never ends", w.session, op.Name(), object(op))
	for i, e := range events {
		if e.Kind == racelab.Left && e.Op.Kind == racelab.Spawn && e.Result.Value == string(w.session) {
			a.Why += fmt.Sprintf("; %s started it at %s", e.Op.Session, placed(e.Op.Name(), e.Op))
			a.Marks[i] = "never ends"
			a.Events = []int{i, w.at}
		}
	}
	a.Prose = a.Why + ". Everybody else has ended, and nobody is left to let it go on."
	return a, true
}

// unsignalled is a deadlock in which somebody waits for what nobody holds, and
// nobody is left to give it.
func unsignalled(events []racelab.Event, w wait) Anomaly {
	op := events[w.at].Op
	a := Anomaly{Name: Deadlock, Cycle: []Edge{}, Events: []int{w.at}, Marks: map[int]string{w.at: "waits for ever"}}
	a.Why = fmt.Sprintf("%s waits at %s for %s, and nobody is left who could give it", w.session, op.Name(), object(op))
	a.Prose = a.Why + ". Nobody can go on."
	return a
}
