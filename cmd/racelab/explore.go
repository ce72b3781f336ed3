package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
	"github.com/spf13/cobra"
)

type exploreFlags struct {
	controlFlags
	budget  string
	workers int
	faults  int
	brute   bool
	bound   int
	random  int
	pct     int
	depth   int
	seed    uint64
	expect  string

	weaken, advise bool
	baseline       string
	accept         bool

	save, resume, part string

	format string // of a spec file
}

func exploreCommand() *cobra.Command {
	f := exploreFlags{}
	c := &cobra.Command{
		Use:   "explore SCENARIO[/STRATEGY] | FILE.spec",
		Short: "Decide a race: run every interleaving, judge each against serial order",
		Long: `Runs the strategy's sessions in every order of their operations that matters, on a
real engine. A run is a violation if no serial order of its calls gives what they
returned and the state they left, or if an invariant does not hold. Calls that the
database aborted, or that were refused, count as not run. In shared memory a data
race is a finding too, whatever it came to, and so are sessions that are stuck and
what ends a Go program.

Orders that differ only in steps that do not touch the same rows, locks or snapshots
come to the same; one of them is run. What is not sure to be exchangeable is not
exchanged. --brute runs them all, --bound N those with at most N preemptions.

The verdict is for these sessions, at the granularity of statements. A finding is
run again ten times before it is reported.

SCENARIO/A=STRATEGY,B=STRATEGY gives each session a strategy of its own. SCENARIO
alone explores each strategy that there is on the engine and level, and compares
them with what they are declared to come to; --budget is then for each.

--faults 1 also takes a session's connection away, before an operation is sent,
A4(drop before), or after it is done, A4(drop after): then the answer is lost, and
the call may have happened or not. Where the engine lets itself be told, each session
of a deadlock is its victim in turn: B3(victim A).

--weaken then takes away, one at a time, what protects a strategy that holds: the
locks of its statements, its level, unique constraints, retries. --advise tries what
might help one that is violated: the scenario's safe strategies, higher levels, locks
on what it reads. Each is explored.

--random N draws schedules instead, the same ones for the same --seed: each choice
is as likely, and with --faults a lost connection is among them at every step.
--pct N gives the sessions random priorities instead, and lets the one that would go
fall below the others at --depth less one random steps (Burckhardt et al., A
Randomized Scheduler with Probabilistic Guarantees of Finding Bugs, 2010): a bug that
needs so many orders between two steps is found with a probability that is said.

--save FILE keeps what a budget leaves to do; --resume FILE goes on with it, by the
same build of racelab. With --part I/N a process does its share of the search;
--resume F1,F2 puts what all of them have saved together, and goes on.

--baseline FILE lets findings pass that FILE lists; with --accept this one is put
into it. A spec file is listed by its path from the folder of FILE.

FILE.spec is a file of sessions and their steps in SQL, in the format of PostgreSQL's
isolation tests, on any engine. A session is one call: its set-up, its steps and its
teardown, on one connection. It returns the rows that its committed transactions have
shown; what it rolled back does not count. Compared at the end are all tables. Steps
are sent whatever came of those before; what failed in every run is said. On an engine
that goes on in a transaction after a deadlock, a serialization failure or a refused
lock, the rest of it is left out and ROLLBACK sent, as if it failed there as on
PostgreSQL. A comment line

  # racelab: invariant NAME: SELECT count(*) = 1 FROM t

says what must hold in the end (the name may be left out): the query gives one value,
true or a number other than 0. Permutations say which steps there are, and not in which
order: if they differ, --permutation N takes the N-th's. Their markers say nothing here.
The file's own teardown is not run: every run begins with what its set-up makes.

FILE.spec --format isolationtester runs the file's permutations and prints what
PostgreSQL's own program, isolationtester, prints, byte for byte, and with its exit
codes, 0 and 1. Nothing is judged. A permutation that schedules a step of a session
which waits for ever ends at once, with a line that begins "racelab:". --step-limit is
then 5m. With PGISOLATIONTIMEOUT set to a number of seconds, a step is cancelled after
that time and the test given up after twice that, as there, and nothing ends sooner.
Sessions are called PGAPPNAME, or else isolation/FILE, and their name, as in
PostgreSQL's own runs.

With a DSN that names a database which is not empty, both are refused without
--allow-destructive: a file's statements may name anything on that server. What is
judged runs in new databases beside it. --format isolationtester runs in the one that
is named, on PostgreSQL, and does to it what the file says.

Exit codes: 0 holds, and everything was searched (or the bound or random sample asked
for), or only a finding of the baseline; 1 violated; 3 unknown: the budget was used up,
control was lost, a run has more steps than --max-steps, or one schedule gave different
histories; 2 usage, or a strategy that the engine does not have; 4 the engine cannot be
reached, or it or a session's connection was lost; 130 Ctrl-C. --expect anomaly turns 0
and 1 round. For a scenario: 0 each strategy agrees with what is declared; 1 one does
not; 3 one is unknown.`,
		Example: `  racelab explore deposit/transaction
  racelab explore deposit --engine postgres
  racelab explore deposit/transaction --engine postgres --level "REPEATABLE READ"
  racelab explore deposit/process-mutex --processes 2
  racelab explore deposit/A=for-update,B=read-modify-write --engine mysql
  racelab explore deposit/serializable-retry --sessions 3 --budget 30s --workers 2
  racelab explore deposit/atomic-update --faults 1
  racelab explore deposit/for-update --engine postgres --weaken
  racelab explore deposit/transaction --engine postgres --advise
  racelab explore deposit/immediate --random 1000 --seed 7 --json
  racelab explore counter/read-modify-write --sessions 6 --pct 500 --depth 2
  racelab explore examples/lost-update.spec --engine postgres
  racelab explore deadlock-simple.spec --format isolationtester`,
		Args: oneExhibit,
		RunE: func(c *cobra.Command, args []string) error { return exploreRun(c, args[0], f) },
	}
	f.add(c.Flags())
	c.Flags().StringVar(&f.budget, "budget", "60s", "how much to search: a time (30s), a number of runs (5000), or all")
	c.Flags().IntVar(&f.workers, "workers", 1, "how many search at once, each in a database of its own")
	c.Flags().BoolVar(&f.brute, "brute", false, "run all schedules, also those that differ only in the order of what may be exchanged")
	c.Flags().IntVar(&f.bound, "bound", -1, "run the schedules with so many preemptions and faults at most, and no others")
	c.Flags().IntVar(&f.faults, "faults", 0, "connections that are lost in a schedule, at most")
	c.Flags().IntVar(&f.random, "random", 0, "run that many random schedules instead of all")
	c.Flags().IntVar(&f.pct, "pct", 0, "run that many schedules by random priorities instead of all (probabilistic concurrency testing)")
	c.Flags().IntVar(&f.depth, "depth", 3, "with --pct, the depth of the bugs to look for, from 1 to 10: how many orders between two steps they need")
	c.Flags().Uint64Var(&f.seed, "seed", 1, "seed of the random schedules")
	c.Flags().StringVar(&f.expect, "expect", "holds", "what counts as success: holds or anomaly")
	c.Flags().BoolVar(&f.weaken, "weaken", false, "if it holds, say which of its protections it needs")
	c.Flags().BoolVar(&f.advise, "advise", false, "if it is violated, say what helps")
	c.Flags().StringVar(&f.save, "save", "", "write what is left to do, and what was found, to a file")
	c.Flags().StringVar(&f.resume, "resume", "", "go on with a saved file, or with those of all parts: F1,F2")
	c.Flags().StringVar(&f.part, "part", "", "do one of N parts, 1/N to N/N, for --resume to put together")
	c.Flags().StringVar(&f.baseline, "baseline", "", "file of accepted findings: with no other ones the exit code is 0")
	c.Flags().StringVar(&f.format, "format", "", "isolationtester: run a spec file as PostgreSQL's own program does")
	c.Flags().BoolVar(&f.accept, "accept", false, "add the finding to the baseline")
	return c
}

