package main

import (
	"github.com/racelab/racelab/internal/lab"
	"github.com/spf13/cobra"
)

// workerCommand is what serve starts its worker processes with.
func workerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "worker",
		Short:  "Serve requests for `racelab serve`, which starts it",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := lab.WorkerMain(); err != nil {
				return usage("%w", err)
			}
			return nil
		},
	}
}
