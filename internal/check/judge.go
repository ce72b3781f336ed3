package check

import (
	"context"
	"fmt"
	"slices"

	"github.com/racelab/racelab"
)

// A Judge decides whether a run could have happened with its calls one after
// another (S. Burckhardt et al., Line-Up, 2010: serial outcomes are the
// specification), and whether it keeps the scenario's invariants.
type Judge struct {
	Scenario *racelab.Scenario
	// Calls are all calls, by session, each session's in order.
	Calls [][]racelab.CallID
	// Serial runs the calls one after another in that order, and no others.
	Serial func(ctx context.Context, order []racelab.CallID) (racelab.History, error)
	// InvariantsOnly leaves the serial outcomes out.
	InvariantsOnly bool

	known map[string]bool // outcomes of the sets that have been run: see setKey
	done  map[string]bool // those sets
	runs  int

	begun   bool
	initial racelab.State // what the set-up made, if the scenario has generated keys
}

// A Judgement is what one run comes to.
type Judgement struct {
	Violated bool   // by what it came to
	Serial   bool   // some serial order explains it
	Aborted  int    // calls that were aborted
	Deadlock bool   // one of them as a deadlock's victim, or the sessions ended in one
	Why      string // it is violated
	Outcome  Outcome
	Races    []Race // a finding whatever it came to
}

// Severity orders judgements: 0 is no finding, and more than that what came to
// nothing wrong this time, but has a data race.
func (v Judgement) Severity() int {
	switch {
	case v.Violated:
		return 2
	case len(v.Races) > 0:
		return 1
	}
	return 0
}

// Reason says why the run is a finding; "" if it is none.
func (v Judgement) Reason() string {
	if v.Severity() == 1 {
		return v.Races[0].String()
	}
	return v.Why
}

// Explain names the anomaly of the run that was judged, if it is a finding and
// there is a name.
func (v Judgement) Explain(h racelab.History, level racelab.Level) (Anomaly, bool) {
	if v.Violated {
		if a, ok := Explain(h, level); ok {
			return a, true
		}
	}
	if len(v.Races) > 0 {
		return v.Races[0].anomaly(), true
	}
	return Anomaly{}, false
}

// Runs counts the serial runs so far.
func (j *Judge) Runs() int { return j.runs }

// Orders lists all orders of some calls that keep each session's own order, in
// lexical order of the sessions.
func (j *Judge) Orders(in map[racelab.CallID]bool) [][]racelab.CallID {
	var sessions [][]racelab.CallID
	for _, calls := range j.Calls {
		var some []racelab.CallID
		for _, c := range calls {
			if in[c] {
				some = append(some, c)
			}
		}
		sessions = append(sessions, some)
	}
	var orders [][]racelab.CallID
	var extend func(order []racelab.CallID)
	extend = func(order []racelab.CallID) {
		end := true
		for i, calls := range sessions {
			if len(calls) == 0 {
				continue
			}
			end = false
			sessions[i] = calls[1:]
			extend(append(slices.Clone(order), calls[0]))
			sessions[i] = calls
		}
		if end {
			orders = append(orders, order)
		}
	}
	extend(nil)
	return orders
}

// Only returns a judge of runs in which only these calls run.
func (j *Judge) Only(calls []racelab.CallID) *Judge {
	only := &Judge{Scenario: j.Scenario, Serial: j.Serial, InvariantsOnly: j.InvariantsOnly}
	for _, own := range j.Calls {
		only.Calls = append(only.Calls, slices.DeleteFunc(slices.Clone(own), func(c racelab.CallID) bool { return !slices.Contains(calls, c) }))
	}
	return only
}

