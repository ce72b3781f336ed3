package control

import "github.com/racelab/racelab"

// A point is a place in a session's code between two operations. What comes
// there is always asked for by the same line: under control, what a session does
// depends on nothing but what it has seen. So that line, which takes long to look
// up, is looked up once.
type point struct {
	line  string // that asks for the next operation; "" is not known
	after []turn // where the code can go from here
}

// A turn is what a session saw at a point, and where it went from there.
type turn struct {
	did string        // an operation's text, or the call that begins
	saw racelab.Value // of the operation
	to  *point
}

// A trail leads a session through its points. The zero value knows none, and
// learns none.
type trail struct {
	at   *point
	room *int // for how many more points there is memory
}

func newTrail() trail {
	room := 1 << 14
	return trail{&point{}, &room}
}

// mostTurns is how many ways on from a point are kept: a program in which there
// are more is not explored to its end anyway.
const mostTurns = 16

func (t *trail) turn(next turn) {
	if t.at == nil {
		return
	}
	from := t.at
	for i := range from.after {
		if known := &from.after[i]; known.did == next.did && known.saw == next.saw {
			t.at = known.to
			return
		}
	}
	if t.at = nil; len(from.after) < mostTurns && *t.room > 0 {
		*t.room--
		next.to = &point{}
		from.after, t.at = append(from.after, next), next.to
	}
}

// saw follows a session that has seen what an operation gave. The text of a value
// does not tell all that the session sees of it, a pointer for instance: there the
// trail is lost.
func (t *trail) saw(did string, v racelab.Value) {
	switch v.(type) {
	case nil, bool, int64, float64:
		t.turn(turn{did: did, saw: v})
	default:
		t.at = nil
	}
}

// begins follows a session that begins a call.
func (t *trail) begins(c racelab.CallID) { t.turn(turn{did: string(c)}) }
