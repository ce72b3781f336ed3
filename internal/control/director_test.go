package control_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/sqlite"
	"github.com/racelab/racelab/internal/control"
	"github.com/racelab/racelab/internal/intake/sqlgate"
	"github.com/racelab/racelab/internal/sqltext"
	"github.com/racelab/racelab/mem"
)

// A stageless stage: bodies by session, over one world.
type bodies map[racelab.SessionID]func(context.Context, *sql.DB) error

func direct(t *testing.T, e racelab.Engine, setup []string, b bodies, schedule string) ([]racelab.Event, error) {
	t.Helper()
	server, err := e.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	world, err := server.Open(t.Context(), racelab.Config{Setup: setup})
	if err != nil {
		t.Fatal(err)
	}
	defer world.Close()
	return directIn(t, e, world, b, schedule)
}

func directIn(t *testing.T, e racelab.Engine, world racelab.World, b bodies, schedule string) ([]racelab.Event, error) {
	t.Helper()
	return directWith(t, e, world, func(*control.Director) bodies { return b }, schedule)
}

// directWith is directIn for bodies that share more than a world.
func directWith(t *testing.T, e racelab.Engine, world racelab.World, of func(*control.Director) bodies, schedule string) ([]racelab.Event, error) {
	t.Helper()
	parsed, err := racelab.ParseSchedule(schedule)
	if err != nil {
		t.Fatal(err)
	}
	engine := control.NewEngine(world, e.Dialect, e.Dialect.Levels[0])
	defer engine.Close()
	if stepLimit > 0 {
		engine.StepLimit = stepLimit
	}
	d := control.NewDirector(engine)
	b := of(d)
	var scripts []control.Script
	for i := range len(b) {
		id := racelab.Letter(i)
		intake := sqlgate.New(world, e.Dialect, id)
		db := intake.DB(d)
		defer intake.Close()
		defer db.Close()
		scripts = append(scripts, control.Script{Session: id, Calls: []control.Call{{ID: id.Call(1), Run: func(ctx context.Context) (racelab.Result, string) {
			return racelab.Result{Class: e.Dialect.Classify(b[id](ctx, db))}, ""
		}}}})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return d.Run(ctx, scripts, parsed)
}

// lines prints a history as people read it.
func lines(events []racelab.Event) []string {
	var out []string
	for _, e := range events {
		switch e.Kind {
		case racelab.Waiting:
			out = append(out, fmt.Sprintf("%s waits for %v", e.Op.Name(), e.On))
		case racelab.Left:
			line := fmt.Sprintf("%s %s: %s", e.Op.Name(), sqltext.Inline(e.Op.Text, e.Op.Args), e.Result.Class)
			if e.Result.Rows != nil {
				line += fmt.Sprint(" ", e.Result.Rows.Rows)
			}
			out = append(out, line)
		case racelab.Returned:
			out = append(out, fmt.Sprintf("%s returned: %s", e.Op.Call, e.Result.Class))
		}
	}
	return out
}

var account = []string{"CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER)", "INSERT INTO account VALUES (1, 0)"}

func addTen(ctx context.Context, db *sql.DB) error {
	var balance int
	if err := db.QueryRowContext(ctx, "SELECT balance FROM account").Scan(&balance); err != nil {
		return err
	}
	_, err := db.ExecContext(ctx, "UPDATE account SET balance = ?", balance+10)
	return err
}

func immediate(ctx context.Context, db *sql.DB) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, q := range []string{"BEGIN IMMEDIATE", "UPDATE account SET balance = balance + 10", "COMMIT"} {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

func TestADirectorFollowsTheSchedule(t *testing.T) {
	for schedule, want := range map[string][]string{
		"A1 B1 A2 B2": {
			"A1 SELECT balance FROM account: ok [[0]]", "B1 SELECT balance FROM account: ok [[0]]",
			"A2 UPDATE account SET balance = 10: ok", "A.1 returned: ok", "B2 UPDATE account SET balance = 10: ok", "B.1 returned: ok"},
		"B1": {
			"B1 SELECT balance FROM account: ok [[0]]", "B2 UPDATE account SET balance = 10: ok", "B.1 returned: ok",
			"A1 SELECT balance FROM account: ok [[10]]", "A2 UPDATE account SET balance = 20: ok", "A.1 returned: ok"},
	} {
		events, err := direct(t, sqlite.Engine, account, bodies{"A": addTen, "B": addTen}, schedule)
		if err != nil {
			t.Fatalf("%s: %v", schedule, err)
		}
		if diff := cmp.Diff(want, lines(events)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", schedule, diff)
		}
	}
}

func TestOneCommitFreesOneAfterAnother(t *testing.T) {
	events, err := direct(t, sqlite.Engine, account, bodies{"A": immediate, "B": immediate, "C": immediate}, "A1 C1 B1")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"A1 BEGIN IMMEDIATE: ok", "C1 waits for [A]", "B1 waits for [A]",
		"A2 UPDATE account SET balance = balance + 10: ok",
		"A3 COMMIT: ok", "C1 BEGIN IMMEDIATE: ok", "A.1 returned: ok",
		"C2 UPDATE account SET balance = balance + 10: ok",
		"C3 COMMIT: ok", "B1 BEGIN IMMEDIATE: ok", "C.1 returned: ok",
		"B2 UPDATE account SET balance = balance + 10: ok", "B3 COMMIT: ok", "B.1 returned: ok",
	}
	if diff := cmp.Diff(want, lines(events)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

func TestALostConnectionTakesItsTransactionAlong(t *testing.T) {
	for schedule, want := range map[string][]string{
		// Before: nothing has happened, and the transaction is gone.
		"A1 A2 A3(drop before) B1": {
			"A1 BEGIN IMMEDIATE: ok", "A2 UPDATE account SET balance = balance + 10: ok", "A3 COMMIT: connection-lost", "A.1 returned: connection-lost",
			"B1 SELECT balance FROM account: ok [[0]]", "B2 UPDATE account SET balance = 10: ok", "B.1 returned: ok"},
		// After: it has happened, and nobody was told.
		"A1 A2 A3(drop after) B1": {
			"A1 BEGIN IMMEDIATE: ok", "A2 UPDATE account SET balance = balance + 10: ok", "A3 COMMIT: connection-lost", "A.1 returned: connection-lost",
			"B1 SELECT balance FROM account: ok [[10]]", "B2 UPDATE account SET balance = 20: ok", "B.1 returned: ok"},
		// What it holds is free, and who waits for it goes on.
		"B1 A1 B2 A2(drop before)": {
			"B1 SELECT balance FROM account: ok [[0]]", "A1 BEGIN IMMEDIATE: ok", "B2 waits for [A]",
			"A2 UPDATE account SET balance = balance + 10: connection-lost", "B2 UPDATE account SET balance = 10: ok", "A.1 returned: connection-lost", "B.1 returned: ok"},
		// database/sql replaces a connection that is bad before it was used.
		"A1 A2 A3 B1(drop before)": {
			"A1 BEGIN IMMEDIATE: ok", "A2 UPDATE account SET balance = balance + 10: ok", "A3 COMMIT: ok", "A.1 returned: ok",
			"B1 SELECT balance FROM account: connection-lost", "B2 SELECT balance FROM account: ok [[10]]", "B3 UPDATE account SET balance = 20: ok", "B.1 returned: ok"},
	} {
		events, err := direct(t, sqlite.Engine, account, bodies{"A": immediate, "B": addTen}, schedule)
		if err != nil {
			t.Errorf("%s: %v", schedule, err)
		}
		if diff := cmp.Diff(want, lines(events)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", schedule, diff)
		}
	}
}

func TestTimePassesByTicks(t *testing.T) {
	for schedule, want := range map[string]string{
		"":                      "A1 B1 tick B2 tick A2 ",
		"A1 tick A2 B1 tick":    "A1 tick A2 B1 tick B2 ",
		"B1 tick A1 B2":         "B1 tick A1 B2 tick A2 ",
		"A1 B1 tick tick A2 B2": "A1 B1 tick tick A2 B2 ",
	} {
		parsed, err := racelab.ParseSchedule(schedule)
		if err != nil {
			t.Fatal(err)
		}
		engine := control.NewEngine(nil, sqlite.Engine.Dialect, racelab.Serializable)
		defer engine.Close()
		d := control.NewDirector(engine)
		memory := &racelab.Memory{Gate: d}
		var scripts []control.Script
		for id, nap := range map[racelab.SessionID]time.Duration{"A": time.Hour, "B": time.Minute} {
			m := mem.NewMutex(memory, "m")
			scripts = append(scripts, control.Script{Session: id, Calls: []control.Call{{ID: id.Call(1), Run: func(context.Context) (racelab.Result, string) {
				m.Lock()
				mem.Sleep(memory, nap)
				return racelab.Result{Class: racelab.OK}, ""
			}}}})
		}
		slices.SortFunc(scripts, func(a, b control.Script) int { return strings.Compare(string(a.Session), string(b.Session)) })
		events, err := d.Run(t.Context(), scripts, parsed)
		got := ""
		for _, e := range events {
			if c, ok := e.Choice(); ok {
				got += c.String() + " "
			}
		}
		if err != nil || got != want {
			t.Errorf("%q ran as %q, want %q: %v", schedule, got, want, err)
		}
	}
}

// One after another: who sleeps in its call is waited for, by letting time pass.
func TestInASerialOrderNobodyGoesWhileAnotherSleeps(t *testing.T) {
	engine := control.NewEngine(nil, sqlite.Engine.Dialect, racelab.Serializable)
	defer engine.Close()
	d := control.NewDirector(engine)
	d.Serial = []racelab.CallID{"B.1", "A.1"}
	memory := &racelab.Memory{Gate: d}
	var scripts []control.Script
	for _, id := range []racelab.SessionID{"A", "B"} {
		m := mem.NewMutex(memory, "m")
		scripts = append(scripts, control.Script{Session: id, Calls: []control.Call{{ID: id.Call(1), Run: func(context.Context) (racelab.Result, string) {
			m.Lock()
			mem.Sleep(memory, time.Hour)
			return racelab.Result{Class: racelab.OK}, ""
		}}}})
	}
	events, err := d.Run(t.Context(), scripts, nil)
	got := ""
	for _, e := range events {
		if c, ok := e.Choice(); ok {
			got += c.String() + " "
		}
	}
	if want := "B1 tick B2 A1 tick A2 "; err != nil || got != want {
		t.Errorf("it ran as %q, want %q: %v", got, want, err)
	}
}

func TestAScheduleThatDoesNotFitIsRefused(t *testing.T) {
	for schedule, says := range map[string]string{
		"A2":           "choice 1 is A2, and A is at A1",
		"A1 tick":      "choice 2 is tick, and nobody sleeps",
		"A1(victim B)": "A1 closes no deadlock whose victim is B",
		"D1":           "there is no session D",
		"A1 B1 B2":     "choice 3 is B2, and B waits at B1",
		"A1 A2 A3 A4":  "choice 4 is A4, and A has ended",
	} {
		_, err := direct(t, sqlite.Engine, account, bodies{"A": immediate, "B": immediate}, schedule)
		if !errors.Is(err, control.ErrDiverged) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", schedule, err, says)
		}
	}
}

func TestWhatStopsOutsideTheGateIsNamed(t *testing.T) {
	var mu sync.Mutex
	locked := func(ctx context.Context, db *sql.DB) error {
		mu.Lock()
		defer mu.Unlock()
		return addTen(ctx, db)
	}
	stopped := make(chan struct{})
	for name, c := range map[string]struct {
		body func(context.Context, *sql.DB) error
		says string
	}{
		"a mutex": {locked, "session B waits for a sync.Mutex that the gate does not know (use racelab's mem package) at director_test.go:"},
		"a channel": {func(ctx context.Context, db *sql.DB) error {
			select {
			case <-stopped:
			case <-ctx.Done():
			}
			return nil
		}, "session A waits for a channel (select) at director_test.go:"},
		"a sleep": {func(ctx context.Context, db *sql.DB) error {
			for ctx.Err() == nil { // until that has been seen
				time.Sleep(100 * time.Millisecond)
			}
			return nil
		}, "session A sleeps at director_test.go:"},
		"its own pool": {func(ctx context.Context, db *sql.DB) error {
			db.SetMaxOpenConns(1)
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()
			return addTen(ctx, db)
		}, "for a free connection of its own pool at director_test.go:"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := direct(t, sqlite.Engine, account, bodies{"A": c.body, "B": c.body}, "A1 B1")
			if name == "a channel" || name == "a sleep" || name == "its own pool" {
				_, err = direct(t, sqlite.Engine, account, bodies{"A": c.body, "B": c.body}, "")
			}
			if !errors.Is(err, control.ErrStalled) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

func TestAStepThatNeverEndsIsSaidSo(t *testing.T) {
	never := func(ctx context.Context, db *sql.DB) error {
		var n int
		return db.QueryRowContext(ctx, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n").Scan(&n)
	}
	spins := func(ctx context.Context, _ *sql.DB) error {
		for ctx.Err() == nil {
		}
		return ctx.Err()
	}
	for name, c := range map[string]struct {
		body func(context.Context, *sql.DB) error
		says string
	}{
		"a statement": {never, "session A has been at its step WITH RECURSIVE"},
		"a loop":      {spins, "session A has run its own code for 50ms, and waits for nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			stepLimit = 50 * time.Millisecond
			defer func() { stepLimit = 0 }()
			_, err := direct(t, sqlite.Engine, account, bodies{"A": c.body, "B": addTen}, "")
			if !errors.Is(err, control.ErrStalled) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

// stepLimit is that of the runs of direct, if it is not 0.
var stepLimit time.Duration

func TestTheSameScheduleGivesTheSameHistory(t *testing.T) {
	server, err := sqlite.Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	world, err := server.Open(t.Context(), racelab.Config{Setup: account})
	if err != nil {
		t.Fatal(err)
	}
	defer world.Close()
	first := ""
	for range 50 {
		if err := world.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		events, err := directIn(t, sqlite.Engine, world, bodies{"A": immediate, "B": addTen, "C": immediate}, "B1 A1 C1 B2")
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(events)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = string(b)
		}
		if string(b) != first {
			t.Fatalf("a history was\n%s\nand then\n%s", first, b)
		}
	}
}
