package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
	"github.com/spf13/cobra"
)

type runFlags struct {
	engineFlags
	runs, sessions, processes int
	window, timeout, expect   string
	schedule, judge, only     string
	stepLimit                 string
	maxSteps                  int
	seed                      uint64
	json, compare, models     bool
	specFlags
}

func runCommand() *cobra.Command {
	f := runFlags{}
	c := &cobra.Command{
		Use:   "run SCENARIO[/STRATEGY] | FILE.spec",
		Short: "Run an exhibit freely: everything at once, as in production",
		Long: `Runs the scenario's whole cast at once on a real engine, -n times, and measures
after each run what must hold. Luck decides the order, so a loss proves the race
and no loss proves nothing.

A run that takes longer than --timeout is cut off, and was the last: who was
waiting for whom is said, on a terminal also while it waits.

What shares nothing but memory runs on Go's own variables, locks and channels, whose
operations nobody records. Each run is held against the serial orders, and luck is
seen beside all schedules: how many there are, as far as a small budget goes, and how
many of them violate.

A spec file (see explore) runs only with --schedule.

--compare runs each strategy in two ways, one session after another and all at
once, and says how long each takes and what it loses. It is a measurement: 0.

--compare-models measures, on this machine, what it costs to have several workers:
goroutines, goroutines on one processor, and processes. For each it says how long a
worker takes to start and a task to go there and come back, whether the race of the
scenario shows in -n runs (5000 by default), which must have no database, and how
much sooner four workers are done than one. It is a measurement too: 0.

Exit codes: 1 a loss was seen; 3 none was seen, or a run did not end; 2 usage, or
a strategy that the engine does not have; 4 the engine cannot be reached, or broke
off; 130 Ctrl-C, after the report on the runs until then. --expect anomaly makes a
loss that was seen 0.`,
		Example: `  racelab run deposit/read-modify-write -n 20 --sessions 8
  racelab run deposit/transaction --engine postgres --level "REPEATABLE READ"
  racelab run deposit/process-mutex --processes 2
  racelab run counter/read-modify-write -n 1000
  racelab run deposit/for-update --engine mysql --window 10ms..50ms --json
  racelab run transfer --compare --sessions 4 --window 20ms
  racelab run counter --compare-models
  racelab run deposit/transaction --engine postgres --schedule "A1 A2 B1 B2"`,
		Args: oneExhibit,
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.together(c); err != nil {
				return err
			}
			if c.Flags().Changed("schedule") {
				return runSchedule(c, args[0], f.schedule, f.expect, controlFlags{f.engineFlags, f.sessions, f.processes, f.only, f.judge, f.stepLimit, f.maxSteps, f.json, f.specFlags})
			}
			if isSpec(args[0]) {
				return usage("%s is a spec file, whose steps go in an order: give one with --schedule, or run them all with `racelab explore %s`", args[0], shellQuote(args[0]))
			}
			if f.compare {
				return runCompare(c, args[0], f)
			}
			if f.models {
				return runModels(c, args[0], f)
			}
			return runFree(c, args[0], f)
		},
	}
	f.add(c.Flags())
	c.Flags().IntVarP(&f.runs, "runs", "n", 20, "how often the whole cast runs")
	c.Flags().IntVar(&f.sessions, "sessions", 0, "sessions at once; roles are dealt out in turn (default: the scenario's cast)")
	c.Flags().IntVar(&f.processes, "processes", 1, "simulated processes the sessions are spread over: each has its own mutexes and caches")
	c.Flags().StringVar(&f.window, "window", "1ms..3ms", "time between read and write; without a database 0 if it is not given, so that luck alone decides")
	c.Flags().StringVar(&f.timeout, "timeout", "60s", "how long one run may take")
	c.Flags().Uint64Var(&f.seed, "seed", 0, "seed for the windows; 0 draws another one each time")
	c.Flags().StringVar(&f.expect, "expect", "holds", "what counts as success: holds or anomaly")
	c.Flags().StringVar(&f.schedule, "schedule", "", `under control instead: let the operations in in this order ("A1 B1 A2 B2"), then go on without preemption`)
	c.Flags().StringVar(&f.only, "only", "", "with --schedule, the sessions that run, such as A,C; the others do not")
	c.Flags().StringVar(&f.judge, "judge", "serial", "with --schedule, what the run is held against: serial or invariant")
	c.Flags().StringVar(&f.stepLimit, "step-limit", "30s", "with --schedule, how long a step may take while nobody is waited for")
	c.Flags().IntVar(&f.maxSteps, "max-steps", stage.MostSteps, "with --schedule, steps that the run may have; with more it is taken to have no end")
	f.addSpec(c.Flags())
	c.Flags().BoolVar(&f.compare, "compare", false, "run one session after another, and all at once, and compare")
	c.Flags().BoolVar(&f.models, "compare-models", false, "measure execution models on this machine: goroutines, goroutines on one processor, processes")
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON document (racelab.run/1, racelab.replay/1, racelab.pace/1 or racelab.models/1)")
	return c
}

