package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/racelab/racelab"
)

// FindLostUpdate returns, of a history whose order is not certain because its
// sessions ran freely, the lost update whose two calls lie closest together,
// and whether there is one. It looks at committed calls only. A call read a
// row, another call wrote it, and the first wrote it again from what it had
// read (P4 in Berenson et al., 1995).
func FindLostUpdate(events []racelab.Event) (Anomaly, bool) {
	var best *overwrite
	for _, o := range overwrites(events) {
		if best == nil || o.span() < best.span() {
			best = &o
		}
	}
	if best == nil {
		return Anomaly{}, false
	}
	a := best.anomaly(events)
	a.Prose = "Lost update: " + a.Prose
	return a, true
}

// overwrite holds the positions of the three operations of a lost update,
// each of them where it was left.
type overwrite struct{ read, between, write int }

func (o overwrite) span() int { return o.write - o.read }

// A write is one in the history.
type written struct {
	access
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
			if read, ok := reads[e.Op.Call][item]; ok {
				for _, w := range slices.Backward(writes) {
					if w.item == item && w.call != e.Op.Call && a.overwrites(w.access) && w.left < entered[e.Op.Session] {
						candidates = append(candidates, overwrite{read, w.left, i})
						break
					}
				}
			}
			w := &written{access: a, call: e.Op.Call, item: item, left: i, visible: entered[e.Op.Session]}
			writes, from[i] = append(writes, w), w
			if inTx[e.Op.Session] {
				pending[e.Op.Session] = append(pending[e.Op.Session], w)
			}
		}
	}
	// Only now is it known when each write became visible.
	return slices.DeleteFunc(candidates, func(o overwrite) bool { return from[o.between].visible < o.read })
}

// anomaly explains it.
func (o overwrite) anomaly(events []racelab.Event) Anomaly {
	read, between, write := events[o.read].Op, events[o.between].Op, events[o.write].Op
	item := itemOf(write)
	a := Anomaly{
		Name: LostUpdate,
		Cycle: []Edge{
			{read.Call, between.Call, RW, item, read.Name(), between.Name()},
			{between.Call, write.Call, WW, item, between.Name(), write.Name()},
		},
		Marks: map[int]string{
			o.read:    "stale at " + write.Name(),
			o.between: "lost to " + write.Name(),
			o.write:   "overwrites " + between.Name(),
		},
		Prose: fmt.Sprintf("%s, and then %s it from what it had %s (%s). What %s %s is gone.",
			missed(read, item, between, wroteVerb(between), o.between < o.read), wroteVerb(write), readVerb(read), write.Name(), between.Session, wroteVerb(between)),
	}
	a.Events = eventsOf(events, a.Cycle)
	return a
}

// itemOf names what an operation is about.
func itemOf(op racelab.Op) string {
	if inMemory(op) {
		return object(op)
	}
	return accessOf(op).item()
}

// item names the row: account id 1; the table, if the text names no row.
func (a access) item() string {
	return strings.TrimSuffix(a.table+" "+strings.Replace(a.key, "=", " ", 1), " ")
}
