package main

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
)

func TestTheVerdictOfAnExploration(t *testing.T) {
	holds := explore.Report{Complete: true, Schedules: 20, Conflicts: 3, Conflicted: true}
	violated := explore.Report{Complete: true, Schedules: 20, Conflicts: 3, Conflicted: true, Violations: 2}
	every := stage.Replay{OK: 10, Of: 10}
	some := stage.Replay{OK: 3, Of: 10, Different: "A1 was given 1, and then 2"}
	lost := errors.New("control was lost")
	for name, test := range map[string]struct {
		x    stage.Explored
		lost error
		want racelab.VerdictKind
		why  string
	}{
		"nothing found":                    {stage.Explored{Report: holds, Checked: every}, nil, racelab.Holds, ""},
		"nothing that could be":            {stage.Explored{Report: explore.Report{Complete: true, Schedules: 20}, Checked: every}, nil, racelab.Holds, "nothing conflicted"},
		"a finding":                        {stage.Explored{Report: violated, Witness: &racelab.Run{}, Replayed: every}, nil, racelab.Violated, ""},
		"one that is not always there":     {stage.Explored{Report: violated, Replayed: some}, nil, racelab.Unknown, "A1 was given 1, and then 2"},
		"and then control was lost":        {stage.Explored{Report: violated, Replayed: some}, lost, racelab.Unknown, "A1 was given 1, and then 2"},
		"a finding, and control lost":      {stage.Explored{Report: violated, Witness: &racelab.Run{}}, lost, racelab.Violated, ""},
		"control lost":                     {stage.Explored{Report: holds}, lost, racelab.Unknown, "control was lost"},
		"what passes is not always there":  {stage.Explored{Report: holds, Checked: some}, nil, racelab.Unknown, "the same schedule gave different histories"},
		"a finding that was not run again": {stage.Explored{Report: violated, Witness: &racelab.Run{}}, nil, racelab.Unknown, "could not be replayed"},
	} {
		t.Run(name, func(t *testing.T) {
			got, why := test.x.Verdict(stage.Exploration{}, test.lost)
			if got != test.want || !strings.Contains(why, test.why) || test.why == "" && got == racelab.Holds && why != "" {
				t.Errorf("%s: %q", got, why)
			}
			if code := exploreCode(got, "holds"); (code == exitUnknown) != (test.want == racelab.Unknown) {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// exploreJSON runs the command, and gives its report and exit code.
func exploreJSON(t *testing.T, args ...string) (report exploreReport, code int) {
	t.Helper()
	cmd := exploreCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true // as the root command has it
	var out strings.Builder
	cmd.SetOut(&out)
	cmd.SetContext(t.Context())
	cmd.SetArgs(append(args, "--json"))
	err := cmd.Execute()
	if e := json.Unmarshal([]byte(out.String()), &report); e != nil {
		t.Fatalf("%v, after %v: %s", e, err, out.String())
	}
	return report, codeOf(err)
}

func TestWhatChanceDecidesIsUnknown(t *testing.T) {
	s := &racelab.Scenario{
		Name: "dice", State: []string{"die"},
		Setup: func(racelab.Dialect) []string { return []string{"CREATE TABLE die (n BIGINT)"} },
		Cast:  []racelab.Role{{Name: "player", Calls: []racelab.Args{nil}}, {Name: "player", Calls: []racelab.Args{nil}}},
		Strategies: []racelab.Strategy{{Name: "throw", Body: map[string]racelab.Body{
			"player": func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
				_, err := env.DB.ExecContext(ctx, "INSERT INTO die (n) VALUES (?)", rand.Int64N(1<<40))
				return nil, err
			},
		}}},
	}
	all := scenario.All
	defer func() { scenario.All = all }()
	scenario.All = append(slices.Clone(all), s)
	report, code := exploreJSON(t, "dice/throw")
	if report.Verdict != racelab.Unknown || code != exitUnknown || report.Reason == nil || !strings.Contains(*report.Reason, "A1 (INSERT INTO die (n) VALUES (?)) was given") {
		t.Errorf("exit code %d: %+v", code, report)
	}
	if report.Violations > 0 && report.Witness.Replays.OK != 0 {
		t.Errorf("replays %+v", report.Witness.Replays)
	}
}

// The level sets it for each session, whatever the server's own is.
func TestTheSettingsAreThoseOfTheLevel(t *testing.T) {
	for _, e := range dsn.Engines {
		if _, err := e.Dialect.Level(racelab.RepeatableReadSnapshot); err != nil {
			continue // the engine has no such setting
		}
		enginetest.Require(t, e)
		for _, level := range []racelab.Level{racelab.RepeatableRead, racelab.RepeatableReadSnapshot} {
			report, _ := exploreJSON(t, "deposit/atomic-update", "--engine", e.Name, "--level", string(level), "--budget", "1")
			want := map[racelab.Level]string{racelab.RepeatableRead: "OFF", racelab.RepeatableReadSnapshot: "ON"}[level]
			if got := report.Settings["innodb_snapshot_isolation"]; got != want {
				t.Errorf("at %s it is %q, want %s", level, got, want)
			}
		}
	}
}
