package check_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
)

// shop has made-up keys in two tables, and a third that refers to both.
var shop = &racelab.Scenario{
	State:      []string{"users", "orders", "log"},
	Generated:  []string{"users.id", "orders.id"},
	References: map[string]string{"orders.user": "users.id", "log.user": "users.id", "log.order": "orders.id"},
}

// shopState is a state of the shop: the columns of a table's row stand in one text.
func shopState(users, orders, log [][]racelab.Value) racelab.State {
	return racelab.State{
		{Name: "users", Columns: []string{"id", "name"}, Rows: users},
		{Name: "orders", Columns: []string{"id", "user", "n"}, Rows: orders},
		{Name: "log", Columns: []string{"user", "order"}, Rows: log},
	}
}

func user(id int64) racelab.Value { return racelab.Key{Of: "users.id", Value: id} }

// history is one in which the calls A.1, B.1, ... returned these, and that left
// a state.
func history(final racelab.State, returned ...racelab.Value) racelab.History {
	h := racelab.History{Final: final}
	for i, v := range returned {
		s := racelab.Letter(i)
		h.Events = append(h.Events, racelab.Event{
			Kind: racelab.Returned, Op: racelab.Op{Session: s, Call: s.Call(1)}, Result: racelab.Result{Class: racelab.OK, Value: v},
		})
	}
	return h
}

func outcome(h racelab.History, initial racelab.State) string {
	o := check.OutcomeOf(h, shop, initial)
	return o.Results(nil) + " with " + o.State
}

type rows = [][]racelab.Value

