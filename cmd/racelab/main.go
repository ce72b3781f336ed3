// Racelab shows race conditions in code over shared data: run `racelab demo`.
package main

import (
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // a search keeps little of what it makes
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main as a function: it returns the exit code.
func run(args []string, stdout, stderr *os.File) int {
	ctx, stop := interruptible()
	defer stop()
	out := &output{file: stdout, broken: stop}
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	return ending{err: err, interrupted: ctx.Err() != nil, output: out.err, json: wantsJSON(args)}.say(stdout, stderr)
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "racelab",
		Short: "A laboratory for race conditions in code over shared data",
		Long: `racelab shows a race, decides it, explains it, and shows the fix: real code, real
workers, a real database.

Exit codes: 0 fine; 1 a race was found or a loss was seen; 2 the command makes no
sense; 3 nothing was proved; 4 an engine or a target cannot be reached, or what
was asked for broke off; 130 Ctrl-C; 141 nobody reads the output any more.`,
		Example: `  racelab demo                                       # see money disappear, and why
  racelab run deposit/read-modify-write -n 20        # the same, freely, many times
  racelab explore deposit/transaction                # every interleaving, judged
  racelab matrix deposit                             # every strategy, engine and level
  racelab show deposit/for-update                    # code and explanation
  racelab serve                                      # the laboratory on http://127.0.0.1:8080
  racelab hit non_atomic_long_delay                  # ten deposits to it, and the verdict`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError(err) })
	root.AddCommand(demoCommand(), listCommand(), showCommand(), runCommand(), exploreCommand(), matrixCommand(), serveCommand(), workerCommand(), modelWorkerCommand(),
		hitCommand(), doctorCommand(), versionCommand())
	for _, c := range root.Commands() {
		work := c.RunE
		c.RunE = func(c *cobra.Command, args []string) error { return failed(work(c, args)) }
	}
	return root
}
