package check

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
)

const (
	read     = "SELECT balance FROM account WHERE id = ?"
	write    = "UPDATE account SET balance = ? WHERE id = ?"
	relative = "UPDATE account SET balance = balance + ? WHERE id = ?"
)

// entered is the first half of an operation, for those that overlap.
func entered(s racelab.SessionID, step int) racelab.Event {
	return racelab.Event{Kind: racelab.Entered, Op: racelab.Op{Session: s, Call: s.Call(1), Step: step}}
}

// whole puts before each operation that was left the event in which it was let
// in, unless the test has that somewhere else.
func whole(events []racelab.Event) (all []racelab.Event) {
	in := map[string]bool{}
	for _, e := range events {
		if e.Kind == racelab.Left && !in[e.Op.Name()] {
			all = append(all, entered(e.Op.Session, e.Op.Step))
		}
		in[e.Op.Name()] = true
		all = append(all, e)
	}
	return all
}

// left is an operation that succeeded, of the session's only call.
func left(s racelab.SessionID, step int, text string, args ...any) racelab.Event {
	return racelab.Event{
		Kind:   racelab.Left,
		Op:     racelab.Op{Session: s, Call: s.Call(1), Step: step, Text: text, Args: args},
		Result: racelab.Result{Class: racelab.OK, Affected: 1},
	}
}

func begun(s racelab.SessionID, step int) racelab.Event {
	e := left(s, step, "BEGIN")
	e.Op.Kind = racelab.Begin
	return e
}

func committed(s racelab.SessionID, step int) racelab.Event {
	e := left(s, step, "COMMIT")
	e.Op.Kind = racelab.Commit
	return e
}

func returned(s racelab.SessionID, c racelab.Class) racelab.Event {
	return racelab.Event{Kind: racelab.Returned, Op: racelab.Op{Session: s, Call: s.Call(1)}, Result: racelab.Result{Class: c}}
}

func TestFindLostUpdate(t *testing.T) {
	one := int64(1)
	for name, test := range map[string]struct {
		events []racelab.Event
		marks  map[int]string // nil: none is found
	}{
		"nothing": {nil, nil},
		"one after the other": {[]racelab.Event{
			left("A", 1, read, one), left("A", 2, write, int64(100), one), returned("A", racelab.OK),
			left("B", 1, read, one), left("B", 2, write, int64(200), one), returned("B", racelab.OK),
		}, nil},
		"both read before either writes": {[]racelab.Event{
			left("A", 1, read, one), left("B", 1, read, one),
			left("A", 2, write, int64(100), one), returned("A", racelab.OK),
			left("B", 2, write, int64(100), one), returned("B", racelab.OK),
		}, map[int]string{3: "stale at B2", 5: "lost to B2", 8: "overwrites A2"}},
		"of different rows": {[]racelab.Event{
			left("A", 1, read, one), left("B", 1, read, int64(2)),
			left("A", 2, write, int64(100), one), returned("A", racelab.OK),
			left("B", 2, write, int64(100), int64(2)), returned("B", racelab.OK),
		}, nil},
		"the database adds": {[]racelab.Event{
			left("A", 1, read, one), left("B", 1, read, one),
			left("A", 2, relative, int64(100), one), returned("A", racelab.OK),
			left("B", 2, relative, int64(100), one), returned("B", racelab.OK),
		}, nil},
		"an addition is lost to a write": {[]racelab.Event{
			left("A", 1, read, one),
			left("B", 1, relative, int64(100), one), returned("B", racelab.OK),
			left("A", 2, write, int64(100), one), returned("A", racelab.OK),
		}, map[int]string{1: "stale at A2", 3: "lost to A2", 6: "overwrites B1"}},
		"another column": {[]racelab.Event{
			left("A", 1, read, one),
			left("B", 1, "UPDATE account SET owner = ? WHERE id = ?", "b", one), returned("B", racelab.OK),
			left("A", 2, write, int64(100), one), returned("A", racelab.OK),
		}, nil},
		"the loser was aborted": {[]racelab.Event{
			left("A", 1, read, one), left("B", 1, read, one),
			left("A", 2, write, int64(100), one), returned("A", racelab.Deadlock),
			left("B", 2, write, int64(100), one), returned("B", racelab.OK),
		}, nil},
		"the read overlaps the write": {[]racelab.Event{
			entered("B", 1), left("A", 1, write, int64(100), one), left("B", 1, read, one), returned("A", racelab.OK),
			left("B", 2, write, int64(200), one), returned("B", racelab.OK),
		}, nil},
		"the write is committed after the read": {[]racelab.Event{
			begun("A", 1), left("A", 2, write, int64(100), one), left("B", 1, read, one), committed("A", 3), returned("A", racelab.OK),
			left("B", 2, write, int64(100), one), returned("B", racelab.OK),
		}, map[int]string{5: "stale at B2", 3: "lost to B2", 10: "overwrites A2"}},
		"it read again": {[]racelab.Event{
			left("B", 1, read, one), left("A", 1, write, int64(100), one), returned("A", racelab.OK),
			left("B", 2, read, one), left("B", 3, write, int64(200), one), returned("B", racelab.OK),
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			found, ok := FindLostUpdate(whole(test.events))
			if ok != (test.marks != nil) {
				t.Fatalf("found: %v (%+v)", ok, found)
			}
			if diff := cmp.Diff(test.marks, found.Marks); diff != "" {
				t.Errorf("marks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAccessOf(t *testing.T) {
	for text, want := range map[string]access{
		"":  {},
		";": {},
		"SELECT balance FROM account WHERE id = ?":      {verb: "SELECT", table: "account", key: "id=7"},
		"select * from Account where ID = 3 for update": {verb: "SELECT", table: "account", key: "id=3"},
		"SELECT 1":                                       {},
		"SELECT * FROM a WHERE b > 1":                    {verb: "SELECT", table: "a"},
		"SELECT * FROM a WHERE x = y":                    {verb: "SELECT", table: "a"},
		"DELETE FROM a WHERE id = 'x'":                   {verb: "DELETE", table: "a", key: "id=x"},
		"INSERT INTO ledger (a) VALUES (?)":              {verb: "INSERT", table: "ledger"},
		"UPDATE a SET b = b + ? WHERE id = 1":            {verb: "UPDATE", table: "a", key: "id=1", relative: true, sets: []assignment{{"b", "b + 7", false, true}}},
		"UPDATE a SET b = ?, c = 'd' WHERE id = 1":       {verb: "UPDATE", table: "a", key: "id=1", sets: []assignment{{"b", "7", true, false}, {"c", "d", true, false}}},
		"SELECT * FROM a WHERE id = 1 + 1":               {verb: "SELECT", table: "a"},
		"SELECT * FROM a /* ? */ WHERE id = ? AND b = 2": {verb: "SELECT", table: "a", key: "id=7"},
		"UPDATE ONLY a SET b = 1":                        {},
		"UPDATE \"a\" SET b = 'un":                       {verb: "UPDATE", table: "a", sets: []assignment{{"b", "un", true, false}}},
	} {
		if diff := cmp.Diff(want, accessOf(racelab.Op{Text: text, Args: []any{int64(7)}}), cmp.AllowUnexported(access{}, assignment{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func FuzzAccessOf(f *testing.F) {
	f.Add("UPDATE a SET b = (b + ?), c = '")
	f.Add("SELECT `x FROM ? WHERE")
	f.Fuzz(func(t *testing.T, text string) {
		accessOf(racelab.Op{Text: text, Args: []any{nil, "x"}}) // must not panic
	})
}
