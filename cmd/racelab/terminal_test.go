package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
	"github.com/racelab/racelab/scenario"
	"github.com/spf13/cobra"
)

// What a program calls its values, panics with and returns may hold line ends
// and what steers a terminal. No report shows them as they are.
func TestNothingThatAProgramSaysSteersATerminal(t *testing.T) {
	const forged = "\nverdict  holds\x1b[2J"
	type shared struct {
		n *mem.Atomic[string]
		m *mem.Mutex
	}
	as := func(do func(s shared) (racelab.Value, error)) map[string]racelab.Body {
		return map[string]racelab.Body{"role": func(_ context.Context, env *racelab.Env) (racelab.Value, error) {
			return do(env.Process.(shared))
		}}
	}
	process := func(m *racelab.Memory) any {
		return shared{mem.NewAtomic(m, "n"+forged, ""), mem.NewMutex(m, "m -- "+forged)}
	}
	s := &racelab.Scenario{
		Name: "nasty",
		Cast: []racelab.Role{{Name: "role", Calls: []racelab.Args{nil}}, {Name: "role", Calls: []racelab.Args{nil}}},
		Invariants: []racelab.Invariant{{Name: "sum" + forged, Measure: func(s racelab.State) (int64, int64, error) {
			return 0, int64(len(s[0].Rows[0][0].(string))), nil
		}}},
		Strategies: []racelab.Strategy{
			{Name: "store", Process: process, Body: as(func(s shared) (racelab.Value, error) {
				before := s.n.Load()
				s.n.Store(forged)
				return before, nil
			})},
			{Name: "deadlock", Process: process, Body: as(func(s shared) (racelab.Value, error) {
				s.m.Lock()
				s.m.Lock()
				return nil, nil
			})},
			{Name: "panic", Process: process, Body: as(func(s shared) (racelab.Value, error) {
				s.m.Lock()
				defer s.m.Unlock()
				panic(errors.New("half" + forged))
			})},
			{Name: "spin", Process: process, Body: as(func(s shared) (racelab.Value, error) {
				for s.n.Load() == "" {
				}
				return nil, nil
			})},
		},
	}
	all := scenario.All
	t.Cleanup(func() { scenario.All = all })
	scenario.All = append(slices.Clone(all), s)
	for name, schedule := range map[string]string{"store": "A1 A2 B1 B2", "deadlock": "A1", "panic": "A1 A2 B1 B2", "spin": "A1"} {
		for _, printed := range []string{
			reportOf(t, exploreCommand(), "nasty/"+name),
			reportOf(t, runCommand(), "nasty/"+name, "--schedule", schedule),
		} {
			if strings.ContainsAny(printed, "\x1b\r") || strings.Count(printed, "\nverdict") > 1 {
				t.Errorf("%s:\n%s", name, printed)
			}
			if name == "deadlock" && !strings.Contains(printed, `m -- \nverdict  holds\x1b[2J`) { // and is no comment of SQL
				t.Errorf("the mutex is not shown by its whole name:\n%s", printed)
			}
		}
	}
	printed := reportOf(t, runCommand(), "nasty/store", "-n", "20")
	if strings.ContainsAny(printed, "\x1b\r") || strings.Count(printed, "\nverdict") > 1 {
		t.Errorf("store, freely:\n%s", printed)
	}
}

// reportOf is what a command prints for people.
func reportOf(t *testing.T, c *cobra.Command, args ...string) string {
	t.Helper()
	c.SilenceUsage, c.SilenceErrors = true, true // as the root command has it
	var out strings.Builder
	c.SetOut(&out)
	c.SetContext(t.Context())
	c.SetArgs(args)
	if err := c.Execute(); codeOf(err) == exitUsage || codeOf(err) == exitUnreachable {
		t.Fatalf("%v: %v", args, err)
	}
	return out.String()
}