func (f *exploreFlags) exploration(how stage.Controlled) (stage.Exploration, error) {
	x := stage.Exploration{
		Reduced:    !f.brute && f.bound < 0 && f.sampled() == "",
		Controlled: how, Workers: f.workers, Faults: f.faults, Random: f.random, Seed: f.seed, InvariantsOnly: f.judge == "invariant",
	}
	if f.given.Changed("pct") {
		x.Random, x.Depth = f.pct, f.depth
	}
	switch {
	case f.workers < 1 || f.workers > 16:
		return x, usage("--workers is %d: give a number from 1 to 16", f.workers)
	case f.faults < 0 || f.faults > 3:
		return x, usage("--faults is %d: give a number from 0 to 3", f.faults)
	case f.weaken && f.advise:
		return x, usage("--weaken and --advise do not go together: one is for what holds, the other for what is violated")
	case f.given.Changed("baseline") && f.baseline == "":
		return x, usage("--baseline is empty: name a file of accepted findings")
	case f.accept && f.baseline == "":
		return x, usage("--accept needs --baseline FILE")
	case f.bound < -1:
		return x, usage("--bound is %d: give a number of preemptions, 0 or more", f.bound)
	case f.given.Changed("random") && f.given.Changed("pct"):
		return x, usage("--random and --pct do not go together: each draws a sample in its own way")
	case f.bound >= 0 && f.sampled() != "":
		return x, usage("--bound and --%s do not go together", f.sampled())
	case f.brute && f.sampled() != "":
		return x, usage("--brute and --%s do not go together: one runs all schedules, the other a sample", f.sampled())
	case f.sampled() != "" && x.Random < 1:
		return x, usage("--%s is %d: give a number of schedules, 1 or more", f.sampled(), x.Random)
	case f.given.Changed("depth") && !f.given.Changed("pct"):
		return x, usage("--depth is for --pct")
	case f.depth < 1 || f.depth > 10:
		return x, usage("--depth is %d: give a number from 1 to 10", f.depth)
	case f.given.Changed("pct") && f.faults > 0:
		return x, usage("--pct and --faults do not go together: a lost connection has no priority; --random draws some")
	case f.expect != "holds" && f.expect != "anomaly":
		return x, usage("--expect is %q: give holds or anomaly", f.expect)
	}
	if f.bound >= 0 {
		x.Bound = &f.bound
	}
	err := readBudget(f.budget, &x)
	return x, err
}

