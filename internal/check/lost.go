package check

import (
	"cmp"
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

// overwrite holds the positions of the three operations of a lost update.
type overwrite struct{ read, between, write int }

func (o overwrite) span() int { return o.write - o.read }

type touch struct {
	at       int
	call     racelab.CallID
	item     string
	relative bool
}

func overwrites(events []racelab.Event) []overwrite {
	ended := map[racelab.CallID]racelab.Class{}
	for _, e := range events {
		if e.Kind == racelab.Returned {
			ended[e.Op.Call] = e.Result.Class
		}
	}
	reads := map[racelab.CallID]map[string]int{} // the last read of an item
	var writes []touch
	var found []overwrite
	for i, e := range events {
		if e.Kind != racelab.Left || e.Result.Class != racelab.OK || ended[e.Op.Call] != racelab.OK {
			continue
		}
		a := accessOf(e.Op)
		if a.key == "" {
			continue
		}
		item := a.table + " " + a.key
		switch a.verb {
		case "SELECT":
			if reads[e.Op.Call] == nil {
				reads[e.Op.Call] = map[string]int{}
			}
			reads[e.Op.Call][item] = i
		case "UPDATE":
			if e.Result.Affected == 0 {
				continue
			}
			if read, ok := reads[e.Op.Call][item]; ok && !a.relative {
				for _, w := range slices.Backward(writes) {
					if w.at > read && w.item == item && w.call != e.Op.Call {
						found = append(found, overwrite{read, w.at, i})
						break
					}
				}
			}
			writes = append(writes, touch{at: i, call: e.Op.Call, item: item, relative: a.relative})
		}
	}
	slices.SortStableFunc(found, func(a, b overwrite) int { return cmp.Compare(a.span(), b.span()) })
	return found
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
