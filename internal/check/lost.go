package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/racelab/racelab"
)

// A LostUpdate is one in a history: a call read a row, another call wrote it,
// and the first wrote it again from what it had read (P4 in Berenson et al.,
// 1995). Its events are those of the two calls, in the history's order.
type LostUpdate struct {
	Events []int          // positions in the history
	Marks  map[int]string // what to say beside some of them, by position
	Prose  string
}

// FindLostUpdate returns the lost update whose two calls lie closest together
// in the history, and whether there is one. It looks at committed calls only.
func FindLostUpdate(events []racelab.Event) (LostUpdate, bool) {
	var best *overwrite
	for _, o := range overwrites(events) {
		if best == nil || o.span() < best.span() {
			best = &o
		}
	}
	if best == nil {
		return LostUpdate{}, false
	}
	return best.explain(events), true
}

// overwrite holds the positions of the three operations of a lost update,
// each of them where it was left.
type overwrite struct{ read, between, write int }

func (o overwrite) span() int { return o.write - o.read }

// A write is one in the history.
type written struct {
	call    racelab.CallID
	item    string
	left    int
	visible int // where it was let in, or, in a transaction, its commit: nobody read it before
}

// overwrites finds the lost updates that are certain. Operations of a free
// run overlap, and what the engine did first is not always what returned
// first: so a read counts as stale only if the write was let in after the read
// had returned, and a write as overwritten only if it had returned before the
// next one was let in.
func overwrites(events []racelab.Event) []overwrite {
	ended := map[racelab.CallID]racelab.Class{}
	for _, e := range events {
		if e.Kind == racelab.Returned {
			ended[e.Op.Call] = e.Result.Class
		}
	}
	entered := map[racelab.SessionID]int{}       // the session's latest operation
	inTx := map[racelab.SessionID]bool{}         // the session has begun a transaction
	reads := map[racelab.CallID]map[string]int{} // the latest read of an item
	pending := map[racelab.SessionID][]*written{}
	var writes []*written
	var candidates []overwrite
	from := map[int]*written{} // by the position at which it left
	for i, e := range events {
		if e.Kind == racelab.Entered {
			entered[e.Op.Session] = i
		}
		if e.Kind != racelab.Left || e.Result.Class != racelab.OK || ended[e.Op.Call] != racelab.OK {
			continue
		}
		switch e.Op.Kind {
		case racelab.Begin:
			inTx[e.Op.Session] = true
			continue
		case racelab.Commit, racelab.Rollback:
			for _, w := range pending[e.Op.Session] {
				w.visible = entered[e.Op.Session]
			}
			inTx[e.Op.Session], pending[e.Op.Session] = false, nil
			continue
		}
		a := accessOf(e.Op)
		if a.key == "" {
			continue
		}
		item := a.table + " " + a.key
		switch {
		case a.verb == "SELECT":
			if reads[e.Op.Call] == nil {
				reads[e.Op.Call] = map[string]int{}
			}
			reads[e.Op.Call][item] = i
		case a.verb == "UPDATE" && e.Result.Affected > 0:
			if read, ok := reads[e.Op.Call][item]; ok && !a.relative {
				for _, w := range slices.Backward(writes) {
					if w.item == item && w.call != e.Op.Call && w.left < entered[e.Op.Session] {
						candidates = append(candidates, overwrite{read, w.left, i})
						break
					}
				}
			}
			w := &written{call: e.Op.Call, item: item, left: i, visible: entered[e.Op.Session]}
			writes, from[i] = append(writes, w), w
			if inTx[e.Op.Session] {
				pending[e.Op.Session] = append(pending[e.Op.Session], w)
			}
		}
	}
	// Only now is it known when each write became visible.
	return slices.DeleteFunc(candidates, func(o overwrite) bool { return from[o.between].visible < o.read })
}

func (o overwrite) explain(events []racelab.Event) LostUpdate {
	read, between, write := events[o.read].Op, events[o.between].Op, events[o.write].Op
	l := LostUpdate{Marks: map[int]string{
		o.read:    "stale at " + write.Name(),
		o.between: "lost to " + write.Name(),
		o.write:   "overwrites " + between.Name(),
	}}
	for i, e := range events {
		if e.Op.Call == read.Call || e.Op.Call == between.Call {
			l.Events = append(l.Events, i)
		}
	}
	a := accessOf(write)
	l.Prose = fmt.Sprintf("Lost update: %s read %s %s (%s) before %s wrote it (%s), and then wrote it from what it had read (%s). What %s wrote is gone.",
		read.Session, a.table, strings.ReplaceAll(a.key, "=", " "), read.Name(), between.Session, between.Name(), write.Name(), between.Session)
	return l
}