// together checks that no flag was given that would be ignored.
func (f runFlags) together(c *cobra.Command) error {
	given := c.Flags().Changed
	alone := func(flag string, others ...string) error {
		for _, other := range others {
			if given(other) {
				return usage("--%s and --%s do not go together", other, flag)
			}
		}
		return nil
	}
	if given("schedule") {
		return alone("schedule", "compare", "compare-models", "runs", "window", "timeout", "seed")
	}
	if f.models {
		if err := alone("compare-models", "compare", "window", "processes", "expect", "engine", "level", "dsn", "dsn-file"); err != nil {
			return err
		}
	}
	for _, controlled := range []string{"only", "judge", "step-limit", "max-steps", "permutation", "allow-destructive"} {
		if given(controlled) {
			return usage("--%s is for --schedule", controlled)
		}
	}
	if f.compare && given("expect") {
		return usage("--compare and --expect do not go together")
	}
	return nil
}

// free checks what was typed and makes it a way to run.
func (f runFlags) free() (stage.Free, error) {
	free := stage.Free{Runs: f.runs, Sessions: f.sessions, Processes: f.processes, Seed: f.seed}
	switch {
	case f.runs < 1 || f.runs > 1_000_000:
		return free, usage("-n is %d: give a number from 1 to 1000000", f.runs)
	case f.sessions < 0 || f.sessions > 64:
		return free, usage("--sessions is %d: give a number from 1 to 64, or 0 for the scenario's cast", f.sessions)
	case f.processes < 1 || f.processes > 64:
		return free, usage("--processes is %d: give a number from 1 to 64", f.processes)
	case f.expect != "holds" && f.expect != "anomaly":
		return free, usage("--expect is %q: give holds or anomaly", f.expect)
	}
	var err error
	if free.Window, err = stage.ParseSpan(f.window); err != nil {
		return free, usage("--window: %w", err)
	}
	if free.Timeout, err = stage.ParseDuration(f.timeout); err != nil {
		return free, usage("--timeout: %w", err)
	}
	if free.Timeout == 0 {
		return free, usage("--timeout is %s: it must be more than 0", f.timeout)
	}
	return free, nil
}

// luck leaves the window out of what shares nothing but memory, unless one was
// asked for: how often the race shows there is the question.
func (f runFlags) luck(name string) runFlags {
	name, _, _ = strings.Cut(name, "/")
	if s, ok := scenario.Named(name); ok && s.Setup == nil && !f.given.Changed("window") {
		f.window = "0"
	}
	return f
}

