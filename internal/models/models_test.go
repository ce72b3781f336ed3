package models

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// Started with this argument, the test's own program is a worker.
const asWorker = "do-tasks"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == asWorker {
		if err := Serve(context.Background(), os.Stdin, os.Stdout, lost); err != nil {
			panic(err)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// lost says that a tenth of the runs were lost in one process, and none where
// each session has its own.
func lost(_ context.Context, runs, worker int) (int, error) {
	switch {
	case worker < 0:
		return runs / 10, nil
	case runs == 13:
		return 0, errors.New("13 runs are too many")
	}
	return 0, nil
}

func measurement(t *testing.T, runs int) Measurement {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GORACE", "atexit_sleep_ms=0") // of each worker
	return Measurement{Program: program, Args: []string{asWorker}, Run: lost, Runs: runs, Tell: func(string) {}}
}

func TestEveryModelIsMeasured(t *testing.T) {
	var told []string
	m := measurement(t, 50)
	m.Tell = func(model string) { told = append(told, model) }
	rows, err := m.Rows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 4 || strings.Join(told, "; ") != "goroutines; goroutines, one processor; processes" {
		t.Fatalf("%v: %+v", told, rows)
	}
	for i, r := range rows[:3] {
		if r.StartUS <= 0 || r.ThereUS <= 0 || r.Compute <= 0 || r.Wait <= 0 || r.Runs != 50 || r.Because != nil || r.BestFor == "" {
			t.Errorf("%+v", r)
		}
		if want := []int{5, 5, 0}[i]; r.Losses != want {
			t.Errorf("%s lost %d runs, want %d", r.Model, r.Losses, want)
		}
	}
	if last := rows[3]; last.For != "sub-interpreters" || last.Because == nil {
		t.Errorf("%+v", last)
	}
}

func TestAProcessSaysWhyItCannot(t *testing.T) {
	if _, err := measurement(t, 13).Rows(t.Context()); err == nil || !strings.Contains(err.Error(), "13 runs are too many") {
		t.Error(err)
	}
	m := measurement(t, 1)
	m.Program = "/nowhere/racelab"
	if _, err := m.Rows(t.Context()); err == nil || !strings.Contains(err.Error(), "start a worker process") {
		t.Error(err)
	}
}

// Nothing is left behind, at whatever model it comes.
func TestAnInterruptEndsAMeasurement(t *testing.T) {
	for _, at := range []string{"goroutines", "processes"} {
		ctx, cancel := context.WithCancel(t.Context())
		m := measurement(t, 1)
		m.Tell = func(model string) {
			if model == at {
				cancel()
			}
		}
		if _, err := m.Rows(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("at %s: %v", at, err)
		}
		cancel()
	}
}

// What a model is best for follows from its figures and processors.
func TestFiguresHaveAMeaning(t *testing.T) {
	for _, c := range []struct {
		row             Row
		processors      int
		execution, best string
	}{
		{Row{StartUS: 1, ThereUS: 1, Compute: 1.9, Wait: 3.9, Exchange: "pointer"}, 2, "parallel", "small tasks, CPU-bound or IO-bound; what they share needs a lock"},
		{Row{StartUS: 1, ThereUS: 1, Compute: 1, Wait: 3.9, Exchange: "pointer"}, 1, "concurrent", "small tasks, IO-bound; what they share needs a lock"},
		{Row{StartUS: 9000, ThereUS: 20, Compute: 1.9, Wait: 3.9, Exchange: "serialization"}, 2, "parallel", "larger tasks, CPU-bound or IO-bound; they share nothing, and send what they exchange"},
		{Row{StartUS: 9000, ThereUS: 20, Compute: 1, Wait: 1, Exchange: "serialization"}, 1, "concurrent", "nothing here: several are not faster than one"},
	} {
		if execution, best := c.row.meaning(c.processors); execution != c.execution || best != c.best {
			t.Errorf("%+v: %s, %s", c.row, execution, best)
		}
	}
}
