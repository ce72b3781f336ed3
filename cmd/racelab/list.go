package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/racelab/racelab/scenario"
	"github.com/spf13/cobra"
)

// listReport is racelab.list/1.
type listReport struct {
	Schema    string           `json:"schema"`
	Scenarios []listedScenario `json:"scenarios"`
}

type listedScenario struct {
	Name       string           `json:"name"`
	Summary    string           `json:"summary"`
	Sessions   int              `json:"sessions"`
	Sources    []string         `json:"sources"`
	Strategies []listedStrategy `json:"strategies"`
}

type listedStrategy struct {
	Name      string         `json:"name"`
	Summary   string         `json:"summary"`
	Endpoints []string       `json:"endpoints"`
	Safe      bool           `json:"safe"`
	Fix       []string       `json:"fix"` // strategies without the race, the closest first
	Engines   []availability `json:"engines"`
}

type availability struct {
	Engine    string          `json:"engine"`
	Available bool            `json:"available"`
	Because   *string         `json:"because"`
	Levels    []racelab.Level `json:"levels"`
}

func listCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the exhibits and their strategies",
		Long: `Lists the exhibits with their strategies. One that is safe is declared to hold on
every engine and at every level it is available at, also across processes.`,
		Example: "  racelab list\n  racelab list --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if asJSON {
				return writeJSON(c.OutOrStdout(), listing())
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, s := range listing().Scenarios {
				fmt.Fprintf(w, "%s\t%s\n", s.Name, s.Summary)
				for _, st := range s.Strategies {
					fmt.Fprintf(w, "  /%s\t%s  %s%s\n", st.Name, padded(mark(st), 4), st.Summary, restriction(st.Engines))
				}
			}
			return w.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document (racelab.list/1)")
	return c
}

// oneExhibit is for commands whose argument is one of what is listed.
func oneExhibit(c *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return usage("%s takes one SCENARIO or SCENARIO/STRATEGY, and got %d: `racelab list` names them", c.CommandPath(), len(args))
}

func listing() listReport {
	r := listReport{Schema: "racelab.list/1"}
	for _, s := range scenario.All {
		l := listedScenario{Name: s.Name, Summary: s.Summary, Sessions: len(s.Dealt(0)), Sources: s.Sources}
		for i := range s.Strategies {
			l.Strategies = append(l.Strategies, listed(s, &s.Strategies[i]))
		}
		r.Scenarios = append(r.Scenarios, l)
	}
	return r
}

func listed(s *racelab.Scenario, st *racelab.Strategy) listedStrategy {
	return listedStrategy{
		Name: st.Name, Summary: st.Summary, Endpoints: append([]string{}, st.Endpoints...), Safe: st.Safe,
		Fix: append([]string{}, st.Fix...), Engines: engines(s, st),
	}
}

// mark says what a strategy is declared to be, which nothing is that no engine
// has.
func mark(st listedStrategy) string {
	switch {
	case st.Safe:
		return "safe"
	case slices.ContainsFunc(st.Engines, func(a availability) bool { return a.Available }):
		return "racy"
	}
	return "–"
}

// engines says where a strategy is available, and at which levels.
func engines(s *racelab.Scenario, st *racelab.Strategy) []availability {
	var all []availability
	for _, e := range dsn.For(s) {
		a := availability{Engine: e.Name, Levels: []racelab.Level{}}
		if why := s.Because(st, e, ""); why != "" {
			a.Because = &why
		} else {
			a.Available = true
			for _, l := range e.Dialect.Levels {
				if s.Because(st, e, l) == "" {
					a.Levels = append(a.Levels, l)
				}
			}
		}
		all = append(all, a)
	}
	return all
}

// restriction names the engines a strategy is limited to; "" if it is not.
func restriction(as []availability) string {
	var have []string
	for _, a := range as {
		if a.Available {
			have = append(have, a.Engine)
		}
	}
	if len(have) == len(as) {
		return ""
	}
	if len(have) == 0 {
		return " (on no engine)"
	}
	return " (only " + strings.Join(have, ", ") + ")"
}
