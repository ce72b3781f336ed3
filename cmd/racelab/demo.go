package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
	"github.com/spf13/cobra"
)

func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "See money disappear, see why, and see it fixed",
		Long: `Two deposits of 100 to one account at the same time, on the embedded database:
first as most code has it, then fixed. No flags, nothing to set up.

Exit codes: 0 the race was shown and the fix held; 3 otherwise.`,
		Example: "  racelab demo",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return demo(c.Context(), c.OutOrStdout()) },
	}
}

// The window is wide enough for both sessions to read before either writes,
// and each act runs often enough to be no accident.
var (
	demoWindow = stage.Span{Min: 20 * time.Millisecond, Max: 60 * time.Millisecond}
	demoRuns   = 10
)

func demo(ctx context.Context, w io.Writer) (err error) {
	fmt.Fprintf(w, "Two deposits of 100 to one account at the same time, on a real database.\n\n")
	e := dsn.SQL[0]
	server, err := start(ctx, e, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()

	race, err := act(ctx, server, e, "deposit/read-modify-write")
	if race.Runs > 0 {
		fmt.Fprintf(w, "%s\n  read the balance, add 100, write it back\n\n", strong(w, "The race: deposit/read-modify-write"))
		if race.Witness != nil {
			fmt.Fprint(w, drawing(w, *race.Witness))
		}
		fmt.Fprintln(w, tally(race))
	}
	if err != nil {
		return err
	}
	fix, err := act(ctx, server, e, "deposit/atomic-update")
	if fix.Runs > 0 {
		fmt.Fprintf(w, "\n%s\n  UPDATE account SET balance = balance + 100: the database adds, nothing grows old\n\n%s\n",
			strong(w, "The fix: deposit/atomic-update"), tally(fix))
	}
	if err != nil {
		return err
	}
	if race.Losses == 0 || fix.Losses > 0 || fix.OK != fix.Calls {
		fmt.Fprintln(w, "\nThat is not what this demonstration is meant to show.")
		return exitCode(exitUnknown)
	}
	fmt.Fprint(w, `
Go on with
  racelab show deposit/atomic-update                     the code, and why it is right
  racelab explore deposit/transaction                    is a transaction enough? every interleaving
  racelab explore deposit/process-mutex --processes 2    is a mutex?
  racelab serve                                          worker processes behind HTTP; then, beside it:
  racelab hit non_atomic_long_delay --wait 0             ten deposits at once, and the verdict
  racelab doctor                                         PostgreSQL and MariaDB on this machine
`)
	return nil
}

func act(ctx context.Context, server racelab.Server, e racelab.Engine, name string) (stage.FreeReport, error) {
	s, st, err := stage.Find(scenario.All, name)
	if err != nil {
		return stage.FreeReport{}, err
	}
	sel, err := stage.Select(s, st, e, "")
	if err != nil {
		return stage.FreeReport{}, err
	}
	return sel.RunFree(ctx, server, stage.Free{Runs: demoRuns, Window: demoWindow, Seed: 1})
}

// tally says what an act's runs gave; there is at least one.
func tally(r stage.FreeReport) string {
	c := r.Claims[0]
	line := fmt.Sprintf("%s: %s; paid in %d, on the account %d: ", count(r.Runs, "run"), callsLine(r), c.Expected, c.Actual)
	if c.Off != 0 {
		return line + fmt.Sprintf("%d are gone.", c.Off)
	}
	return line + "nothing is lost."
}
