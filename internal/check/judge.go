package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/racelab/racelab"
)

// A Judge decides whether a run could have happened with its calls one after
// another (S. Burckhardt et al., Line-Up, 2010: serial outcomes are the
// specification), and whether it keeps the scenario's invariants.
type Judge struct {
	Scenario *racelab.Scenario
	// Calls are all calls, by session, each session's in order.
	Calls [][]racelab.CallID
	// Serial runs the calls one after another in that order, and no others, from
	// a start that another such run has had.
	Serial func(ctx context.Context, order []racelab.CallID, start racelab.Schedule) (racelab.History, error)
	// InvariantsOnly leaves the serial outcomes out.
	InvariantsOnly bool

	// Stop is asked before each serial run, and says that it is not made; nil
	// never does.
	Stop func() bool

	serials map[string]*serials // by their calls
	runs    int

	judged map[string]Judgement // by all that a judgement depends on
	text   []byte               // of that, to be used again
	races  raceReader

	begun   bool
	initial racelab.State // what the set-up made, if the scenario has generated keys
}

// ErrStopped says that a serial run was not made. A run that is explained by
// none of the others may be a violation or not.
var ErrStopped = errors.New("not all serial orders were run")

// A Judgement is what one run comes to.
type Judgement struct {
	Violated bool            // by what it came to
	Broken   bool            // an invariant does not hold
	Serial   bool            // a serial order that was run explains it
	Aborted  int             // calls that were aborted
	Failed   []racelab.Class // how calls ended that were not OK
	Deadlock bool            // one of them as a deadlock's victim, or the sessions ended in one
	Why      string          // it is violated
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
		return v.Races[0].anomaly(h.Events), true
	}
	return Anomaly{}, false
}

// Runs counts the serial runs so far.
func (j *Judge) Runs() int { return j.runs }

// Next makes the next serial run of all calls; none is left if it is not ok.
func (j *Judge) Next(ctx context.Context) (h racelab.History, ok bool, err error) {
	return j.next(ctx, j.of(slices.Concat(j.Calls...)))
}

// Only returns a judge of runs in which only these calls run.
func (j *Judge) Only(calls []racelab.CallID) *Judge {
	only := &Judge{Scenario: j.Scenario, Serial: j.Serial, InvariantsOnly: j.InvariantsOnly, Stop: j.Stop}
	for _, own := range j.Calls {
		only.Calls = append(only.Calls, slices.DeleteFunc(slices.Clone(own), func(c racelab.CallID) bool { return !slices.Contains(calls, c) }))
	}
	return only
}

// Judge judges a run. It may have to make serial runs for that, but not for
// what does not keep an invariant.
func (j *Judge) Judge(ctx context.Context, h racelab.History) (Judgement, error) {
	if err := j.begin(ctx); err != nil {
		return Judgement{}, err
	}
	v, err := j.recall(ctx, h)
	v.Races = j.races.read(h.Events)
	return v, err
}

// recall judges what a run came to. Most runs come to the same few outcomes.
func (j *Judge) recall(ctx context.Context, h racelab.History) (Judgement, error) {
	var whole bool
	j.text, whole = appendOutcome(strconv.AppendBool(j.text[:0], j.InvariantsOnly), h)
	if v, ok := j.judged[string(j.text)]; ok && whole {
		return v, nil
	}
	v, err := j.judge(ctx, h)
	if err == nil && whole && len(j.judged) < mostJudged {
		if j.judged == nil {
			j.judged = map[string]Judgement{}
		}
		j.judged[string(j.text)] = v
	}
	return v, err
}

// mostJudged bounds how many judgements are kept: where keys are generated, few
// outcomes are the same to the letter.
const mostJudged = 1000

