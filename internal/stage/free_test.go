package stage

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/sqlite"
)

// exhibit makes a selection of two sessions, each with a body of its own.
func exhibit(a, b racelab.Body, claims ...racelab.Invariant) Selection {
	s := &racelab.Scenario{
		Name: "exhibit",
		Setup: func(racelab.Dialect) []string {
			return []string{"CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)", "INSERT INTO t VALUES (1, 0)"}
		},
		State:      []string{"t"},
		Cast:       []racelab.Role{{Name: "a", Calls: []racelab.Args{{}}}, {Name: "b", Calls: []racelab.Args{{}}}},
		Invariants: claims,
	}
	st := &racelab.Strategy{Name: "only", Body: map[string]racelab.Body{"a": a, "b": b}}
	return Selection{s, st, sqlite.Engine, racelab.Serializable}
}

func nothing(context.Context, *racelab.Env) (racelab.Value, error) { return nil, nil }

func runFree(t *testing.T, ctx context.Context, s Selection, f Free) (FreeReport, error) {
	t.Helper()
	server, err := sqlite.Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	report, err := s.RunFree(ctx, server, f)
	if closed := server.Close(); closed != nil {
		t.Error(closed)
	}
	sum := report.OK + report.Unknown + report.NotMade()
	for _, n := range report.Failed {
		sum += n
	}
	if sum != report.Calls || report.NotMade() < 0 {
		t.Errorf("the calls add up to %d of %d: %+v", sum, report.Calls, report)
	}
	return report, err
}

func TestARunThatStallsSaysWhoWaitsForWhom(t *testing.T) {
	locked := make(chan struct{})
	s := exhibit(
		func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
			conn, err := env.DB.Conn(ctx)
			if err != nil {
				return nil, err
			}
			defer conn.Close()
			if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
				return nil, err
			}
			close(locked)
			<-ctx.Done()
			return nil, ctx.Err()
		},
		func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
			<-locked
			_, err := env.DB.ExecContext(ctx, "UPDATE t SET n = 1")
			return nil, err
		},
	)
	report, err := runFree(t, t.Context(), s, Free{Runs: 3, Timeout: 500 * time.Millisecond})
	if err != nil || report.Stalled == nil {
		t.Fatalf("%+v, %v", report, err)
	}
	want := []string{
		"B1 (UPDATE t SET n = 1) waits for the database lock, which A holds",
		"A is in its own code, after A1 (BEGIN IMMEDIATE)",
	}
	if diff := cmp.Diff(want, report.Stalled.Who); diff != "" {
		t.Errorf("who waits (-want +got):\n%s", diff)
	}
	if report.Unknown != 2 || report.NotMade() != 4 || report.Runs != 0 {
		t.Errorf("%+v", report)
	}
	for _, e := range report.Stalled.Run.History.Events {
		if e.Result.Class == racelab.Canceled {
			t.Errorf("the history goes on after the time was over: %+v", e)
		}
	}
}

// It waits for something of the program's own, which no context ends.
func TestACallThatNeverComesBackIsLeftBehind(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	stuck := func(context.Context, *racelab.Env) (racelab.Value, error) { <-never; return nil, nil }
	report, err := runFree(t, t.Context(), exhibit(nothing, stuck), Free{Runs: 1, Timeout: 500 * time.Millisecond})
	if err != nil || report.Stalled == nil || report.OK != 1 || report.Unknown != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	if diff := cmp.Diff([]string{"B is in its own code, before its first statement"}, report.Stalled.Who); diff != "" {
		t.Errorf("who waits (-want +got):\n%s", diff)
	}
}

func TestWhatWasSeenBeforeAnInterruptIsReported(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	report, err := runFree(t, ctx, exhibit(nothing, nothing), Free{Runs: 5, Progress: func(done int) {
		if done == 2 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || report.Runs != 2 || report.OK != 4 || report.NotMade() != 6 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestDifferencesDoNotCancelOut(t *testing.T) {
	run := int64(0)
	report, err := runFree(t, t.Context(), exhibit(nothing, nothing,
		racelab.Invariant{Name: "always", Measure: func(racelab.State) (int64, int64, error) { return 7, 7, nil }},
		racelab.Invariant{Name: "too much, then too little", Measure: func(racelab.State) (int64, int64, error) {
			run++
			return 100, 200 * (run % 2), nil
		}},
	), Free{Runs: 2})
	if err != nil {
		t.Fatal(err)
	}
	always, never := report.Claims[0], report.Claims[1]
	if always.Off != 0 || always.Held != 2 || always.Expected != 14 {
		t.Errorf("%+v", always)
	}
	if never.Off != 200 || never.Held != 0 || never.Expected != 200 || never.Actual != 200 || report.Losses != 2 {
		t.Errorf("%+v, %d losses", never, report.Losses)
	}
}

// In a laboratory a session's steps go on from request to request.
func TestAnExcerptCountsItsStepsFromOne(t *testing.T) {
	var events []racelab.Event
	op := func(s racelab.SessionID, step int, text string) {
		o := racelab.Op{Session: s, Call: s.Call(900), Step: step, Kind: racelab.Exec, Text: text}
		for _, kind := range []racelab.EventKind{racelab.Entered, racelab.Left} {
			e := racelab.Event{Kind: kind, Op: o}
			if kind == racelab.Left {
				e.Result = racelab.Result{Class: racelab.OK, Affected: 1}
			}
			events = append(events, e)
		}
	}
	call := func(s racelab.SessionID, kind racelab.EventKind) {
		events = append(events, racelab.Event{Kind: kind, Op: racelab.Op{Session: s, Call: s.Call(900)}, Result: racelab.Result{Class: racelab.OK}})
	}
	call("A", racelab.Called)
	call("B", racelab.Called)
	op("A", 4178, "SELECT n FROM t WHERE id = 1")
	op("B", 77, "SELECT n FROM t WHERE id = 1")
	op("B", 78, "UPDATE t SET n = 1 WHERE id = 1")
	call("B", racelab.Returned)
	op("A", 4180, "UPDATE t SET n = 1 WHERE id = 1")
	call("A", racelab.Returned)
	x, ok := LostUpdate(racelab.Run{History: racelab.History{Events: events}})
	if !ok {
		t.Fatal("no lost update")
	}
	var names []string
	for _, e := range x.Run.History.Events {
		if e.Kind == racelab.Left {
			names = append(names, e.Op.Name())
		}
	}
	if diff := cmp.Diff([]string{"A1", "B1", "B2", "A2"}, names); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	marks := ""
	for _, m := range x.Marks {
		marks += m + "; "
	}
	if !strings.Contains(x.Prose, "(A1) before B wrote it (B2)") || !strings.Contains(marks, "overwrites B2") || strings.Contains(marks+x.Prose, "4178") {
		t.Errorf("%s\n%s", x.Prose, marks)
	}
	if events[2].Op.Step != 4178 {
		t.Error("the run itself was renumbered")
	}
}
