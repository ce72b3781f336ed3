package check

import (
	"slices"

	"github.com/racelab/racelab"
)

// A Name is an anomaly's, as the literature has it.
type Name string

// The anomalies, and where they are defined: P, A and G are the phenomena of
// H. Berenson et al., A Critique of ANSI SQL Isolation Levels, 1995, and of
// A. Adya, Weak Consistency, 1999.
const (
	DirtyWrite        Name = "dirty-write"         // P0, G0
	DirtyRead         Name = "dirty-read"          // P1, G1
	NonRepeatableRead Name = "non-repeatable-read" // A2
	LostUpdate        Name = "lost-update"         // P4
	ReadSkew          Name = "read-skew"           // A5A, G-single
	WriteSkew         Name = "write-skew"          // A5B, G2-item
	Phantom           Name = "phantom"             // P3, G2
	Duplicate         Name = "duplicate"           // a phantom that leaves two of what is to be one
	Deadlock          Name = "deadlock"

	// Of shared memory:
	DataRace        Name = "data-race"        // two accesses that nothing orders
	LostWakeup      Name = "lost-wakeup"      // a signal that came before anybody waited for it
	ForgottenUnlock Name = "forgotten-unlock" // of a lock, by whoever has ended
	LeakedSession   Name = "leaked-session"   // one that was started, and never ends
	Misuse          Name = "misuse"           // what ends a Go program, such as to unlock what is not locked
	Panic           Name = "panic"
)

// An Anomaly is why a history is none of calls one after another.
type Anomaly struct {
	Name  Name   `json:"name"`
	Prose string `json:"prose"` // two sentences or three
	Why   string `json:"-"`     // in a few words, where the name does not say it
	// Cycle leads from a call back to itself: each of them would have to come
	// before the next one. A read of what was rolled back is one edge and no
	// cycle, and so may a deadlock be whose other waits are not known.
	Cycle []Edge `json:"cycle"`
	// Marks say something beside the guilty events, by position, and Events
	// are the positions of all that the cycle's calls did.
	Marks  map[int]string `json:"-"`
	Events []int          `json:"-"`
}

// Explain names the anomaly of a violating run under control, and reports
// whether there is a name. It looks for a cycle in the graph of dependencies
// between calls (A. Adya, 1999, chapter 4), which transactions have made, and
// each access of shared memory by itself:
// whoever wrote comes before who saw it (wr) or wrote over it (ww), and whoever
// read before who wrote what they did not see (rw). What is rolled back makes
// none. Where a statement's text leaves open whether it touches what another
// one wrote, a cycle through it counts only if there is no other.
//
// The events' order must be the order in which things happened. A run that is
// no violation may have cycles too: calls that are none the worse for them.
func Explain(h racelab.History, level racelab.Level) (Anomaly, bool) {
	for _, find := range []func([]racelab.Event) (Anomaly, bool){fatalIn, stuckIn} {
		if a, ok := find(h.Events); ok {
			return a, true
		}
	}
	g := graphOf(h, level)
	if best := g.worst(); best != nil {
		return best.anomaly(h.Events), true
	}
	if a, ok := panicIn(h.Events); ok {
		return a, true
	}
	return victimIn(h.Events)
}

// eventsOf returns the positions of what some calls did, in order.
func eventsOf(events []racelab.Event, cycle []Edge) (positions []int) {
	for i, e := range events {
		if slices.ContainsFunc(cycle, func(d Edge) bool { return e.Op.Call == d.From || e.Op.Call == d.To }) {
			positions = append(positions, i)
		}
	}
	return positions
}