func (j *Judge) judge(ctx context.Context, h racelab.History) (Judgement, error) {
	read := readingOf(h, j.Scenario, j.initial)
	v := Judgement{Outcome: read.outcome()}
	for _, id := range v.Outcome.all() {
		r := v.Outcome.Calls[id]
		if r.Class != racelab.OK {
			v.Failed = append(v.Failed, r.Class)
		}
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
	measures, err := Invariants(j.Scenario, h.Final)
	if err != nil {
		return v, err
	}
	for _, m := range measures {
		if !m.Holds() {
			v.Violated, v.Broken = true, true
			v.Why = m.Why()
		}
	}
	if j.InvariantsOnly {
		return v, nil
	}
	if v.Serial = j.known(read); v.Serial || v.Violated {
		return v, nil
	}
	if v.Serial, err = j.explained(ctx, read); err == nil && !v.Serial {
		v.Violated = true
		v.Why = fmt.Sprintf("no serial order gives %s with %s", v.Outcome.Results(nil), v.Outcome.State)
		if a, ok := panicIn(h.Events); ok {
			v.Why = a.Why + ", which no serial order gives"
		}
	}
	return v, err
}

// Explained reports whether a serial order explains a run, and makes the serial
// runs that it takes to know.
func (j *Judge) Explained(ctx context.Context, h racelab.History) (bool, error) {
	if err := j.begin(ctx); err != nil {
		return false, err
	}
	return j.explained(ctx, readingOf(h, j.Scenario, j.initial))
}

// begin learns which keys are the set-up's, by running no call at all.
func (j *Judge) begin(ctx context.Context) error {
	if j.begun || len(j.Scenario.Generated) == 0 {
		return nil
	}
	h, err := j.Serial(ctx, []racelab.CallID{}, nil)
	if err != nil {
		return fmt.Errorf("run nothing, to see what the set-up made: %w", err)
	}
	j.begun, j.initial = true, h.Final
	return nil
}

// known reports whether a serial order that was run explains a run.
func (j *Judge) known(read reading) bool {
	results, sets := mayExplain(read)
	text := read.seenBy(results)
	return slices.ContainsFunc(sets, func(in []racelab.CallID) bool { return j.of(in).seenBy(results)[text] })
}

// explained looks for a set of calls, and an order of it, that give what a run
// gave, and makes the serial runs that it takes to know.
func (j *Judge) explained(ctx context.Context, read reading) (bool, error) {
	if j.known(read) {
		return true, nil
	}
	results, sets := mayExplain(read)
	text := read.seenBy(results)
	for _, in := range sets {
		s := j.of(in)
		for seen := s.seenBy(results); !seen[text]; {
			_, ok, err := j.next(ctx, s)
			if err != nil {
				return false, err
			}
			if !ok {
				break
			}
		}
		if s.seenBy(results)[text] {
			return true, nil
		}
	}
	return false, nil
}

// mayExplain lists the sets of calls of which a serial order may explain a run,
// between those that were done and all, and those whose results have to be the
// same. Refused calls count as never run.
func mayExplain(read reading) (done []racelab.CallID, sets [][]racelab.CallID) {
	var open []racelab.CallID // may have happened or not
	for id, r := range read.calls {
		switch {
		case r.Class == racelab.Refused:
		case r.Class.Aborted(), r.Class == racelab.ConnectionLost:
			open = append(open, id)
		default:
			done = append(done, id)
		}
	}
	slices.Sort(done)
	slices.Sort(open)
	for subset := range 1 << len(open) { // the first adds none
		in := slices.Clone(done)
		for i, id := range open {
			if subset&(1<<i) != 0 {
				in = append(in, id)
			}
		}
		sets = append(sets, in)
	}
	return done, sets
}

// of are the serial runs of some calls.
func (j *Judge) of(in []racelab.CallID) *serials {
	set := setKey(in)
	if j.serials == nil {
		j.serials = map[string]*serials{}
	}
	if j.serials[set] == nil {
		j.serials[set] = newSerials(j.Calls, in)
	}
	return j.serials[set]
}

// next makes the next serial run of some calls.
func (j *Judge) next(ctx context.Context, s *serials) (h racelab.History, ok bool, err error) {
	switch {
	case s.turns == nil:
		return h, false, nil
	case j.Stop != nil && j.Stop():
		return h, false, ErrStopped
	}
	order := s.next()
	if err := j.begin(ctx); err != nil {
		return h, false, err
	}
	if h, err = j.one(ctx, s, order, nil); err != nil {
		return h, false, err
	}
	return h, true, j.cases(ctx, s, order, h, 0)
}

// one makes a serial run.
func (j *Judge) one(ctx context.Context, s *serials, order []racelab.CallID, start racelab.Schedule) (racelab.History, error) {
	h, err := j.Serial(ctx, order, start)
	if err != nil {
		return h, fmt.Errorf("run %v one after another: %w", order, err)
	}
	j.runs++
	s.add(readingOf(h, j.Scenario, j.initial))
	return h, nil
}

// cases makes the serial runs that differ from one in the cases that were taken
// after so many of its decisions: a select is free to take any that it can.
func (j *Judge) cases(ctx context.Context, s *serials, order []racelab.CallID, h racelab.History, after int) error {
	var start racelab.Schedule
	for i := range h.Events {
		c, ok := h.Events[i].Choice()
		if !ok {
			continue
		}
		for _, other := range h.Events[i].Ready {
			if len(start) < after || other.Case == 0 || other.Session != c.Session {
				continue
			}
			if j.Stop != nil && j.Stop() {
				return ErrStopped
			}
			varied, err := j.one(ctx, s, order, append(slices.Clone(start), other))
			if err == nil {
				err = j.cases(ctx, s, order, varied, len(start)+1)
			}
			if err != nil {
				return err
			}
		}
		start = append(start, c)
	}
	return nil
}
