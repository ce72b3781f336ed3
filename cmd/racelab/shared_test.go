package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/mem"
	"github.com/racelab/racelab/scenario"
)

// A desk is what the sessions of the scenario "desk" share.
type desk struct {
	m    *racelab.Memory
	n    *mem.Var[int]
	one  *mem.Mutex
	two  *mem.Mutex
	done *mem.Var[bool]
}

// deskScenario has a strategy for each thing that goes wrong in memory.
func deskScenario() *racelab.Scenario {
	s := &racelab.Scenario{
		Name: "desk",
		Cast: []racelab.Role{{Name: "left", Calls: []racelab.Args{nil}}, {Name: "right", Calls: []racelab.Args{nil}}},
	}
	add := func(name string, left, right func(*desk)) {
		body := func(do func(*desk)) racelab.Body {
			return func(_ context.Context, env *racelab.Env) (racelab.Value, error) {
				do(env.Process.(*desk))
				return nil, nil
			}
		}
		s.Strategies = append(s.Strategies, racelab.Strategy{
			Name: name,
			Process: func(m *racelab.Memory) any {
				return &desk{m, mem.NewVar(m, "n", 0), mem.NewMutex(m, "one"), mem.NewMutex(m, "two"), mem.NewVar(m, "done", false)}
			},
			Body: map[string]racelab.Body{"left": body(left), "right": body(right)},
		})
	}
	set := func(d *desk) { d.n.Store(1) }
	locked := func(d *desk) {
		d.one.Lock()
		d.n.Store(d.n.Load() + 1)
		d.one.Unlock()
	}
	add("race", set, set)
	add("locked", locked, locked)
	add("deadlock",
		func(d *desk) { d.one.Lock(); defer d.one.Unlock(); d.two.Lock(); defer d.two.Unlock() },
		func(d *desk) { d.two.Lock(); defer d.two.Unlock(); d.one.Lock(); defer d.one.Unlock() })
	add("forgotten", func(d *desk) { d.one.Lock() }, func(d *desk) { d.two.Lock(); defer d.two.Unlock() })
	add("forgotten-by-both", func(d *desk) { d.one.Lock() }, func(d *desk) { d.one.Lock() })
	add("misuse", func(d *desk) { d.one.Unlock() }, func(*desk) {})
	add("panic", func(d *desk) {
		if d.n.Load() == 1 {
			panic("half done")
		}
	}, func(d *desk) { d.n.Store(1); d.n.Store(0) })
	add("spin", func(d *desk) {
		for !d.done.Load() {
			mem.Gosched(d.m)
		}
	}, func(*desk) {})
	panics := func(d *desk) {
		d.one.Lock()
		defer d.one.Unlock()
		panic("no paper")
	}
	add("always-panic", panics, panics)
	add("one-panics", panics, locked)
	add("idle", func(*desk) {}, func(*desk) {})
	refuse := func(context.Context, *racelab.Env) (racelab.Value, error) { return nil, racelab.ErrRefused }
	add("refused", nil, nil)
	s.Strategies[len(s.Strategies)-1].Body = map[string]racelab.Body{"left": refuse, "right": refuse}
	stale := func(d *desk) {
		d.one.Lock()
		n := d.n.Load()
		d.one.Unlock()
		d.one.Lock()
		d.n.Store(n + 1)
		d.one.Unlock()
	}
	add("stale", stale, stale)
	add("long", func(d *desk) {
		for range stage.MostSteps + 1 {
			d.n.Load()
		}
	}, func(*desk) {})
	add("started", func(d *desk) { mem.Go(d.m, func() { d.one.Lock(); set(d) }) }, func(d *desk) { d.one.Lock(); defer d.one.Unlock() })
	return s
}

// withDesk adds the scenario for a test.
func withDesk(t *testing.T) {
	all := scenario.All
	t.Cleanup(func() { scenario.All = all })
	scenario.All = append(slices.Clone(all), deskScenario())
}

