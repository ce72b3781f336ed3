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
	uses   [2]use
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

// anomaly tells the race in prose.
func (r Race) anomaly() Anomaly {
	told := func(u use, object string) string {
		verb := readVerb(u.op)
		if u.writes {
			verb = wroteVerb(u.op)
		}
		at := u.op.Name()
		if u.op.Pos != "" {
			at += ", " + u.op.Pos
		}
		return fmt.Sprintf("%s %s %s (%s)", u.op.Session, verb, object, at)
	}
	first, second := r.uses[0], r.uses[1]
	return Anomaly{
		Name:  DataRace,
		Cycle: []Edge{},
		Marks: map[int]string{first.event: "races with " + r.Second.Op, second.event: "races with " + r.First.Op},
		Prose: fmt.Sprintf("%s and %s, and nothing orders the two: no lock, no signal, no start of a session. Go promises nothing about a program that does this.",
			told(first, r.Object), told(second, "it")),
		Events: []int{first.event, second.event},
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
// comes first), and from values that are released and then acquired.
func RacesIn(h racelab.History) []Race {
	if !slices.ContainsFunc(h.Events, func(e racelab.Event) bool {
		return slices.ContainsFunc(e.Op.Touches, func(t racelab.Touch) bool { return isPlain(t) && t.Mode&racelab.Writes != 0 })
	}) {
		return nil
	}
	var r raceReader
	for i, e := range h.Events {
		if e.Kind == racelab.Left {
			r.read(i, e)
		}
	}
	return r.races
}

// isPlain reports whether a touch orders nothing.
func isPlain(t racelab.Touch) bool { return t.Mode&(racelab.Acquires|racelab.Releases) == 0 }

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
	op          racelab.Op
	event       int
}

type raceReader struct {
	sessions []racelab.SessionID
	clocks   []clock           // by session
	released map[string]*clock // by object
	uses     map[string][]use  // by object
	races    []Race
}

// session returns the position of a session.
func (r *raceReader) session(id racelab.SessionID) int {
	i := slices.Index(r.sessions, id)
	if i < 0 {
		i = len(r.sessions)
		r.sessions, r.clocks = append(r.sessions, id), append(r.clocks, nil)
	}
	return i
}

func (r *raceReader) read(event int, e racelab.Event) {
	s := r.session(e.Op.Session)
	r.clocks[s].reach(s, r.clocks[s].at(s)+1)
	if child, ok := e.Result.Value.(string); ok && e.Op.Kind == racelab.Spawn {
		c := r.session(racelab.SessionID(child))
		r.clocks[c].join(r.clocks[s])
	}
	refused := e.Op.Kind == racelab.Try && e.Result.Value == false // nothing was acquired
	for _, t := range e.Op.Touches {
		if from := r.released[t.Object]; from != nil && t.Mode&racelab.Acquires != 0 && !refused {
			r.clocks[s].join(*from)
		}
	}
	for _, t := range e.Op.Touches {
		if isPlain(t) {
			r.access(t.Object, use{s, r.clocks[s].at(s), t.Mode&racelab.Writes != 0, e.Op, event})
		}
		if t.Mode&racelab.Releases != 0 {
			if r.released == nil {
				r.released = map[string]*clock{}
			}
			if r.released[t.Object] == nil {
				r.released[t.Object] = &clock{}
			}
			r.released[t.Object].join(r.clocks[s])
		}
	}
}

// access holds an access against those of other sessions.
func (r *raceReader) access(object string, u use) {
	again := -1
	for i, before := range r.uses[object] {
		switch {
		case before.session == u.session:
			if before.writes == u.writes && before.op.Pos == u.op.Pos && before.op.Text == u.op.Text {
				again = i
			}
		case (before.writes || u.writes) && r.clocks[u.session].at(before.session) < before.at:
			if lines := linesOf(before.line(), u.line()); !slices.ContainsFunc(r.races, func(known Race) bool { return known.Lines() == lines }) {
				r.races = append(r.races, Race{object, before.race(), u.race(), [2]use{before, u}})
			}
		}
	}
	switch {
	case again >= 0:
		r.uses[object][again] = u
	case r.uses == nil:
		r.uses = map[string][]use{object: {u}}
	default:
		r.uses[object] = append(r.uses[object], u)
	}
}

func (u use) race() RaceUse { return RaceUse{u.op.Name(), u.op.Text, u.op.Pos} }

func (u use) line() string { return RaceUse{Text: u.op.Text, Pos: u.op.Pos}.line() }
