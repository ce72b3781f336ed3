package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/spf13/cobra"
)

// doctorReport is racelab.doctor/1.
type doctorReport struct {
	Schema  string          `json:"schema"`
	Engines []racelab.Found `json:"engines"`
	Checks  []finding       `json:"checks"`
}

func doctorCommand() *cobra.Command {
	var asJSON bool
	f := engineFlags{}
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say what is on this machine, and what to do about the rest",
		Long: `Says which engines are on this machine, whether the place for temporary files will
do, and whether the laboratory's port is free. If a DSN or an engine is given, by
flag or as RACELAB_DSN, it is opened as every command opens it: a new database is
made there and dropped, and a sqlite:PATH is emptied.

Exit codes: 0, whatever is found; 2 usage.`,
		Example: "  racelab doctor\n  racelab doctor --engine postgres\n  racelab doctor --dsn-file dsn.txt --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r := doctorReport{Schema: "racelab.doctor/1"}
			e, address, level, err := f.resolve("")
			if err != nil {
				return err
			}
			for _, e := range dsn.Engines {
				r.Engines = append(r.Engines, e.Find(c.Context()))
			}
			r.Checks = []finding{checkTemporary(os.TempDir()), checkPort()}
			if f.engine != "" || address != "" {
				r.Checks = append(r.Checks, checkEngine(c.Context(), e, address, level))
			}
			if c.Context().Err() != nil {
				return c.Context().Err() // what was found then says nothing
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), r)
			}
			return printDoctor(c.OutOrStdout(), r)
		},
	}
	f.add(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document (racelab.doctor/1)")
	return c
}

func printDoctor(w io.Writer, r doctorReport) error {
	var b strings.Builder
	line := func(name, state, remedy string) {
		fmt.Fprintf(&b, "%-9s %s\n", name, printable(state))
		if remedy != "" {
			fmt.Fprintf(&b, "%-9s %s\n", "", printable(remedy))
		}
	}
	for _, f := range r.Engines {
		state := "not found"
		if f.Found {
			state = "found      " + f.Version
		}
		line(f.Engine, state, f.Remedy)
	}
	for _, f := range r.Checks {
		state := "fails      "
		if f.OK {
			state = "ok         "
		}
		line(f.Check, state+f.Detail, f.Remedy)
	}
	b.WriteString("\nA private server is started for a command and removed after it; nothing that\nalready runs is touched. To use a server of your own, set RACELAB_DSN. MySQL 8 is\nsupported from its manual: only MariaDB is tested.\n")
	_, err := io.WriteString(w, b.String())
	return err
}