func TestOutcomesAreTheSameUpToMadeUpKeys(t *testing.T) {
	seed := shopState(rows{{int64(1), "ann"}, {int64(2), "ann"}}, nil, nil)
	twoUsers := func(first, second int64) racelab.State {
		return shopState(rows{{first, "x"}, {second, "y"}}, nil, nil)
	}
	for name, test := range map[string]struct {
		a, b    racelab.History
		initial racelab.State
		same    bool
	}{
		"each got its own, in the other order": {
			history(twoUsers(1, 2), user(1), user(2)), history(twoUsers(2, 1), user(2), user(1)), nil, true},
		"later keys of the same counter": {
			history(twoUsers(1, 2), user(1), user(2)), history(twoUsers(17, 19), user(17), user(19)), nil, true},
		"each got the other's": {
			history(twoUsers(1, 2), user(1), user(2)), history(twoUsers(1, 2), user(2), user(1)), nil, false},
		"both got the same": {
			history(twoUsers(1, 2), user(1), user(2)), history(twoUsers(1, 2), user(1), user(1)), nil, false},
		"one got a key that is not there": {
			history(twoUsers(1, 2), user(1), user(2)), history(twoUsers(1, 2), user(1), user(3)), nil, false},
		"one got none": {
			history(twoUsers(1, 2), user(1), user(2)), history(twoUsers(1, 2), user(1), nil), nil, false},
		"a number that is no key is compared as it is": {
			history(twoUsers(1, 2), int64(1)), history(twoUsers(2, 1), int64(2)), nil, false},
		"a key of a column that makes up none is compared as it is": {
			history(twoUsers(1, 2), racelab.Key{Of: "users.name", Value: int64(1)}), history(twoUsers(2, 1), racelab.Key{Of: "users.name", Value: int64(2)}), nil, false},
		"a reference to the same user": {
			history(shopState(rows{{int64(1), "x"}, {int64(2), "y"}}, rows{{int64(1), int64(1), int64(5)}}, nil)),
			history(shopState(rows{{int64(2), "x"}, {int64(1), "y"}}, rows{{int64(8), int64(2), int64(5)}}, nil)), nil, true},
		"a reference to the other user": {
			history(shopState(rows{{int64(1), "x"}, {int64(2), "y"}}, rows{{int64(1), int64(1), int64(5)}}, nil)),
			history(shopState(rows{{int64(1), "x"}, {int64(2), "y"}}, rows{{int64(1), int64(2), int64(5)}}, nil)), nil, false},
		"a reference to nobody": {
			history(shopState(rows{{int64(1), "x"}}, rows{{int64(1), int64(1), int64(5)}}, nil)),
			history(shopState(rows{{int64(1), "x"}}, rows{{int64(1), int64(3), int64(5)}}, nil)), nil, false},
		"a reference to nobody, and none": {
			history(shopState(nil, rows{{int64(1), int64(1), int64(5)}}, nil)),
			history(shopState(nil, rows{{int64(1), nil, int64(5)}}, nil)), nil, false},
		"equal users, of whom one has both orders or each one": {
			history(shopState(rows{{int64(1), "x"}, {int64(2), "x"}}, rows{{int64(1), int64(1), int64(5)}, {int64(2), int64(1), int64(5)}}, nil)),
			history(shopState(rows{{int64(1), "x"}, {int64(2), "x"}}, rows{{int64(1), int64(1), int64(5)}, {int64(2), int64(2), int64(5)}}, nil)), nil, false},
		"keys of two tables are renamed apart": {
			history(shopState(rows{{int64(1), "x"}, {int64(2), "y"}}, rows{{int64(1), int64(1), int64(5)}, {int64(2), int64(2), int64(6)}}, rows{{int64(1), int64(1)}})),
			history(shopState(rows{{int64(2), "x"}, {int64(1), "y"}}, rows{{int64(1), int64(2), int64(5)}, {int64(2), int64(1), int64(6)}}, rows{{int64(2), int64(1)}})), nil, true},
		"rows that nobody tells apart": {
			history(shopState(rows{{int64(1), "x"}, {int64(2), "x"}}, nil, nil)), history(shopState(rows{{int64(7), "x"}, {int64(9), "x"}}, nil, nil)), nil, true},
		"one row more": {
			history(shopState(rows{{int64(1), "x"}}, nil, nil)), history(shopState(rows{{int64(7), "x"}, {int64(9), "x"}}, nil, nil)), nil, false},
		"which of the set-up's rows was changed": {
			history(shopState(rows{{int64(1), "ann"}, {int64(2), "bob"}}, nil, nil)), history(shopState(rows{{int64(1), "bob"}, {int64(2), "ann"}}, nil, nil)), seed, false},
		"whose order it is, of the set-up's users": {
			history(shopState(seed[0].Rows, rows{{int64(1), int64(1), int64(5)}}, nil)), history(shopState(seed[0].Rows, rows{{int64(1), int64(2), int64(5)}}, nil)), seed, false},
		"which of the set-up's users was found": {
			history(seed, user(1)), history(seed, user(2)), seed, false},
		"a time that was returned": {
			history(nil, racelab.Time("2026-01-01T00:00:00Z")), history(nil, racelab.Time("2026-01-02T00:00:00Z")), nil, true},
		"a text that looks like a key's label": {
			history(nil, "#1"), history(nil, user(1)), nil, false},
		"a text and a number":       {history(nil, "1"), history(nil, int64(1)), nil, false},
		"a line's end and its name": {history(nil, "\n"), history(nil, `\n`), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := outcome(test.a, test.initial), outcome(test.b, test.initial)
			if (a == b) != test.same {
				t.Errorf("same: want %t\n%s\n%s", test.same, a, b)
			}
		})
	}
}

