package main

import (
	"slices"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
	"github.com/spf13/pflag"
)

// A fix is believed, so what it names has to hold right there; and whatever is
// violated has one.
func TestTheFixHolds(t *testing.T) {
	holds := []racelab.CellResult{racelab.CellHolds, racelab.CellHoldsWithAborts}
	for _, s := range scenario.All {
		for i := range s.Strategies {
			st := &s.Strategies[i]
			used := map[string]bool{}
			for _, e := range dsn.Engines {
				for _, level := range e.Dialect.Levels {
					if s.Because(st, e, level) != "" {
						continue
					}
					fix := fixOf(stage.Selection{Scenario: s, Strategy: st, Engine: e, Level: level})
					used[fix] = true
					at := s.Name + "/" + st.Name + " on " + e.Name + " at " + string(level)
					if fix == "" {
						if x, _ := st.Expected(e.Name, level); x.Result == racelab.CellViolated {
							t.Errorf("%s is violated, and no fix holds there", at)
						}
						continue
					}
					named, ok := s.Strategy(fix)
					if !ok || named == st || s.Because(named, e, level) != "" {
						t.Fatalf("%s: the fix %s is not to be had", at, fix)
					}
					if x, _ := named.Expected(e.Name, level); !slices.Contains(holds, x.Result) {
						t.Errorf("%s: the fix %s is declared to be %s", at, fix, x.Result)
					}
				}
			}
			for _, name := range st.Fix {
				if !used[name] {
					t.Errorf("%s/%s: the fix %s is named nowhere", s.Name, st.Name, name)
				}
			}
			if len(st.Fix) > 0 && st.Safe {
				t.Errorf("%s/%s is safe, and has a fix", s.Name, st.Name)
			}
		}
	}
}

// Where each session has a strategy of its own, the one that races is fixed.
func TestTheFixIsOfTheSessionThatRaces(t *testing.T) {
	for name, want := range map[string]string{
		"deposit/A=atomic-update,B=read-modify-write": "atomic-update",
		"deposit/A=read-modify-write,B=atomic-update": "atomic-update",
		"deposit/A=atomic-update,B=atomic-update":     "",
		"deposit/process-mutex":                       "immediate",
	} {
		var f controlFlags
		f.add(pflag.NewFlagSet("", pflag.ContinueOnError))
		c, err := f.choose(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.fix(); got != want {
			t.Errorf("%s: the fix is %q, want %q", name, got, want)
		}
	}
}
