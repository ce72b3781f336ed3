package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/scenario"
	"github.com/spf13/cobra"
)

// shown is racelab.show/1, of a strategy.
type shown struct {
	Schema   string         `json:"schema"`
	Scenario string         `json:"scenario"`
	Name     string         `json:"name"`
	Summary  string         `json:"summary"`
	body                    // of the first role
	Safe     bool           `json:"safe"`
	Fix      []string       `json:"fix"`
	Engines  []availability `json:"engines"`
	Others   []body         `json:"others,omitempty"` // other roles' bodies
	Expected []declaration  `json:"expected"`
	Reading  []string       `json:"reading"`
}

// A body is a role's code and its explanation.
type body struct {
	Role string `json:"role"`
	Doc  string `json:"doc"`
	Code string `json:"code"`
	File string `json:"file"`
	Line int    `json:"line"`
}

// shownScenario is racelab.show/1, of a scenario.
type shownScenario struct {
	Schema     string          `json:"schema"`
	Name       string          `json:"name"`
	Summary    string          `json:"summary"`
	Doc        string          `json:"doc"`
	Invariants []string        `json:"invariants"`
	Strategies []shownStrategy `json:"strategies"`
	Sources    []string        `json:"sources"`
	Reading    []string        `json:"reading"`
}

type shownStrategy struct {
	listedStrategy
	Expected []declaration `json:"expected"`
}

const showSchema = "racelab.show/1"

func showCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "show SCENARIO[/STRATEGY]",
		Short: "Show an exhibit: its story, or a strategy's code and explanation",
		Long: `Shows a scenario's story and strategies, or one strategy's explanation and code,
and what each is declared to come to on every engine and level, which ` + "`racelab matrix`" + `
computes. The code is the very text that was compiled into this program.

Exit codes: 0; 2 there is no such exhibit.`,
		Example: "  racelab show deposit\n  racelab show deposit/for-update\n  racelab show deposit/for-update --json",
		Args:    oneExhibit,
		RunE: func(c *cobra.Command, args []string) error {
			s, st, err := exhibit(args[0])
			if err != nil {
				return err
			}
			if st == nil {
				return showScenario(c.OutOrStdout(), s, asJSON)
			}
			return showStrategy(c.OutOrStdout(), s, st, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document ("+showSchema+")")
	return c
}

func showScenario(w io.Writer, s *racelab.Scenario, asJSON bool) error {
	r := shownScenario{Schema: showSchema, Name: s.Name, Summary: s.Summary, Doc: s.Story, Sources: s.Sources, Reading: s.Reading}
	for _, i := range s.Invariants {
		r.Invariants = append(r.Invariants, i.Name)
	}
	for i := range s.Strategies {
		r.Strategies = append(r.Strategies, shownStrategy{listed(s, &s.Strategies[i]), declarations(s, &s.Strategies[i])})
	}
	if asJSON {
		return writeJSON(w, r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n\n%s\n\n", strong(w, r.Name), r.Summary, r.Doc)
	fmt.Fprintf(&b, "What must hold\n  %s\n", strings.Join(r.Invariants, "\n  "))
	b.WriteString("\nStrategies\n")
	for i, st := range r.Strategies {
		fmt.Fprintf(&b, "  %s (%s): %s\n%s", strong(w, st.Name), mark(st.listedStrategy), st.Summary, declaredText(s, &s.Strategies[i], "    "))
	}
	list := func(title string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(&b, "\n%s\n  %s\n", title, strings.Join(lines, "\n  "))
		}
	}
	list("Sources", r.Sources)
	list("Reading", r.Reading)
	list("Go on with", []string{
		"racelab show " + s.Name + "/" + s.Strategies[0].Name,
		"racelab explore " + s.Name,
		"racelab matrix " + s.Name,
	})
	_, err := io.WriteString(w, b.String())
	return err
}

// bodies are a strategy's, in the order of the cast, each role once.
func bodies(s *racelab.Scenario, st *racelab.Strategy) ([]body, error) {
	var all []body
	seen := map[string]bool{}
	for _, role := range s.Cast {
		code, ok := st.Body[role.Name]
		if !ok || seen[role.Name] {
			continue
		}
		seen[role.Name] = true
		source, err := scenario.Source(code)
		if err != nil {
			return nil, err
		}
		all = append(all, body{role.Name, source.Doc, source.Code, "scenario/" + source.File, source.Line})
	}
	return all, nil
}

func showStrategy(w io.Writer, s *racelab.Scenario, st *racelab.Strategy, asJSON bool) error {
	all, err := bodies(s, st)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(w, shown{showSchema, s.Name, st.Name, st.Summary, all[0], st.Safe, append([]string{}, st.Fix...), engines(s, st), all[1:], declarations(s, st), s.Reading})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s): %s\n\n", strong(w, s.Name+"/"+st.Name), mark(listed(s, st)), st.Summary)
	for _, one := range all {
		if len(all) > 1 {
			fmt.Fprintf(&b, "%s\n\n", strong(w, "as "+one.Role))
		}
		fmt.Fprintf(&b, "%s\n%s:%d\n\n%s\n\n", one.Doc, one.File, one.Line, one.Code)
	}
	if len(st.Endpoints) > 0 {
		fmt.Fprintf(&b, "in the laboratory  POST /%s/%s, and as the reference has it: /demo/%s/\n", s.Name, st.Name, strings.Join(st.Endpoints, "/, /demo/"))
	}
	for _, a := range engines(s, st) {
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
	if declared := declaredText(s, st, "  "); declared != "" {
		fmt.Fprintf(&b, "\nDeclared, and computed by `racelab matrix %s/%s`\n%s", s.Name, st.Name, declared)
	}
	if len(st.Fix) > 0 {
		b.WriteString("\nThe fix\n")
		for _, name := range st.Fix {
			fmt.Fprintf(&b, "  racelab show %s/%s\n", s.Name, name)
		}
	}
	if len(s.Reading) > 0 {
		fmt.Fprintf(&b, "\nReading\n  %s\n", strings.Join(s.Reading, "\n  "))
	}
	_, err = io.WriteString(w, b.String())
	return err
}
