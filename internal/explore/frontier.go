package explore

import (
	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
)

// An item is a schedule that is still to be run: the decisions of an earlier
// run up to a point, and there another choice. After it the run goes on
// without preemption. Every schedule is one item's: its last decision that is
// not what would follow anyway tells which.
type item struct {
	base      []racelab.Choice // of the earlier run; shared with its other successors
	keep      int              // how much of it
	other     racelab.Choice
	first     bool // there is an earlier run: keep and other count
	preempted int  // preemptions and faults
	faults    int
}

func (it item) schedule() racelab.Schedule {
	if !it.first {
		return nil
	}
	s := make(racelab.Schedule, 0, it.keep+1)
	return append(append(s, it.base[:it.keep]...), it.other)
}

// successors are the schedules that differ from an item's run first after the
// item's own choice, or there in the victim of the deadlock that it turned out
// to close. They have so many faults at most.
func (it item) successors(h racelab.History, faults int) []item {
	decisions := decisionsOf(h)
	base := make([]racelab.Choice, len(decisions))
	for i, d := range decisions {
		base[i] = d.chosen
	}
	between := check.Between(h)
	var urgent, rest []item
	preempted := 0
	last := racelab.SessionID("")
	for i, d := range decisions {
		for _, c := range d.ready {
			if c == d.chosen {
				continue
			}
			if it.first && (i < it.keep || i == it.keep && !isOtherVictim(c, d.chosen)) {
				continue
			}
			next := item{base: base, keep: i, other: c, first: true, preempted: preempted + cost(last, c, d.ready), faults: faultsIn(base[:i]) + faultsIn([]racelab.Choice{c})}
			switch {
			case next.faults > faults:
			case between(d.event, last, c.Session):
				urgent = append(urgent, next)
			default:
				rest = append(rest, next)
			}
		}
		preempted += cost(last, d.chosen, d.ready)
		if !d.chosen.Tick {
			last = d.chosen.Session
		}
	}
	return append(urgent, rest...)
}

// isOtherVictim reports whether a choice is another in nothing but that it
// names the victim.
func isOtherVictim(c, chosen racelab.Choice) bool {
	victim := c.Victim
	c.Victim = ""
	return victim != "" && c == chosen
}

func faultsIn(choices []racelab.Choice) (n int) {
	for _, c := range choices {
		if c.Fault != racelab.NoFault {
			n++
		}
	}
	return n
}

// cost is what a choice adds to a schedule's rank: 1 if it preempts, because
// the last session could have gone on, and 1 for a fault.
func cost(last racelab.SessionID, next racelab.Choice, ready []racelab.Choice) int {
	n := faultsIn([]racelab.Choice{next})
	if last == "" || last == next.Session {
		return n
	}
	for _, r := range ready {
		if r.Session == last {
			return n + 1
		}
	}
	return n
}

type decision struct {
	event  int // its position in the history
	chosen racelab.Choice
	ready  []racelab.Choice
}

func decisionsOf(h racelab.History) []decision {
	var all []decision
	for i, e := range h.Events {
		if c, ok := e.Choice(); ok {
			all = append(all, decision{i, c, e.Ready})
		}
	}
	return all
}

// ScheduleOf returns the whole schedule that a run has followed.
func ScheduleOf(h racelab.History) racelab.Schedule {
	var s racelab.Schedule
	for _, d := range decisionsOf(h) {
		s = append(s, d.chosen)
	}
	return s
}

func preemptions(h racelab.History) int {
	n := 0
	last := racelab.SessionID("")
	for _, d := range decisionsOf(h) {
		n += cost(last, d.chosen, d.ready)
		if !d.chosen.Tick {
			last = d.chosen.Session
		}
	}
	return n
}

// queued is up to how many preemptions items wait in the order in which they
// came. Beyond that the latest goes first, so that what waits stays small:
// there are as many schedules with few preemptions as there are steps to the
// power of that number, and exponentially many in all.
const queued = 2

// A frontier holds the items that are still to be run.
type frontier struct {
	few  [queued + 1][]item
	many []item
}

func (f *frontier) push(items ...item) {
	for _, it := range items {
		if it.preempted <= queued {
			f.few[it.preempted] = append(f.few[it.preempted], it)
		}
	}
	for i := len(items) - 1; i >= 0; i-- {
		if items[i].preempted > queued {
			f.many = append(f.many, items[i])
		}
	}
}

func (f *frontier) len() int {
	n := len(f.many)
	for _, items := range f.few {
		n += len(items)
	}
	return n
}

func (f *frontier) empty() bool { return f.len() == 0 }

// pop takes up to n items, all of the same rank.
func (f *frontier) pop(n int) []item {
	for i, items := range f.few {
		if len(items) > 0 {
			n = min(n, len(items))
			f.few[i] = items[n:]
			return items[:n]
		}
	}
	n = min(n, len(f.many))
	items := make([]item, 0, n)
	for range n {
		items = append(items, f.many[len(f.many)-1])
		f.many = f.many[:len(f.many)-1]
	}
	return items
}

// A recall knows the serial runs, so that no schedule is run twice.
type recall []racelab.History

func newRecall(serial []racelab.History) recall { return serial }

// find returns the serial run that an item's run would be.
func (r recall) find(it item) (racelab.History, bool) {
	schedule := it.schedule()
	for _, h := range r {
		decisions := decisionsOf(h)
		if len(decisions) < len(schedule) {
			continue
		}
		same := true
		last := racelab.SessionID("")
		for i, d := range decisions {
			if i < len(schedule) {
				same = same && d.chosen == schedule[i]
			} else {
				same = same && d.chosen == onward(last, d.ready)
			}
			if !d.chosen.Tick {
				last = d.chosen.Session
			}
		}
		if same {
			return h, true
		}
	}
	return racelab.History{}, false
}

func (r recall) has(it item) bool {
	_, ok := r.find(it)
	return ok
}

// onward is the choice without preemption: the last session, or the lowest.
func onward(last racelab.SessionID, ready []racelab.Choice) racelab.Choice {
	for _, c := range ready {
		if c.Session == last {
			return c
		}
	}
	return ready[0]
}