// sampled is the flag that asks for a sample; "" if none does.
func (f *exploreFlags) sampled() string {
	for _, flag := range []string{"random", "pct"} {
		if f.given.Changed(flag) {
			return flag
		}
	}
	return ""
}

func exploreRun(c *cobra.Command, name string, f exploreFlags) error {
	switch {
	case isSpec(name) && f.given.Changed("format"):
		return isolationtester(c, name, f)
	case f.given.Changed("format"):
		return usage("--format is for spec files, and %s is none: their names end in .spec", name)
	}
	if s, ok := scenario.Named(name); ok {
		return compare(c, s, f)
	}
	what, err := f.choose(name)
	if err != nil {
		return err
	}
	x, err := f.exploration(what.how)
	if err != nil {
		return err
	}
	if err := f.frontier(&x); err != nil {
		return err
	}
	known := baseline{}
	if f.baseline != "" {
		if known, err = readBaseline(f.baseline, f.accept); err != nil {
			return err
		}
	}
	began := time.Now()
	server, err := what.start(c.Context(), f.specFlags)
	if err != nil {
		return err
	}
	progress := newProgress(c.ErrOrStderr(), "schedule", 0)
	x.Tell = func(run, known int) {
		progress.of = known
		progress.at(run)
	}
	found, err := what.Explore(c.Context(), server, x)
	var trials []stage.Trial
	if verdict, _ := found.Verdict(x, lostControl(err)); err == nil && (f.weaken || f.advise) && f.refuseTrials(verdict) == "" {
		trials, err = f.try(c.Context(), what, server, x, found, progress)
	}
	progress.clear()
	product := server.Product()
	lost := lostControl(err)
	interrupted := c.Context().Err() != nil
	if interrupted {
		lost, err = fmt.Errorf("interrupted after %s", count(found.Schedules, "schedule")), nil
	}
	closed := server.Close()
	if lost == nil || interrupted {
		if err = errors.Join(err, closed); err != nil {
			return explorationError(c.Context(), what, err)
		}
	}
	r := f.report(what, product, x, found, lost)
	r.Seconds = time.Since(began).Seconds()
	var unsaved error // which is said after the verdict: that is not lost with it
	if f.save != "" && found.Left != nil {
		unsaved = saveFrontier(f.save, *found.Left)
	}
	next := ""
	if unsaved == nil {
		next = f.next(c, what.name, r.Verdict, found.Left)
	}
	if f.weaken || f.advise {
		r.Trials = trialReports(trials, x)
	}
	if r.Verdict == racelab.Violated && f.accept {
		unaccepted := known.accept(f.baseline, r.finding(f))
		r.Accepted = unaccepted == nil
		unsaved = errors.Join(unsaved, unaccepted)
	}
	r.Accepted = r.Verdict == racelab.Violated && (r.Accepted || slices.Contains(known.Accepted, r.finding(f)))
	if f.json {
		err = writeJSON(c.OutOrStdout(), r)
	} else {
		err = printExplored(c.OutOrStdout(), what, f, r, found, next)
	}
	if err != nil {
		return err
	}
	if unsaved != nil {
		fmt.Fprintf(c.ErrOrStderr(), "racelab: %s\n", printable(unsaved.Error()))
	}
	if interrupted {
		return exitCode(exitInterrupted)
	}
	if unsaved != nil {
		return exitCode(exitUnreachable)
	}
	if r.Accepted {
		return nil
	}
	return exitCode(exploreCode(r.Verdict, f.expect))
}

func explorationError(ctx context.Context, what chosen, err error) error {
	if ctx.Err() != nil {
		return err
	}
	if errors.Is(err, racelab.ErrSetup) {
		return usage("%s on %s: %w", what.name, what.Engine.Name, err)
	}
	if stage.Diverged(err) || errors.Is(err, stage.ErrForeign) || errors.Is(err, stage.ErrDamaged) {
		return usage("%w", err)
	}
	return &exit{code: exitUnreachable, name: "engine", err: fmt.Errorf("%s on %s: %w", what.name, what.Engine.Name, err)}
}

func exploreCode(v racelab.VerdictKind, expect string) int {
	holds, violated := exitOK, exitViolated
	if expect == "anomaly" {
		holds, violated = violated, holds
	}
	switch v {
	case racelab.Holds:
		return holds
	case racelab.Violated:
		return violated
	}
	return exitUnknown
}
