package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
	"github.com/spf13/cobra"
)

func showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show SCENARIO[/STRATEGY]",
		Short: "Show an exhibit: its story, or a strategy's code and explanation",
		Long: `Shows a scenario's story and strategies, or one strategy's explanation and code.
The code is the very text that was compiled into this program.`,
		Example: "  racelab show deposit\n  racelab show deposit/for-update",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, st, err := stage.Find(scenario.All, args[0])
			if err != nil {
				return usage("%w", err)
			}
			if st == nil {
				return showScenario(c.OutOrStdout(), s)
			}
			return showStrategy(c.OutOrStdout(), s, st)
		},
	}
}

func showScenario(w io.Writer, s *racelab.Scenario) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n\n%s\n\n", strong(w, s.Name), s.Summary, s.Story)
	b.WriteString("What must hold\n")
	for _, i := range s.Invariants {
		fmt.Fprintf(&b, "  %s\n", i.Name)
	}
	b.WriteString("\nStrategies\n")
	for i := range s.Strategies {
		st := &s.Strategies[i]
		mark := "racy"
		if st.Safe {
			mark = "safe"
		}
		fmt.Fprintf(&b, "  %-22s %s  %s\n", st.Name, mark, st.Summary)
	}
	fmt.Fprintf(&b, "\nSources\n  %s\n\nReading\n  %s\n", strings.Join(s.Sources, "\n  "), strings.Join(s.Reading, "\n  "))
	_, err := io.WriteString(w, b.String())
	return err
}

func showStrategy(w io.Writer, s *racelab.Scenario, st *racelab.Strategy) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n\n", strong(w, s.Name+"/"+st.Name), st.Summary)
	shown := map[string]bool{}
	for _, role := range s.Cast {
		body, ok := st.Body[role.Name]
		if !ok || shown[role.Name] {
			continue
		}
		shown[role.Name] = true
		source, err := scenario.Source(body)
		if err != nil {
			return err
		}
		if len(st.Body) > 1 {
			fmt.Fprintf(&b, "%s\n\n", strong(w, "as "+role.Name))
		}
		fmt.Fprintf(&b, "%s\n%s\n\n", source.Doc, source.Code)
	}
	if len(st.Endpoints) > 0 {
		fmt.Fprintf(&b, "in the laboratory  POST /%s/%s, and as the reference has it: /demo/%s/\n", s.Name, st.Name, strings.Join(st.Endpoints, "/, /demo/"))
	}
	for _, a := range engines(st) {
		if !a.Available {
			fmt.Fprintf(&b, "%-8s  not available, because %s\n", a.Engine, *a.Because)
			continue
		}
		names := make([]string, len(a.Levels))
		for i, l := range a.Levels {
			names[i] = string(l)
		}
		fmt.Fprintf(&b, "%-8s  %s\n", a.Engine, strings.Join(names, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
