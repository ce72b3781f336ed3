package check_test

import (
	"strings"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
)

// op is an operation of session A's call, with its arguments.
func op(step int, text string, args ...any) racelab.Op {
	return racelab.Op{Session: "A", Call: "A.1", Step: step, Kind: racelab.Query, Text: text, Args: args}
}

// did is an operation that was let in and gave one column's values.
func did(o racelab.Op, column string, values ...racelab.Value) []racelab.Event {
	t := racelab.Table{Columns: []string{column}}
	for _, v := range values {
		t.Rows = append(t.Rows, []racelab.Value{v})
	}
	return []racelab.Event{
		{Kind: racelab.Entered, Op: o},
		{Kind: racelab.Left, Op: o, Result: racelab.Result{Class: racelab.OK, Rows: &t}},
	}
}

func waits(o racelab.Op, on ...racelab.SessionID) []racelab.Event {
	return []racelab.Event{{Kind: racelab.Entered, Op: o}, {Kind: racelab.Waiting, Op: o, On: on}}
}

func run(parts ...[]racelab.Event) (h racelab.History) {
	for _, p := range parts {
		h.Events = append(h.Events, p...)
	}
	return h
}

func TestTwoRunsOfAScheduleAreCompared(t *testing.T) {
	const (
		newUser  = "INSERT INTO users (name) VALUES ('x') RETURNING id"
		newOrder = "INSERT INTO orders (n, user) VALUES (?, ?)"
		all      = "SELECT n FROM orders"
	)
	returned := func(v racelab.Value) []racelab.Event { return history(nil, v).Events }
	for name, test := range map[string]struct {
		a, b  racelab.History
		cause check.Cause // "" if there is no difference
		says  string
	}{
		"the same": {run(did(op(1, all), "n", int64(1))), run(did(op(1, all), "n", int64(1))), "", ""},
		"a made-up key, and what is done with it": {
			run(did(op(1, newUser), "id", int64(1)), did(op(2, newOrder, int64(5), int64(1)), "n"), returned(user(1))),
			run(did(op(1, newUser), "id", int64(8)), did(op(2, newOrder, int64(5), int64(8)), "n"), returned(user(8))), "", ""},
		"the key of another user": {
			run(did(op(1, newUser), "id", int64(1)), did(op(2, newUser), "id", int64(2)), did(op(3, newOrder, int64(5), int64(1)), "n")),
			run(did(op(1, newUser), "id", int64(8)), did(op(2, newUser), "id", int64(9)), did(op(3, newOrder, int64(5), int64(9)), "n")), check.ByChance, "A3"},
		"a key that was read in another way": {
			run(did(op(1, "SELECT max(id) FROM users"), "max(id)", int64(1)), did(op(2, newOrder, int64(5), int64(1)), "n")),
			run(did(op(1, "SELECT max(id) FROM users"), "max(id)", int64(8)), did(op(2, newOrder, int64(5), int64(8)), "n")), "", ""},
		"a key is only compared with it": {
			run(did(op(1, "SELECT name FROM users WHERE users.id = ?", int64(1)), "name")),
			run(did(op(1, "SELECT name FROM users WHERE users.id = ?", int64(8)), "name")), "", ""},
		"another number in the same statement": {
			run(did(op(1, newUser), "id", int64(1)), did(op(2, newOrder, int64(5), int64(1)), "n")),
			run(did(op(1, newUser), "id", int64(8)), did(op(2, newOrder, int64(6), int64(8)), "n")), check.ByChance, "was given 5 as its argument 1, and then 6"},
		"a number of a column that has no keys": {
			run(did(op(1, all), "n", int64(1))), run(did(op(1, all), "n", int64(2))), check.ByEngine, "A1 (SELECT n FROM orders) gave 1 in row 1, and then 2"},
		"rows in another order": {
			run(did(op(1, all), "n", int64(1), int64(1), int64(2))), run(did(op(1, all), "n", int64(1), int64(2), int64(1))), "", ""},
		"rows in another order, and one is another": {
			run(did(op(1, all), "n", int64(1), int64(1), int64(2))), run(did(op(1, all), "n", int64(2), int64(2), int64(1))), check.ByEngine, "A1"},
		"rows that were ordered": {
			run(did(op(1, all+" ORDER BY n"), "n", int64(1), int64(2))), run(did(op(1, all+" ORDER BY n"), "n", int64(2), int64(1))), check.ByEngine, "A1"},
		"a time in the answer": {
			run(did(op(1, all), "n", racelab.Time("2026-01-01T00:00:00Z"))), run(did(op(1, all), "n", racelab.Time("2026-01-01T00:00:01Z"))), "", ""},
		"a time as a text in the answer": {
			run(did(op(1, all), "n", "2026-01-01 00:00:00")), run(did(op(1, all), "n", "2026-01-01 00:00:01")), check.ByTime, "A1"},
		"a time as an argument": {
			run(did(op(1, newOrder, racelab.Time("2026-01-01T00:00:00Z")), "n")), run(did(op(1, newOrder, racelab.Time("2026-01-02T00:00:00Z")), "n")), "", ""},
		"one waited": {
			run(did(op(1, all), "n")), run(waits(op(1, all), "B")), check.ByEngine, "A1 is done, and then it waits for [B]"},
		"it waited for another": {
			run(waits(op(1, all), "B")), run(waits(op(1, all), "C")), check.ByEngine, "A1 waited for [B]"},
		"another statement": {
			run(did(op(1, all), "n")), run(did(op(1, newOrder), "n")), check.ByGoroutine, "A1 was SELECT n FROM orders, and then INSERT INTO orders"},
		"the run broke off": {
			run(did(op(1, all), "n"), did(op(2, all), "n")), run(did(op(1, all), "n")), check.ByGoroutine, "A2 (SELECT n FROM orders) was there, and then not"},
		"the call ended instead": {
			run(did(op(1, all), "n"), did(op(2, all), "n")), run(did(op(1, all), "n"), returned(nil)), check.ByGoroutine, "A2 (SELECT n FROM orders) came, and then not"},
		"it returned another number": {
			run(returned(int64(1))), run(returned(int64(2))), check.ByChance, "A.1 returned 1, and then 2"},
		"it left another row": {
			history(shopState(rows{{int64(1), "x"}}, nil, nil)), history(shopState(rows{{int64(1), "y"}}, nil, nil)), check.ByEngine, "the final state has 'x' in table users, and then 'y'"},
		"it left the same under another key": {
			history(shopState(rows{{int64(1), "x"}}, nil, nil)), history(shopState(rows{{int64(8), "x"}}, nil, nil)), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, different := check.DifferenceOf(test.a, test.b, shop)
			if different != (test.cause != "") || d.Cause != test.cause {
				t.Fatalf("different: %t, %s: %s", different, d.Cause, d)
			}
			if different && !strings.Contains(d.String(), test.says) {
				t.Errorf("it says %q, and not %q", d, test.says)
			}
		})
	}
}
