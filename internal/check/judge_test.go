package check_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
)

// queue judges runs of n calls, which each return their place in the order;
// ran are the orders of the serial runs.
func queue(n int, ran *[][]racelab.CallID) *check.Judge {
	j := &check.Judge{Scenario: &racelab.Scenario{}}
	for i := range n {
		j.Calls = append(j.Calls, []racelab.CallID{racelab.Letter(i).Call(1)})
	}
	j.Serial = func(_ context.Context, order []racelab.CallID, _ racelab.Schedule) (h racelab.History, err error) {
		*ran = append(*ran, order)
		for i := range n {
			call := racelab.Letter(i).Call(1)
			if at := slices.Index(order, call); at >= 0 {
				op := racelab.Op{Session: racelab.Letter(i), Call: call}
				h.Events = append(h.Events, racelab.Event{Kind: racelab.Returned, Op: op, Result: racelab.Result{Class: racelab.OK, Value: int64(at)}})
			}
		}
		return h, nil
	}
	return j
}

func TestNoMoreSerialRunsAreMadeThanItTakesToJudge(t *testing.T) {
	var ran [][]racelab.CallID
	j := queue(3, &ran)
	judge := func(places ...racelab.Value) check.Judgement {
		t.Helper()
		v, err := j.Judge(t.Context(), history(nil, places...))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := judge(int64(0), int64(2), int64(1)); !v.Serial || v.Violated || len(ran) != 2 {
		t.Errorf("the second order explains it, and %d were run: %+v", len(ran), v)
	}
	if v := judge(int64(0), int64(1), int64(2)); !v.Serial || len(ran) != 2 {
		t.Errorf("what was run explains it, and %d were: %+v", len(ran), v)
	}
	if v := judge(int64(0), int64(0), int64(0)); v.Serial || !v.Violated || len(ran) != 6 {
		t.Errorf("no order explains it, and %d were run: %+v", len(ran), v)
	}
	want := [][]racelab.CallID{
		{"A.1", "B.1", "C.1"}, {"A.1", "C.1", "B.1"}, {"B.1", "A.1", "C.1"}, {"B.1", "C.1", "A.1"}, {"C.1", "A.1", "B.1"}, {"C.1", "B.1", "A.1"},
	}
	if diff := cmp.Diff(want, ran); diff != "" {
		t.Errorf("the orders (-want +got):\n%s", diff)
	}
}

// What no serial order explains is a violation only if all of them were run;
// what does not keep an invariant always is one.
func TestARunIsUndecidedWhileSerialOrdersAreLeft(t *testing.T) {
	var ran [][]racelab.CallID
	j := queue(8, &ran) // 40,320 orders
	j.Stop = func() bool { return len(ran) == 10 }
	never := history(nil, slices.Repeat([]racelab.Value{int64(0)}, 8)...)
	if v, err := j.Judge(t.Context(), never); !errors.Is(err, check.ErrStopped) || v.Violated || len(ran) != 10 {
		t.Errorf("after %d serial runs it is %+v, %v", len(ran), v, err)
	}
	j.Scenario = &racelab.Scenario{Invariants: []racelab.Invariant{{Name: "never", Measure: func(racelab.State) (int64, int64, error) { return 0, 1, nil }}}}
	if v, err := j.Judge(t.Context(), never); err != nil || !v.Violated || !v.Broken || len(ran) != 10 {
		t.Errorf("after %d serial runs it is %+v, %v", len(ran), v, err)
	}
}

// What sessions make in memory as they go stands in the order in which they
// did, so the same values may be another state.
func TestWhatIsCalledOtherwiseIsJudgedByItself(t *testing.T) {
	var ran [][]racelab.CallID
	j := queue(1, &ran)
	j.InvariantsOnly = true
	j.Scenario.Invariants = []racelab.Invariant{{Name: "a is 1", Measure: func(s racelab.State) (int64, int64, error) {
		t := s[0]
		return 1, t.Rows[0][t.Column("a")].(int64), nil
	}}}
	for _, test := range []struct {
		columns  []string
		violated bool
	}{{[]string{"a", "b"}, false}, {[]string{"b", "a"}, true}} {
		op := racelab.Op{Session: "A", Call: "A.1"}
		h := racelab.History{
			Events: []racelab.Event{{Kind: racelab.Called, Op: op}, {Kind: racelab.Returned, Op: op, Result: racelab.Result{Class: racelab.OK}}},
			Final:  racelab.State{{Name: "memory", Columns: test.columns, Rows: [][]racelab.Value{{int64(1), int64(2)}}}},
		}
		if v, err := j.Judge(t.Context(), h); err != nil || v.Violated != test.violated {
			t.Errorf("with %v it is %+v, %v", test.columns, v, err)
		}
	}
}

// A judge remembers what it has judged. What differs in anything that a
// judgement depends on is judged by itself.
func TestWhatDiffersIsJudgedByItself(t *testing.T) {
	op := racelab.Op{Session: "A", Call: "A.1"}
	called := racelab.Event{Kind: racelab.Called, Op: op}
	returned := func(r racelab.Result, what string) []racelab.Event {
		return []racelab.Event{called, {Kind: racelab.Returned, Op: op, Result: r, What: what}}
	}
	waits := func(object string) []racelab.Event {
		lock := op
		lock.Kind, lock.Touches = racelab.Acquire, []racelab.Touch{{Object: object, Mode: racelab.Writes}}
		return []racelab.Event{called, {Kind: racelab.Waiting, Op: lock, What: object}}
	}
	holds := func(name string, v racelab.Value) racelab.State {
		return racelab.State{{Name: name, Columns: []string{"a"}, Rows: [][]racelab.Value{{v}}}}
	}
	ok := racelab.Result{Class: racelab.OK}
	serial := racelab.History{Events: returned(ok, ""), Final: holds("memory", int64(1))}
	j := &check.Judge{
		Scenario: &racelab.Scenario{}, Calls: [][]racelab.CallID{{"A.1"}},
		Serial: func(_ context.Context, order []racelab.CallID, _ racelab.Schedule) (racelab.History, error) {
			return serial, nil
		},
	}
	for _, test := range []struct {
		history racelab.History
		why     string // "" is that it holds
	}{
		{serial, ""},
		{racelab.History{Events: returned(racelab.Result{Class: racelab.NotFound}, ""), Final: serial.Final}, "no serial order gives A.1 not-found"},
		{racelab.History{Events: returned(racelab.Result{Class: racelab.OK, Value: int64(1)}, ""), Final: serial.Final}, "no serial order gives A.1 ok (1)"},
		{racelab.History{Events: serial.Events, Final: holds("other", int64(1))}, "other {a=1}"},
		{racelab.History{Events: serial.Events, Final: holds("memory", "1")}, "memory {a='1'}"},
		{racelab.History{Events: returned(racelab.Result{Class: racelab.Panicked}, "panic: one"), Final: serial.Final}, "A panics: one"},
		{racelab.History{Events: returned(racelab.Result{Class: racelab.Panicked}, "panic: two"), Final: serial.Final}, "A panics: two"},
		{racelab.History{Events: waits("m"), Final: serial.Final}, "for m, and nobody"},
		{racelab.History{Events: waits("n"), Final: serial.Final}, "for n, and nobody"},
	} {
		v, err := j.Judge(t.Context(), test.history)
		if err != nil || v.Violated != (test.why != "") || !strings.Contains(v.Why, test.why) {
			t.Errorf("%s: violated %v, because %s; %v", test.why, v.Violated, v.Why, err)
		}
	}
}

// Where a call's connection was lost or it was aborted, it may have happened or
// not: both are tried.
func TestAnAbortedCallMayHaveHappened(t *testing.T) {
	for _, class := range []racelab.Class{racelab.Deadlock, racelab.ConnectionLost} {
		for _, lost := range []bool{false, true} { // A's work
			var ran [][]racelab.CallID
			j := queue(2, &ran)
			place := int64(1)
			if lost {
				place = 0
			}
			h := history(nil, nil, place)
			h.Events[0].Result = racelab.Result{Class: class}
			if v, err := j.Judge(t.Context(), h); err != nil || v.Violated || !v.Serial {
				t.Errorf("%s, lost %v: %+v, %v", class, lost, v, err)
			}
		}
	}
}

// What is held against invariants alone, as a search does that makes a finding
// smaller, is not what was held against serial orders before.
func TestInvariantsAloneAreAJudgementOfTheirOwn(t *testing.T) {
	var ran [][]racelab.CallID
	j := queue(2, &ran)
	h := history(nil, int64(0), int64(0))
	for _, e := range slices.Clone(h.Events) {
		h.Events = slices.Insert(h.Events, 0, racelab.Event{Kind: racelab.Called, Op: e.Op})
	}
	if v, err := j.Judge(t.Context(), h); err != nil || !v.Violated {
		t.Errorf("no order explains it, and it is %+v, %v", v, err)
	}
	alone := *j
	alone.InvariantsOnly = true
	if v, err := alone.Judge(t.Context(), h); err != nil || v.Violated {
		t.Errorf("there is no invariant, and it is %+v, %v", v, err)
	}
}

// Calls that were all refused did nothing, and nothing is what explains them.
func TestRefusedCallsAreHeldAgainstNoCallAtAll(t *testing.T) {
	var ran [][]racelab.CallID
	j := queue(2, &ran)
	h := history(nil, nil, nil)
	for i := range h.Events {
		h.Events[i].Result.Class = racelab.Refused
	}
	if v, err := j.Judge(t.Context(), h); err != nil || !v.Serial {
		t.Errorf("it is %+v, %v", v, err)
	}
	if len(ran) != 1 || ran[0] == nil || len(ran[0]) != 0 {
		t.Errorf("serial runs of %v, which must be no call, and not nil: that is all", ran)
	}
}