func TestWhatGoesWrongInMemoryIsReported(t *testing.T) {
	withDesk(t)
	for name, test := range map[string]struct {
		verdict racelab.VerdictKind
		anomaly string
		reason  string
		races   int
		at      int // run at which it was found; 0 is whichever
	}{
		"locked":            {racelab.Holds, "", "", 0, 0},
		"race":              {racelab.Violated, "data-race", "store n (shared_test.go:", 1, 1},
		"deadlock":          {racelab.Violated, "deadlock", "A waits at A2 for B, which holds two; B waits at B2 for A, which holds one", 0, 0},
		"forgotten":         {racelab.Holds, "", "nothing conflicted", 0, 0}, // nobody else wants it
		"forgotten-by-both": {racelab.Violated, "forgotten-unlock", "B waits at B1 for one, which A has locked at A1 (shared_test.go:", 0, 1},
		"misuse":            {racelab.Violated, "misuse", "A1 unlock one (shared_test.go:", 0, 1},
		"panic":             {racelab.Violated, "dirty-read", "A panics: half done, which no serial order gives", 1, 0},
		"spin":              {racelab.Unknown, "", "the run does not end: livelock within the bound of", 0, 0},
		"started":           {racelab.Violated, "forgotten-unlock", "which Aa has locked at Aa1 (shared_test.go:", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r, code := exploreJSON(t, "desk/"+name)
			reason := ""
			if r.Reason != nil {
				reason = *r.Reason
			}
			if r.Verdict != test.verdict || !strings.Contains(reason, test.reason) || len(r.Races) != test.races {
				t.Errorf("%s, because %q, with races %+v", r.Verdict, reason, r.Races)
			}
			if want := exploreCode(test.verdict, "holds"); code != want {
				t.Errorf("exit code %d, want %d", code, want)
			}
			if test.verdict != racelab.Violated {
				return
			}
			if len(r.Anomalies) != 1 || string(r.Anomalies[0].Name) != test.anomaly || r.Witness == nil || r.Witness.Replays.OK != 10 {
				t.Fatalf("anomalies %+v, witness %+v", r.Anomalies, r.Witness)
			}
			if test.at > 0 && r.Witness.FirstAt != test.at {
				t.Errorf("found at run %d, want %d", r.Witness.FirstAt, test.at)
			}
			// The line that is printed shows it again.
			for _, schedule := range append([]string{r.Witness.Schedule}, schedulesOf(r.Races)...) {
				replayed, code := replayJSON(t, "desk/"+name, schedule)
				if code != exitViolated || len(replayed.Anomalies) != 1 {
					t.Errorf("--schedule %q exits with %d and anomalies %+v", schedule, code, replayed.Anomalies)
				}
				if schedule == r.Witness.Schedule && string(replayed.Anomalies[0].Name) != test.anomaly {
					t.Errorf("--schedule %q is %s", schedule, replayed.Anomalies[0].Name)
				}
			}
		})
	}
}

// What no serial order does better is no violation, and may still not be what
// was meant.
func TestWhatNoSerialOrderDoesBetterIsSaid(t *testing.T) {
	withDesk(t)
	for name, test := range map[string]struct {
		verdict string // as it is printed
		notes   []string
	}{
		"always-panic": {"holds: all schedules, by 2 runs, nothing committed (", []string{
			"no call succeeded in any schedule, and so in no serial order: 4 panicked",
			"a call panicked 4 times, and does so in a serial order, too: A panics: no paper",
		}},
		"one-panics": {"holds: all schedules, by 2 runs (", []string{"a call panicked 2 times, and does so in a serial order, too: A panics: no paper"}},
		"refused":    {"holds: all schedules, by 2 runs, nothing committed (", []string{"no call succeeded in any schedule, and so in no serial order: 4 refused", "no call made a step: none of them touched what is shared"}},
		"idle":       {"holds: all schedules, by 2 runs, nothing conflicted (", []string{"no call made a step: none of them touched what is shared"}},
		"locked":     {"holds: all schedules, by 2 runs (", []string{}},
	} {
		r, code := exploreJSON(t, "desk/"+name)
		if code != exitOK || !slices.Equal(r.Notes, test.notes) || r.Committed == strings.Contains(test.verdict, "nothing committed") {
			t.Errorf("%s: exit code %d, committed %v, and notes %q", name, code, r.Committed, r.Notes)
		}
		printed := strings.Join(strings.Fields(reportOf(t, exploreCommand(), "desk/"+name)), " ")
		for _, want := range append(test.notes, test.verdict) {
			if !strings.Contains(printed, want) {
				t.Errorf("%s: %q is not in %s", name, want, printed)
			}
		}
	}
}

