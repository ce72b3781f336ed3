package check

import (
	"fmt"
	"slices"

	"github.com/racelab/racelab"
)

// A Race is a data race: two plain accesses of one value by different sessions,
// one of them a write, that nothing orders. A Go program that has one may do
// anything, whatever its runs came to here (https://go.dev/ref/mem).
type Race struct {
	Object string  `json:"object"`
	First  RaceUse `json:"first"` // in the run that it was seen in
	Second RaceUse `json:"second"`
	events [2]int
}

// A RaceUse is an access that races with another one.
type RaceUse struct {
	Op   string `json:"op"`
	Text string `json:"text"`
	Pos  string `json:"pos"` // file:line; "" if it is not known
}

func (u RaceUse) String() string {
	if u.Pos == "" {
		return u.Op + " " + u.Text
	}
	return fmt.Sprintf("%s %s (%s)", u.Op, u.Text, u.Pos)
}

// String says what races: A2 store n (a.go:41) and B1 load n (a.go:40).
func (r Race) String() string {
	return fmt.Sprintf("%s and %s: nothing orders them", r.First, r.Second)
}

// Lines are the two lines of code: races between the same lines are one.
func (r Race) Lines() [2]string {
	return linesOf(r.First.line(), r.Second.line())
}

func linesOf(a, b string) [2]string { return [2]string{min(a, b), max(a, b)} }

func (u RaceUse) line() string {
	if u.Pos == "" {
		return u.Text
	}
	return u.Pos
}

// anomaly tells the race in prose, in the run that it is of.
func (r Race) anomaly(events []racelab.Event) Anomaly {
	told := func(at int, object string) string {
		op := events[at].Op
		verb := readVerb(op)
		if writesPlain(op) {
			verb = wroteVerb(op)
		}
		place := op.Name()
		if op.Pos != "" {
			place += ", " + op.Pos
		}
		return fmt.Sprintf("%s %s %s (%s)", op.Session, verb, object, place)
	}
	first, second := r.events[0], r.events[1]
	return Anomaly{
		Name:  DataRace,
		Cycle: []Edge{},
		Marks: map[int]string{first: "races with " + r.Second.Op, second: "races with " + r.First.Op},
		Prose: fmt.Sprintf("%s and %s, and nothing orders the two: no lock, no signal, no start of a session. Go promises nothing about a program that does this.",
			told(first, r.Object), told(second, "it")),
		Events: []int{first, second},
	}
}

// RacesIn finds the data races of a run under control, the first of each pair
// of lines. What happened before what (L. Lamport, Time, Clocks, and the
// Ordering of Events in a Distributed System, 1978) is kept in vector clocks
// that locks hand on, as in E. Pozniansky and A. Schuster, MultiRace, 2007, and
// C. Flanagan and S. Freund, FastTrack, 2009. Unlike the latter it keeps more
// than the last access of a value: one for each session and line.
//
// Order comes from a session's own steps, from its start (whoever starts it
// comes first), and from values that are released and then acquired. Whoever
// acquires comes after all that was released before, as a Lock comes after every
// earlier Unlock; but whoever loads an atomic variable only after the store that
// it sees, and those that this one itself came after.
func RacesIn(h racelab.History) []Race {
	r := raceReader{}
	return r.read(h.Events)
}

// isPlain reports whether a touch orders nothing.
func isPlain(t racelab.Touch) bool { return t.Mode&(racelab.Acquires|racelab.Releases) == 0 }

// writesPlain reports whether an operation writes a value, and orders nothing.
func writesPlain(op racelab.Op) bool {
	return slices.ContainsFunc(op.Touches, func(t racelab.Touch) bool { return isPlain(t) && t.Mode&racelab.Writes != 0 })
}

// A raceReader reads one run after another, in the same memory. It is asked
// after every run, and a run of a small program takes a few microseconds.
type raceReader struct {
	events   []racelab.Event
	sessions []racelab.SessionID
	clocks   []clock // by session
	values   []raced
	races    []Race
	latest   []Race // that were returned
	names    map[OpName]string
}

// A raced is a value of shared memory as far as a run has come.
type raced struct {
	name     string
	released clock // by those whom the next to acquire it comes after
	uses     []use
}

// A clock says how many steps of each session, by position, came before.
type clock []int

