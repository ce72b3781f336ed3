// Racelab shows race conditions in code over shared data: run `racelab demo`.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main as a function: it returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait for the clean-up
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	code := codeOf(err)
	var e *exit
	said := errors.As(err, &e) && e.err == nil
	if ctx.Err() != nil && code != exitViolated {
		code = exitInterrupted
		if !said {
			fmt.Fprintln(stderr, "racelab: interrupted")
		}
		return code
	}
	if !said {
		report(err, code, wantsJSON(command), stdout, stderr)
	}
	return code
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "racelab",
		Short: "A laboratory for race conditions in code over shared data",
		Long: `racelab shows a race, explains it, and shows the fix: real code, real workers,
a real database.

Exit codes: 0 fine; 1 a race was found or a loss was seen; 2 the command makes no
sense; 3 nothing was proved; 4 an engine or a target cannot be reached; 130 Ctrl-C.`,
		Example: `  racelab demo                                       # see money disappear, and why
  racelab run deposit/read-modify-write -n 20        # the same, freely, many times
  racelab show deposit/for-update                    # code and explanation
  racelab serve                                      # the laboratory on http://127.0.0.1:8080
  racelab hit                                        # ten deposits to it, and the verdict`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(demoCommand(), listCommand(), showCommand(), runCommand(), serveCommand(), workerCommand(),
		hitCommand(), doctorCommand(), versionCommand())
	return root
}

func wantsJSON(c *cobra.Command) bool {
	f := c.Flags().Lookup("json")
	return f != nil && f.Value.String() == "true"
}

// report says an error: for a program on stdout, for a person on stderr.
func report(err error, code int, asJSON bool, stdout, stderr io.Writer) {
	e := &exit{name: "usage", remedy: "see `racelab --help`"}
	errors.As(err, &e)
	if asJSON {
		_ = writeJSON(stdout, map[string]string{
			"schema": "racelab.error/1", "code": e.name, "message": err.Error(), "remedy": e.remedy,
		})
		return
	}
	fmt.Fprintf(stderr, "racelab: %s\n", printable(err.Error()))
	if e.remedy != "" {
		fmt.Fprintf(stderr, "  %s\n", e.remedy)
	}
}

func writeJSON(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
