package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/spf13/cobra"
)

// doctorReport is racelab.doctor/1.
type doctorReport struct {
	Schema  string          `json:"schema"`
	Engines []racelab.Found `json:"engines"`
}

func doctorCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "doctor",
		Short:   "Say which engines are on this machine, and what to do about the rest",
		Example: "  racelab doctor\n  racelab doctor --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r := doctorReport{Schema: "racelab.doctor/1"}
			for _, e := range dsn.Engines {
				r.Engines = append(r.Engines, e.Find(c.Context()))
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), r)
			}
			return printDoctor(c.OutOrStdout(), r)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document (racelab.doctor/1)")
	return c
}

func printDoctor(w io.Writer, r doctorReport) error {
	var b strings.Builder
	for _, f := range r.Engines {
		state := "not found"
		if f.Found {
			state = "found      " + f.Version
		}
		fmt.Fprintf(&b, "%-9s %s\n", f.Engine, printable(state))
		if f.Remedy != "" {
			fmt.Fprintf(&b, "%-9s %s\n", "", f.Remedy)
		}
	}
	b.WriteString("\nA private server is started for a command and removed after it; nothing that\nalready runs is touched. To use a server of your own, set RACELAB_DSN. MySQL 8 is\nsupported from its manual: only MariaDB is tested.\n")
	_, err := io.WriteString(w, b.String())
	return err
}