func runFree(c *cobra.Command, name string, f runFlags) error {
	f = f.luck(name)
	free, err := f.free()
	if err != nil {
		return err
	}
	s, st, err := stage.Find(scenario.All, name)
	if err != nil {
		return usage("%w", err)
	}
	if st == nil {
		return usage("%s has several strategies: name one, such as %s/%s (see `racelab show %s`), or --compare them", name, name, s.Strategies[0].Name, name)
	}
	e, dsn, level, err := f.resolve(name)
	if err != nil {
		return err
	}
	sel, err := selection(s, st, e, level)
	if err != nil {
		return err
	}
	if free.Seed == 0 {
		free.Seed = rand.Uint64()
		_ = c.Flags().Set("seed", strconv.FormatUint(free.Seed, 10)) // so that the line to type again has it
	}
	began := time.Now()
	server, err := start(c.Context(), e, dsn)
	if err != nil {
		return err
	}
	progress := newProgress(c.ErrOrStderr(), "run", f.runs)
	free.Progress = progress.at
	free.Waiting = func(who []string) { progress.note(strings.Join(who, "; ")) }
	r, err := sel.RunFree(c.Context(), server, free)
	progress.clear()
	out := newRunReport(sel, server.Product(), free, r)
	err = errors.Join(err, server.Close())
	if errors.Is(err, stage.ErrEnds) {
		return &exit{code: exitUsage, name: "not-available", err: fmt.Errorf("run %s: %w", sel.Name(), err), remedy: "see it under control: `" + f.picture(sel) + "`"}
	}
	if err != nil && c.Context().Err() == nil {
		return &exit{code: exitUnreachable, name: "engine", err: fmt.Errorf("run %s: %w", sel.Name(), err)}
	}
	if r.Explored != nil {
		line := f.picture(sel)
		out.Picture = &line
	}
	out.interrupted(c.Context(), r)
	out.Command, out.Needs = lineOf(c, sel.Name()), f.needs()
	out.Seconds = time.Since(began).Seconds()
	var said error
	if f.json {
		said = writeJSON(c.OutOrStdout(), out)
	} else {
		said = printRun(c.OutOrStdout(), sel, out, r, runFix(c, sel, out))
	}
	if said != nil {
		return errors.Join(said, err)
	}
	if err != nil {
		return errors.Join(exitCode(exitInterrupted), err)
	}
	return exitCode(f.code(out.Verdict))
}

// picture is the line that shows a run of shared memory step by step. More
// sessions than can be explored are as many as there are in the scenario.
func (f runFlags) picture(sel stage.Selection) string {
	control := controlFlags{engineFlags: f.engineFlags, processes: f.processes, judge: "serial"}
	if f.sessions <= mostSessions {
		control.sessions = f.sessions
	}
	return chosen{Selection: sel}.command("explore", sel.Name(), &control)
}

func (f runFlags) code(v racelab.VerdictKind) int {
	switch {
	case v != racelab.Violated:
		return exitUnknown
	case f.expect == "anomaly":
		return exitOK
	}
	return exitViolated
}

// needs lists what the lines to type again leave to the environment.
func (f runFlags) needs() []string {
	if f.unsaid() {
		return []string{"RACELAB_DSN"}
	}
	return []string{}
}

// runFix is the line that runs a strategy which holds in the same way; "" if there
// was no loss.
func runFix(c *cobra.Command, sel stage.Selection, r runReport) string {
	name := fixOf(sel)
	if r.Verdict != racelab.Violated || name == "" {
		return ""
	}
	return lineOf(c, sel.Scenario.Name+"/"+name)
}

// interrupted says in the report that the runs were stopped, if they were.
func (r *runReport) interrupted(ctx context.Context, free stage.FreeReport) {
	if ctx.Err() == nil || free.NotMade() == 0 && free.Unknown == 0 {
		return
	}
	why := fmt.Sprintf("stopped after %d of %s", r.Runs, count(r.asked, "run"))
	if r.Verdict == racelab.Unknown && r.Runs > 0 {
		why += "; no loss was seen until then"
	}
	r.Reason = &why
}
