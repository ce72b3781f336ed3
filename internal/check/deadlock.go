package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/racelab/racelab"
)

// stuckIn returns why, in a history in which some call never returned, nobody
// can go on, and whether that is known. What is more special comes first: whoever
// waits for a lock that is never freed may also be in a circle.
func stuckIn(events []racelab.Event) (Anomaly, bool) {
	open := openIn(events)
	waits := slices.DeleteFunc(waitsAt(events, len(events)), func(w wait) bool { return !open[events[w.at].Op.Call] })
	for _, w := range waits {
		if a, ok := forgottenUnlock(events, w, open); ok {
			return a, true
		}
	}
	for _, w := range waits {
		if ring := ringFrom(waits, w); ring != nil {
			return deadlock(events, ring, "Nobody can go on."), true
		}
	}
	for _, w := range waits {
		if a, ok := lostWakeup(events, w); ok {
			return a, true
		}
	}
	for _, w := range waits {
		if a, ok := leaked(events, w, open); ok {
			return a, true
		}
	}
	for _, w := range waits {
		if len(w.on) == 0 && inMemory(events[w.at].Op) {
			return unsignalled(events, w), true
		}
	}
	return Anomaly{}, false
}

// openIn returns the calls that never returned.
func openIn(events []racelab.Event) map[racelab.CallID]bool {
	open := map[racelab.CallID]bool{}
	for _, e := range events {
		switch e.Kind {
		case racelab.Called:
			open[e.Op.Call] = true
		case racelab.Returned:
			delete(open, e.Op.Call)
		}
	}
	return open
}

// victimIn returns the deadlock that an engine has ended by failing somebody's
// operation, and whether there is one.
func victimIn(events []racelab.Event) (Anomaly, bool) {
	for i, e := range events {
		if e.Kind != racelab.Left || e.Result.Class != racelab.Deadlock || wentOn(events[i+1:], e.Op.Call) {
			continue
		}
		end := fmt.Sprintf("The database ended the deadlock by failing %s.", e.Op.Name())
		waits := waitsAt(events, i)
		for _, w := range waits {
			if ring := ringFrom(waits, w); ring != nil {
				return deadlock(events, ring, end), true
			}
		}
		// Whoever closed the circle may have failed at once, without a wait.
		for _, w := range waits {
			if slices.Contains(w.on, e.Op.Session) {
				ring := []wait{w, {at: i, session: e.Op.Session, on: []racelab.SessionID{w.session}}}
				return deadlock(events, ring, end), true
			}
		}
		return Anomaly{Name: Deadlock, Prose: end, Cycle: []Edge{}, Marks: map[int]string{i: "victim"}, Events: []int{i}}, true
	}
	return Anomaly{}, false
}

// wentOn reports whether a call did something more, and then told nobody that
// anything had failed: it began again.
func wentOn(events []racelab.Event, call racelab.CallID) bool {
	more := false
	for _, e := range events {
		if e.Op.Call != call {
			continue
		}
		if e.Kind == racelab.Returned {
			return more && e.Result.Class == racelab.OK
		}
		more = more || e.Kind == racelab.Left && e.Result.Class == racelab.OK && (e.Op.Kind == racelab.Query || e.Op.Kind == racelab.Exec)
	}
	return false
}

// A wait is a session's that has not ended.
type wait struct {
	at      int // its event
	session racelab.SessionID
	on      []racelab.SessionID
}

// waitsAt returns who waits just before a position, in the order in which they
// began to.
func waitsAt(events []racelab.Event, position int) (waits []wait) {
	for i, e := range events[:position] {
		if e.Kind == racelab.Called {
			continue
		}
		waits = slices.DeleteFunc(waits, func(w wait) bool { return w.session == e.Op.Session })
		if e.Kind == racelab.Waiting {
			waits = append(waits, wait{i, e.Op.Session, e.On})
		}
	}
	return waits
}

// ringFrom returns the waits that lead from one back to itself, or nil.
func ringFrom(waits []wait, first wait) []wait {
	seen := map[racelab.SessionID]bool{}
	var follow func(path []wait) []wait
	follow = func(path []wait) []wait {
		for _, session := range path[len(path)-1].on {
			if session == first.session {
				return path
			}
			i := slices.IndexFunc(waits, func(w wait) bool { return w.session == session })
			if i < 0 || seen[session] {
				continue
			}
			seen[session] = true
			if ring := follow(append(path, waits[i])); ring != nil {
				return ring
			}
		}
		return nil
	}
	return follow([]wait{first})
}

func deadlock(events []racelab.Event, ring []wait, end string) Anomaly {
	a := Anomaly{Name: Deadlock, Marks: map[int]string{}}
	between := ", and "
	var parts []string
	for i, w := range ring {
		next := ring[(i+1)%len(ring)]
		from, to := events[w.at], events[next.at]
		what := from.What
		if what == "" {
			what = from.Op.Text
		}
		if inMemory(from.Op) {
			what = object(from.Op)
		}
		a.Cycle = append(a.Cycle, Edge{from.Op.Call, to.Op.Call, Waits, what, from.Op.Name(), to.Op.Name()})
		if from.Kind == racelab.Waiting {
			a.Marks[w.at] = "waits for " + string(next.session)
		} else {
			a.Marks[w.at] = "victim"
		}
		switch itself := next.session == w.session; {
		case itself && inMemory(from.Op):
			parts = append(parts, fmt.Sprintf("%s waits for itself at %s: it holds %s already", w.session, from.Op.Name(), what))
		case itself:
			parts = append(parts, fmt.Sprintf("%s waits for itself at %s", w.session, from.Op.Name()))
		case inMemory(from.Op):
			between = "; "
			parts = append(parts, fmt.Sprintf("%s waits at %s for %s, which holds %s", w.session, from.Op.Name(), next.session, what))
		default:
			parts = append(parts, fmt.Sprintf("%s waits for %s at %s", w.session, next.session, from.Op.Name()))
		}
	}
	a.Why = strings.Join(parts, between)
	a.Prose = a.Why + ". " + end
	a.Events = eventsOf(events, a.Cycle)
	return a
}