func (c clock) at(session int) int {
	if session < len(c) {
		return c[session]
	}
	return 0
}

func (c *clock) join(other clock) {
	for session, n := range other {
		c.reach(session, n)
	}
}

func (c *clock) reach(session, n int) {
	for len(*c) <= session {
		*c = append(*c, 0)
	}
	(*c)[session] = max((*c)[session], n)
}

// A use is the latest access of a value that a session made at a line.
type use struct {
	session, at int
	writes      bool
	event       int
}

// read returns the races of a run. They are not to be changed: runs in a row
// that have the same ones share them.
func (r *raceReader) read(events []racelab.Event) []Race {
	r.events, r.races = events, r.races[:0]
	r.sessions, r.clocks, r.values = r.sessions[:0], r.clocks[:0], r.values[:0]
	for i := range events {
		if events[i].Kind == racelab.Left {
			r.step(i, &events[i])
		}
	}
	if !slices.Equal(r.races, r.latest) {
		r.latest = slices.Clone(r.races)
	}
	return r.latest
}

// session returns the position of a session.
func (r *raceReader) session(id racelab.SessionID) int {
	i := slices.Index(r.sessions, id)
	if i < 0 {
		i = len(r.sessions)
		r.sessions = append(r.sessions, id)
		r.clocks = more(r.clocks)
		r.clocks[i] = r.clocks[i][:0]
	}
	return i
}

// value returns a value by its name.
func (r *raceReader) value(name string) *raced {
	for i := range r.values {
		if r.values[i].name == name {
			return &r.values[i]
		}
	}
	r.values = more(r.values)
	o := &r.values[len(r.values)-1]
	o.name, o.released, o.uses = name, o.released[:0], o.uses[:0]
	return o
}

// more makes a slice one longer, with what was there in an earlier run.
func more[T any](s []T) []T {
	if len(s) < cap(s) {
		return s[:len(s)+1]
	}
	var zero T
	return append(s, zero)
}

func (r *raceReader) step(event int, e *racelab.Event) {
	s := r.session(e.Op.Session)
	r.clocks[s].reach(s, r.clocks[s].at(s)+1)
	if e.Op.Kind == racelab.Spawn {
		if child, ok := e.Result.Value.(string); ok {
			c := r.session(racelab.SessionID(child))
			r.clocks[c].join(r.clocks[s])
		}
	}
	refused := e.Op.Kind == racelab.Try && e.Result.Value == false // nothing was acquired
	for _, t := range e.Op.Touches {
		if t.Mode&racelab.Acquires != 0 && !refused {
			r.clocks[s].join(r.value(t.Object).released)
		}
	}
	for _, t := range e.Op.Touches {
		if isPlain(t) {
			r.access(r.value(t.Object), use{s, r.clocks[s].at(s), t.Mode&racelab.Writes != 0, event})
		}
		if t.Mode&racelab.Releases != 0 {
			o := r.value(t.Object)
			if e.Op.Kind == racelab.Store { // nobody will see what was stored before
				o.released = o.released[:0]
			}
			o.released.join(r.clocks[s])
		}
	}
}

// access holds an access against those of other sessions.
func (r *raceReader) access(o *raced, u use) {
	again := -1
	for i, before := range o.uses {
		switch {
		case before.session == u.session:
			if a, b := &r.events[before.event].Op, &r.events[u.event].Op; before.writes == u.writes && a.Pos == b.Pos && a.Text == b.Text {
				again = i
			}
		case (before.writes || u.writes) && r.clocks[u.session].at(before.session) < before.at:
			race := Race{o.name, r.use(before), r.use(u), [2]int{before.event, u.event}}
			if lines := race.Lines(); !slices.ContainsFunc(r.races, func(known Race) bool { return known.Lines() == lines }) {
				r.races = append(r.races, race)
			}
		}
	}
	if again >= 0 {
		o.uses[again] = u
	} else {
		o.uses = append(o.uses, u)
	}
}

func (r *raceReader) use(u use) RaceUse {
	op := &r.events[u.event].Op
	name := OpName{op.Session, op.Step}
	text, ok := r.names[name]
	if !ok {
		if r.names == nil {
			r.names = map[OpName]string{}
		}
		text = op.Name()
		r.names[name] = text
	}
	return RaceUse{text, op.Text, op.Pos}
}