func TestAnOutcomeIsReadable(t *testing.T) {
	h := history(shopState(rows{{int64(7), "x"}, {int64(8), "y"}}, rows{{int64(3), int64(8), int64(5)}, {int64(4), int64(8), int64(5)}}, nil), user(8), int64(2))
	want := "A.1 ok (#1), B.1 ok (2) with users {id=#1 name='y', name='x'}; orders {2 x (user=#1 n=5)}; log {}"
	if got := outcome(h, nil); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Any two outcomes have the same text if, and only if, there is a renaming that
// makes one of the other: tried out for all there are.
func TestTheTextIsThatOfAllRenamings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.Int64Range(1, 4)
		graph := func(name string) racelab.History {
			log := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) []racelab.Value {
				return []racelab.Value{key.Draw(t, "user"), key.Draw(t, "order")}
			}), 0, 5).Draw(t, name)
			orders := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) []racelab.Value {
				return []racelab.Value{key.Draw(t, "order"), key.Draw(t, "user"), int64(1)}
			}), 0, 3).Draw(t, name+"'s orders")
			return history(shopState(nil, orders, log), user(key.Draw(t, name+"'s key")))
		}
		a, b := graph("a"), graph("b")
		if rapid.Bool().Draw(t, "renamed") {
			p := rapid.Permutation([]int64{1, 2, 3, 4}).Draw(t, "users")
			q := rapid.Permutation([]int64{1, 2, 3, 4}).Draw(t, "orders")
			b = renamed(a, p, q)
		}
		want := false
		for _, p := range permutations([]int64{1, 2, 3, 4}) {
			for _, q := range permutations([]int64{1, 2, 3, 4}) {
				want = want || plain(renamed(a, p, q)) == plain(b)
			}
		}
		if got := outcome(a, nil) == outcome(b, nil); got != want {
			t.Errorf("same: %t, want %t\n%s\n%s", got, want, outcome(a, nil), outcome(b, nil))
		}
	})
}

// ring is a ring of users, each with an order of their own and their neighbour's.
func ring(first int64, size int) (log rows) {
	for i := range size {
		log = append(log, []racelab.Value{first + int64(i), first + int64(i)}, []racelab.Value{first + int64(i), first + int64((i+1)%size)})
	}
	return log
}

// In rings every key looks like every other one from nearby.
func TestKeysThatAreAlikeNearbyAreToldApart(t *testing.T) {
	of := func(rings ...rows) string {
		return outcome(history(shopState(nil, nil, slices.Concat(rings...))), nil)
	}
	if one, two := of(ring(1, 6)), of(ring(1, 3), ring(7, 3)); one == two {
		t.Errorf("a ring of 6 is as two of 3: %s", one)
	}
	if a, b := of(ring(1, 6), ring(11, 3), ring(21, 3)), of(ring(1, 3), ring(11, 6), ring(21, 3)); a != b {
		t.Errorf("the order of the rings counts:\n%s\n%s", a, b)
	}
}

// Where many keys are alike, there must not be as many attempts as there are
// orders of them.
func TestManyKeysThatAreAlikeTakeNoTime(t *testing.T) {
	pairs := func(keys ...int64) string {
		var log rows
		for _, k := range keys {
			log = append(log, []racelab.Value{k, k}, []racelab.Value{k, k})
		}
		return outcome(history(shopState(nil, nil, log)), nil)
	}
	if a, b := pairs(1, 2, 3, 4, 5, 6, 7, 8, 9, 10), pairs(10, 28, 27, 26, 25, 24, 23, 22, 21, 20); a != b {
		t.Errorf("not the same:\n%s\n%s", a, b)
	}
}

// renamed gives user i the key p[i-1], and order i the key q[i-1].
func renamed(h racelab.History, p, q []int64) racelab.History {
	pick := func(of []int64, v racelab.Value) racelab.Value { return of[v.(int64)-1] }
	var orders, log rows
	for _, r := range h.Final[1].Rows {
		orders = append(orders, []racelab.Value{pick(q, r[0]), pick(p, r[1]), r[2]})
	}
	for _, r := range h.Final[2].Rows {
		log = append(log, []racelab.Value{pick(p, r[0]), pick(q, r[1])})
	}
	return history(shopState(nil, orders, log), user(pick(p, h.Events[0].Result.Value.(racelab.Key).Value).(int64)))
}

// plain is a history with its rows in order.
func plain(h racelab.History) string {
	var lines []string
	for _, t := range h.Final {
		for _, r := range t.Rows {
			lines = append(lines, fmt.Sprint(t.Name, r))
		}
	}
	slices.Sort(lines)
	return fmt.Sprint(h.Events[0].Result.Value, strings.Join(lines, "; "))
}

func permutations(of []int64) (all [][]int64) {
	if len(of) == 0 {
		return [][]int64{nil}
	}
	for i, first := range of {
		rest := slices.Delete(slices.Clone(of), i, i+1)
		for _, p := range permutations(rest) {
			all = append(all, append([]int64{first}, p...))
		}
	}
	return all
}