// Judge judges a run. It may have to make serial runs for that.
func (j *Judge) Judge(ctx context.Context, h racelab.History) (Judgement, error) {
	if err := j.begin(ctx); err != nil {
		return Judgement{}, err
	}
	read := readingOf(h, j.Scenario, j.initial)
	v := Judgement{Outcome: read.outcome(), Races: RacesIn(h)}
	for _, r := range v.Outcome.Calls {
		if r.Class.Aborted() {
			v.Aborted++
		}
		v.Deadlock = v.Deadlock || r.Class == racelab.Deadlock
	}
	if a, ok := fatalIn(h.Events); ok {
		v.Violated, v.Why = true, a.Why
		return v, nil
	}
	if len(openIn(h.Events)) > 0 {
		v.Violated = true
		a, ok := stuckIn(h.Events)
		if v.Why = a.Why; !ok {
			v.Why = "a call never returned"
		}
		v.Deadlock = v.Deadlock || !ok || a.Name == Deadlock
		return v, nil
	}
	if !j.InvariantsOnly {
		var err error
		if v.Serial, err = j.explained(ctx, read); err != nil {
			return v, err
		}
		if !v.Serial {
			v.Violated = true
			v.Why = fmt.Sprintf("no serial order gives %s with %s", v.Outcome.Results(nil), v.Outcome.State)
			if a, ok := panicIn(h.Events); ok {
				v.Why = a.Why + ", which no serial order gives"
			}
		}
	}
	measures, err := Invariants(j.Scenario, h.Final)
	if err != nil {
		return v, err
	}
	for _, m := range measures {
		if !m.Holds() {
			v.Violated = true
			v.Why = fmt.Sprintf("%s: expected %d, and it is %d", m.Name, m.Expected, m.Actual)
		}
	}
	return v, nil
}

// begin learns which keys are the set-up's, by running no call at all.
func (j *Judge) begin(ctx context.Context) error {
	if j.begun || len(j.Scenario.Generated) == 0 {
		return nil
	}
	h, err := j.Serial(ctx, []racelab.CallID{})
	if err != nil {
		return fmt.Errorf("run nothing, to see what the set-up made: %w", err)
	}
	j.begun, j.initial = true, h.Final
	return nil
}

// explained looks for a set of calls, between those that were done and all,
// and an order of it, that give the outcome. Refused calls count as never run.
func (j *Judge) explained(ctx context.Context, read reading) (bool, error) {
	done := map[racelab.CallID]bool{}
	var open []racelab.CallID // may have happened or not
	for id, r := range read.calls {
		switch {
		case r.Class == racelab.Refused:
		case r.Class.Aborted(), r.Class == racelab.ConnectionLost:
			open = append(open, id)
		default:
			done[id] = true
		}
	}
	slices.Sort(open)
	var results []racelab.CallID // whose results have to be the same
	for id := range done {
		results = append(results, id)
	}
	for subset := range 1 << len(open) { // the first adds none
		in := map[racelab.CallID]bool{}
		for id := range done {
			in[id] = true
		}
		for i, id := range open {
			if subset&(1<<i) != 0 {
				in[id] = true
			}
		}
		if err := j.run(ctx, in, results); err != nil {
			return false, err
		}
		if j.known[setKey(in, results, read)] {
			return true, nil
		}
	}
	return false, nil
}

// run makes the serial runs of a set of calls, once.
func (j *Judge) run(ctx context.Context, in map[racelab.CallID]bool, results []racelab.CallID) error {
	set := setKey(in, results, reading{})
	if j.done[set] {
		return nil
	}
	if j.done == nil {
		j.done, j.known = map[string]bool{}, map[string]bool{}
	}
	for _, order := range j.Orders(in) {
		h, err := j.Serial(ctx, order)
		if err != nil {
			return fmt.Errorf("run %v one after another: %w", order, err)
		}
		j.runs++
		j.known[setKey(in, results, readingOf(h, j.Scenario, j.initial))] = true
	}
	j.done[set] = true
	return nil
}

// setKey is an outcome's text, seen by those whose results count, of a set.
func setKey(in map[racelab.CallID]bool, results []racelab.CallID, read reading) string {
	var set []string
	for id := range in {
		set = append(set, string(id))
	}
	slices.Sort(set)
	return fmt.Sprint(set, "|", read.seenBy(results))
}
