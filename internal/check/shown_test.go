package check_test

import (
	"strings"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
)

func shown(step string, columns []string, rows ...[]racelab.Value) racelab.Table {
	return racelab.Table{Name: step, Columns: columns, Rows: rows}
}

func TestWhatACallHasShownIsPartOfTheOutcome(t *testing.T) {
	users := []string{"id", "name"}
	seed := shopState(rows{{int64(1), "ann"}}, nil, nil)
	left := func(key int64) racelab.State { return shopState(rows{{int64(1), "ann"}, {key, "bob"}}, nil, nil) }
	with := func(key int64, tables ...racelab.Table) racelab.History {
		return history(left(key), racelab.Shown(tables))
	}
	for name, test := range map[string]struct {
		a, b racelab.History
		same bool
	}{
		"the same rows":                {with(2, shown("r", users, []racelab.Value{user(1), "ann"})), with(2, shown("r", users, []racelab.Value{user(1), "ann"})), true},
		"another value":                {with(2, shown("r", users, []racelab.Value{user(1), "ann"})), with(2, shown("r", users, []racelab.Value{user(1), "bob"})), false},
		"a row more":                   {with(2, shown("r", users)), with(2, shown("r", users, []racelab.Value{user(1), "ann"})), false},
		"another step":                 {with(2, shown("r", users)), with(2, shown("s", users)), false},
		"a key by another name":        {with(2, shown("r", users, []racelab.Value{user(2), "bob"})), with(5, shown("r", users, []racelab.Value{user(5), "bob"})), true},
		"a key that is another row's":  {with(2, shown("r", users, []racelab.Value{user(2), "bob"})), with(5, shown("r", users, []racelab.Value{user(7), "bob"})), false},
		"a set-up's key":               {with(2, shown("r", users, []racelab.Value{user(1), "bob"})), with(5, shown("r", users, []racelab.Value{user(5), "bob"})), false},
		"a time":                       {with(2, shown("r", users, []racelab.Value{racelab.Time("2020-01-01T00:00:00Z"), "x"})), with(2, shown("r", users, []racelab.Value{racelab.Time("2021-01-01T00:00:00Z"), "x"})), true},
		"a statement that failed":      {with(2, racelab.Table{Name: "r deadlock"}), with(2), false},
		"one that shows nothing":       {with(2, shown("r", users)), with(2, racelab.Table{Name: "r"}), false},
		"text that looks like a label": {with(2, shown("r", users, []racelab.Value{"#1", "x"})), with(2, shown("r", users, []racelab.Value{user(2), "x"})), false},
	} {
		if x, y := outcome(test.a, seed), outcome(test.b, seed); (x == y) != test.same {
			t.Errorf("%s: %s\n  %s", name, x, y)
		}
	}
}

func TestReplaysOfWhatIsShownAreCompared(t *testing.T) {
	at := func(n int64, when string) racelab.History {
		return history(nil, racelab.Shown{shown("r", []string{"n", "at"}, []racelab.Value{n, racelab.Time(when)})})
	}
	if d, different := check.DifferenceOf(at(1, "2020-01-01T00:00:00Z"), at(1, "2021-01-01T00:00:00Z"), shop); different {
		t.Errorf("a time is a difference: %v", d)
	}
	if _, different := check.DifferenceOf(at(1, "x"), at(2, "x"), shop); !different {
		t.Error("another value is no difference")
	}
}

func TestAClaimInSQLIsTrueOrFalse(t *testing.T) {
	const query = "SELECT something"
	s := &racelab.Scenario{Invariants: []racelab.Invariant{{Name: "it holds", Query: query}}}
	table := func(rows ...[]racelab.Value) racelab.State {
		return racelab.State{{Name: "t"}, {Name: query, Columns: []string{"x"}, Rows: rows}}
	}
	for _, c := range []struct {
		state racelab.State
		holds bool
		wrong string
	}{
		{table([]racelab.Value{true}), true, ""},
		{table([]racelab.Value{false}), false, ""},
		{table([]racelab.Value{int64(1)}), true, ""},
		{table([]racelab.Value{int64(-3)}), true, ""},
		{table([]racelab.Value{int64(0)}), false, ""},
		{table([]racelab.Value{nil}), false, ""},
		{table([]racelab.Value{"t"}), false, "true or false"},
		{table([]racelab.Value{1.5}), false, "true or false"},
		{table(), false, "one row of one value"},
		{table([]racelab.Value{true}, []racelab.Value{true}), false, "one row of one value"},
		{table([]racelab.Value{true, true}), false, "one row of one value"},
		{nil, false, "one row of one value"},
	} {
		measures, err := check.Invariants(s, c.state)
		switch {
		case c.wrong != "":
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%v: %v, want %q", c.state, err, c.wrong)
			}
		case err != nil || measures[0].Holds() != c.holds:
			t.Errorf("%v: %v, %v", c.state, measures, err)
		case measures[0].Why() != "it holds is false":
			t.Errorf("it says %q", measures[0].Why())
		}
	}
	h := racelab.History{Final: table([]racelab.Value{true})}
	if got := check.OutcomeOf(h, s, nil).State; strings.Contains(got, query) {
		t.Errorf("the claim is part of the outcome: %s", got)
	}
}
