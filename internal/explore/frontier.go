package explore

import (
	"slices"

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

func (it item) onward() func([]racelab.Choice) racelab.Choice { return nil }

// successors are the schedules that differ from an item's run first after the
// item's own choice, or there in the victim of the deadlock that it turned out
// to close. They have so many faults at most.
func (it item) successors(h racelab.History, faults int) []item {
	urgent, rest := it.deviations(h, faults)
	return append(urgent, rest...)
}

// deviations are the successors, those at conflicts first.
func (it item) deviations(h racelab.History, faults int) (urgent, rest []item) {
	decisions := decisionsOf(h)
	base := make([]racelab.Choice, len(decisions))
	for i, d := range decisions {
		base[i] = d.chosen
	}
	between := check.Between(h)
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
	return urgent, rest
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
	n := 0
	if next.Fault != racelab.NoFault {
		n = 1
	}
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
	for i := range h.Events {
		if c, ok := h.Events[i].Choice(); ok {
			if s == nil {
				s = make(racelab.Schedule, 0, len(h.Events)/2) // most operations go in and come out
			}
			s = append(s, c)
		}
	}
	return s
}

// measured counts a run's preemptions and faults, and its changes of session.
func measured(h racelab.History) (preempted, switches int) {
	last := racelab.SessionID("")
	for i := range h.Events {
		c, ok := h.Events[i].Choice()
		if !ok {
			continue
		}
		preempted += cost(last, c, h.Events[i].Ready)
		if c.Tick {
			continue
		}
		if last != "" && c.Session != last {
			switches++
		}
		last = c.Session
	}
	return preempted, switches
}

// queued is up to how many preemptions items wait in the order in which they
// came. Beyond that the latest goes first, so that what waits stays small:
// there are as many schedules with few preemptions as there are steps to the
// power of that number, and exponentially many in all.
const queued = 2

// A frontier holds the items that are still to be run.
type frontier struct {
	bound  *int // preemptions and faults at most
	faults int  // at most
	cut    bool // something was left out because of the bound
	few    [queued + 1][]item
	many   []item
}

func (f *frontier) push(items ...item) {
	if f.bound != nil {
		n := len(items)
		items = slices.DeleteFunc(items, func(it item) bool { return it.preempted > *f.bound })
		f.cut = f.cut || len(items) < n
	}
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

// pop takes up to n items, all of the same rank.
func (f *frontier) pop(n int) []todo {
	var todos []todo
	n = min(n, batch)
	for i, items := range f.few {
		if len(items) == 0 {
			continue
		}
		n = min(n, len(items))
		f.few[i] = items[n:]
		for _, it := range items[:n] {
			todos = append(todos, it)
		}
		return todos
	}
	n = min(n, len(f.many))
	for range n {
		todos = append(todos, f.many[len(f.many)-1])
		f.many = f.many[:len(f.many)-1]
	}
	return todos
}

// back puts back what pop gave: all of one rank.
func (f *frontier) back(todos []todo) {
	var items []item
	for _, t := range todos {
		items = append(items, t.(item))
	}
	if rank := items[0].preempted; rank <= queued {
		f.few[rank] = slices.Concat(items, f.few[rank])
		return
	}
	slices.Reverse(items)
	f.many = append(f.many, items...)
}

// split keeps a part of what is to be run.
func (f *frontier) split(p Part) {
	at := -1
	others := func(item) bool { at++; return !p.mine(at) }
	for i := range f.few {
		f.few[i] = slices.DeleteFunc(slices.Clone(f.few[i]), others)
	}
	f.many = slices.DeleteFunc(f.many, others)
}

func (f *frontier) ran(t todo, h racelab.History) { f.push(t.(item).successors(h, f.faults)...) }

// A hunt looks for a first finding where one is most likely: it preempts once,
// at the conflicts that were seen in the serial runs.
type hunt struct {
	items []item
}

func newHunt(serial []racelab.History) *hunt {
	h := &hunt{}
	for _, run := range serial {
		urgent, _ := item{}.deviations(run, 0)
		for _, it := range urgent {
			if it.preempted == 1 && len(h.items) < mostHunted {
				h.items = append(h.items, it)
			}
		}
	}
	return h
}

// mostHunted bounds what may be run in vain.
const mostHunted = 64

func (h *hunt) len() int { return len(h.items) }

func (h *hunt) pop(n int) []todo {
	n = min(n, few, len(h.items))
	var todos []todo
	for _, it := range h.items[:n] {
		todos = append(todos, it)
	}
	h.items = h.items[n:]
	return todos
}

func (h *hunt) ran(todo, racelab.History) {}

// back forgets: a hunt that broke off begins anew.
func (h *hunt) back([]todo) {}

// split keeps everything: what a hunt finds all parts have to know.
func (h *hunt) split(Part) {}

// A recall keeps runs, so that no schedule is run twice.
type recall struct {
	runs [][]decision
	of   []racelab.History
}

func newRecall(serial []racelab.History) *recall {
	r := &recall{}
	for _, h := range serial {
		r.add(h)
	}
	return r
}

func (r *recall) add(h racelab.History) {
	r.runs, r.of = append(r.runs, decisionsOf(h)), append(r.of, h)
}

// find returns the run that a todo's would be.
func (r *recall) find(t todo) (racelab.History, bool) {
	if len(r.runs) == 0 {
		return racelab.History{}, false
	}
	schedule, then := t.schedule(), t.onward()
	for i, decisions := range r.runs {
		if len(decisions) < len(schedule) {
			continue
		}
		same := true
		last := racelab.SessionID("")
		for i, d := range decisions {
			switch {
			case !same:
			case i < len(schedule):
				same = d.chosen == schedule[i]
			case then == nil:
				same = d.chosen == racelab.Onward(last, d.ready)
			}
			if !d.chosen.Tick {
				last = d.chosen.Session
			}
		}
		if same {
			return r.of[i], true
		}
	}
	return racelab.History{}, false
}
