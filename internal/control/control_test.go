package control_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/engine/sqlite"
	"github.com/racelab/racelab/internal/control"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestARecorderNumbersAndNames(t *testing.T) {
	tape := control.NewTape(100)
	r := control.NewRecorder(tape.Add)
	r.Called("A", "A.1", "deposit")
	for range 2 {
		op, err := r.Enter(t.Context(), racelab.Op{Session: "A", Conn: "7", Kind: racelab.Query, Text: "SELECT 1"})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Leave(t.Context(), op, racelab.Result{Class: racelab.OK}); err != nil {
			t.Fatal(err)
		}
	}
	r.Returned("A", racelab.Result{Class: racelab.OK})
	var got []string
	events, at := tape.History()
	for i, e := range events {
		got = append(got, fmt.Sprintf("%s %s %s", e.Kind, e.Op.Call, e.Op.Name()))
		if i > 0 && at[i] < at[i-1] {
			t.Errorf("event %d at %v, after %v", i, at[i], at[i-1])
		}
	}
	want := []string{"called A.1 A0", "entered A.1 A1", "left A.1 A1", "entered A.1 A2", "left A.1 A2", "returned A.1 A0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestATapeMergesByTimeAndNamesHolders(t *testing.T) {
	tape := control.NewTape(100)
	op := func(s racelab.SessionID) racelab.Op { return racelab.Op{Session: s, Call: s.Call(1), Step: 1} }
	tape.Add(control.Record{At: 30, Conn: "2", Event: racelab.Event{Kind: racelab.Waiting, Op: op("B")}, Holders: []racelab.ConnID{"1", "99"}})
	tape.Add(control.Record{At: 20, Conn: "2", Event: racelab.Event{Kind: racelab.Entered, Op: op("B")}})
	tape.Add(control.Record{At: 10, Conn: "1", Event: racelab.Event{Kind: racelab.Left, Op: op("A")}})
	events, at := tape.History()
	if diff := cmp.Diff([]time.Duration{0, 10, 20}, at); diff != "" {
		t.Errorf("times (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]racelab.SessionID{"A"}, events[2].On); diff != "" {
		t.Errorf("who is waited for (-want +got):\n%s", diff)
	}
}

func TestATapeForgetsTheOldest(t *testing.T) {
	tape := control.NewTape(10)
	for i := range 25 {
		tape.Add(control.Record{At: time.Duration(i)})
	}
	events, _ := tape.History()
	if len(events) > 10 || len(events)+tape.Dropped() != 25 {
		t.Errorf("%d events and %d dropped of 25", len(events), tape.Dropped())
	}
}

func TestRecordsSurviveJSON(t *testing.T) {
	want := control.Record{At: 5, Conn: "3", Holders: []racelab.ConnID{"4"}, Event: racelab.Event{
		Kind: racelab.Left,
		Op:   racelab.Op{Session: "A", Call: "A.1", Step: 2, Kind: racelab.Query, Text: "SELECT ?", Args: []any{int64(1) << 60, 1.5, "x", nil, true}},
		Result: racelab.Result{Class: racelab.OK, Value: int64(3), Rows: &racelab.Table{
			Columns: []string{"a"}, Rows: [][]racelab.Value{{int64(9007199254740993)}, {nil}}}},
	}}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := control.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestAHistoryFromOutsideNamesNothingOdd(t *testing.T) {
	for text, good := range map[string]bool{
		`[{"op":{"session":"A","call":"A.1","step":1}}]`:        true,
		`[{"op":{"session":"","call":"","step":1}}]`:            true,
		`[{"op":{"session":"A\u001b[31m","call":"","step":1}}]`: false,
		`[{"op":{"session":"A","call":"A.1\u0007"}}]`:           false,
		`[{"op":{"session":"A","call":"B.1"}}]`:                 false,
		`[{"op":`:                                               false,
	} {
		if _, err := control.DecodeEvents([]byte(text)); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"at":1,"event":{"op":{"args":[1,2.5,null]},"result":{"rows":{"rows":[[1]]}}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := control.Decode(b); err == nil {
			tape := control.NewTape(2)
			tape.Add(r)
			tape.History()
		}
	})
}

func TestWatchRecordsAWaitAndForWhom(t *testing.T) {
	server, err := sqlite.Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	world, err := server.Open(t.Context(), racelab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer world.Close()
	tape := control.NewTape(100)
	seen := make(chan struct{})
	var once sync.Once
	r := control.NewRecorder(func(rec control.Record) {
		tape.Add(rec)
		if rec.Event.Kind == racelab.Waiting {
			once.Do(func() { close(seen) })
		}
	})
	var wg sync.WaitGroup
	defer wg.Wait()
	watch, stop := context.WithCancel(t.Context())
	defer stop()
	wg.Go(func() { r.Watch(watch, world) })

	begin := func(s racelab.SessionID) func(text string) {
		c, err := world.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return func(text string) {
			op, _ := r.Enter(t.Context(), racelab.Op{Session: s, Conn: c.ID(), Text: text})
			_, _, err := enginetest.Text(t.Context(), c, text)
			_ = r.Leave(t.Context(), op, racelab.Result{Class: sqlite.Engine.Dialect.Classify(err)})
		}
	}
	a, b := begin("A"), begin("B")
	a("BEGIN IMMEDIATE")
	waited := make(chan struct{})
	go func() { defer close(waited); b("BEGIN IMMEDIATE") }()
	select {
	case <-seen:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody saw B wait")
	}
	a("COMMIT")
	<-waited
	b("COMMIT")
	events, _ := tape.History()
	for _, e := range events {
		if e.Kind == racelab.Waiting {
			if diff := cmp.Diff([]racelab.SessionID{"A"}, e.On); diff != "" || e.Op.Session != "B" || e.What == "" {
				t.Errorf("the wait is %+v", e)
			}
		}
	}
}