func TestAReplayIsHeldAgainstWhatWasAskedFor(t *testing.T) {
	withDesk(t)
	const lost = "A1 A2 A3 B1 B2 B3"
	if r, code := replayJSON(t, "desk/stale", lost); code != exitViolated || r.Outcome.Serial {
		t.Errorf("%s, with exit code %d", r.Verdict, code)
	}
	r, code := replayJSON(t, "desk/stale", lost, "--judge", "invariant") // there are none
	if code != exitOK || !strings.Contains(r.Command, "--judge invariant") {
		t.Errorf("%s, with exit code %d: %s", r.Verdict, code, r.Command)
	}
	if text := reportOf(t, runCommand(), "desk/stale", "--schedule", lost, "--judge", "invariant"); !strings.Contains(text, "this schedule holds: so do the invariants") {
		t.Error(text)
	}
}

// A run that is longer than others are is not one that has no end.
func TestTheBoundOfARunsStepsCanBeMoved(t *testing.T) {
	withDesk(t)
	unknown := func(bound string, verdict racelab.VerdictKind, reason *string, code int) {
		t.Helper()
		if verdict != racelab.Unknown || code != exitUnknown || !strings.Contains(*reason, "within the bound of "+bound+" steps") || !strings.Contains(*reason, "--max-steps") {
			t.Errorf("%s, because %s, with exit code %d", verdict, *reason, code)
		}
	}
	r, code := exploreJSON(t, "desk/long")
	unknown("2000", r.Verdict, r.Reason, code)
	if r, code = exploreJSON(t, "desk/long", "--max-steps", "2001"); r.Verdict != racelab.Holds || code != exitOK {
		t.Errorf("%s, with exit code %d", r.Verdict, code)
	}
	r, code = exploreJSON(t, "desk/locked", "--max-steps", "7")
	unknown("7", r.Verdict, r.Reason, code)
	replayed, code := replayJSON(t, "desk/spin", "A1", "--max-steps", "50")
	unknown("50", replayed.Verdict, replayed.Reason, code)
	if !strings.HasSuffix(replayed.Command, " --max-steps 50") && !strings.Contains(replayed.Command, " --max-steps 50 ") {
		t.Errorf("the line to type again is %s", replayed.Command)
	}
}

func schedulesOf(races []raceReport) (all []string) {
	for _, r := range races {
		all = append(all, r.Schedule)
	}
	return all
}

// replayJSON follows a schedule, and gives the report and the exit code.
func replayJSON(t *testing.T, name, schedule string, more ...string) (report replayReport, code int) {
	t.Helper()
	cmd := runCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true // as the root command has it
	var out strings.Builder
	cmd.SetOut(&out)
	cmd.SetContext(t.Context())
	cmd.SetArgs(append([]string{name, "--schedule", schedule, "--json"}, more...))
	err := cmd.Execute()
	if e := json.Unmarshal([]byte(out.String()), &report); e != nil {
		t.Fatalf("%v, after %v: %s", e, err, out.String())
	}
	return report, codeOf(err)
}
