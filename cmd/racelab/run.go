package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/picture"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
	"github.com/spf13/cobra"
)

type runFlags struct {
	engineFlags
	runs, sessions, processes int
	window                    string
	seed                      uint64
	json                      bool
}

func runCommand() *cobra.Command {
	f := runFlags{}
	c := &cobra.Command{
		Use:   "run SCENARIO/STRATEGY",
		Short: "Run an exhibit freely: everything at once, as in production",
		Long: `Runs the scenario's whole cast at once on a real engine, -n times, and measures
after each run what must hold. Luck decides the order, so a loss proves the race
and no loss proves nothing.

Exit codes: 1 a loss was seen; 3 none was seen; 2 usage, or a strategy that the
engine does not have; 4 the engine cannot be reached.`,
		Example: `  racelab run deposit/read-modify-write -n 20 --sessions 8
  racelab run deposit/transaction --engine postgres --level "REPEATABLE READ"
  racelab run deposit/process-mutex --processes 2
  racelab run deposit/for-update --engine mysql --window 10ms..50ms --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return runFree(c, args[0], f) },
	}
	f.add(c.Flags())
	c.Flags().IntVarP(&f.runs, "runs", "n", 20, "how often the whole cast runs")
	c.Flags().IntVar(&f.sessions, "sessions", 0, "sessions at once; roles are dealt out in turn (default: the scenario's cast)")
	c.Flags().IntVar(&f.processes, "processes", 1, "simulated processes the sessions are spread over: each has its own mutexes and caches")
	c.Flags().StringVar(&f.window, "window", "1ms..3ms", "time between read and write")
	c.Flags().Uint64Var(&f.seed, "seed", 0, "seed for the windows (default: another one each time)")
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON document (racelab.run/1)")
	return c
}

// runReport is racelab.run/1.
type runReport struct {
	Schema   string        `json:"schema"`
	Scenario string        `json:"scenario"`
	Strategy string        `json:"strategy"`
	Engine   string        `json:"engine"`
	Level    racelab.Level `json:"level"`
	racelab.Product
	Sessions     int                   `json:"sessions"`
	Processes    int                   `json:"processes"`
	Window       string                `json:"window"`
	Seed         uint64                `json:"seed"`
	Runs         int                   `json:"runs"`
	Losses       int                   `json:"losses"`
	Acknowledged int                   `json:"acknowledged"`
	Failed       map[racelab.Class]int `json:"failed"`
	Invariant    string                `json:"invariant"`
	Expected     int64                 `json:"expected"`
	Actual       int64                 `json:"actual"`
	Lost         int64                 `json:"lost"`
	Verdict      racelab.VerdictKind   `json:"verdict"`
	Reason       *string               `json:"reason"`
	Witness      *racelab.Run          `json:"witness"`
	Command      string                `json:"command"`
	Seconds      float64               `json:"seconds"`
}

func (f runFlags) check() (stage.Span, error) {
	switch {
	case f.runs < 1 || f.runs > 1_000_000:
		return stage.Span{}, usage("-n is %d: give a number from 1 to 1000000", f.runs)
	case f.sessions < 0 || f.sessions > 64:
		return stage.Span{}, usage("--sessions is %d: give a number from 1 to 64", f.sessions)
	case f.processes < 1 || f.processes > 64:
		return stage.Span{}, usage("--processes is %d: give a number from 1 to 64", f.processes)
	}
	window, err := stage.ParseSpan(f.window)
	if err != nil {
		return window, usage("--window: %w", err)
	}
	return window, nil
}

func runFree(c *cobra.Command, name string, f runFlags) error {
	window, err := f.check()
	if err != nil {
		return err
	}
	s, st, err := stage.Find(scenario.All, name)
	if err != nil {
		return usage("%w", err)
	}
	if st == nil {
		return usage("%s has several strategies: name one, such as %s/%s (see `racelab show %s`)", name, name, s.Strategies[0].Name, name)
	}
	e, dsn, level, err := f.resolve()
	if err != nil {
		return err
	}
	sel, err := selection(s, st, e, level)
	if err != nil {
		return err
	}
	began := time.Now()
	if f.seed == 0 {
		f.seed = rand.Uint64()
	}
	server, err := start(c.Context(), e, dsn)
	if err != nil {
		return err
	}
	progress := newProgress(c.ErrOrStderr(), "run", f.runs)
	report, err := sel.RunFree(c.Context(), server, stage.Free{
		Runs: f.runs, Sessions: f.sessions, Processes: f.processes, Window: window, Seed: f.seed, Progress: progress.at,
	})
	progress.clear()
	out := f.report(sel, server.Product(), window, report)
	if err = errors.Join(err, server.Close()); err != nil {
		return &exit{code: exitUnreachable, name: "engine", err: fmt.Errorf("run %s: %w", sel.Name(), err)}
	}
	out.Seconds = time.Since(began).Seconds()
	if f.json {
		err = writeJSON(c.OutOrStdout(), out)
	} else {
		err = printRun(c.OutOrStdout(), sel, out, report.Errors)
	}
	if err != nil {
		return err
	}
	if out.Verdict == racelab.Violated {
		return exitCode(exitViolated)
	}
	return exitCode(exitUnknown)
}

func (f runFlags) report(sel stage.Selection, p racelab.Product, window stage.Span, r stage.FreeReport) runReport {
	out := runReport{
		Schema: "racelab.run/1", Scenario: sel.Scenario.Name, Strategy: sel.Strategy.Name, Engine: sel.Engine.Name,
		Level: sel.Level, Product: p, Sessions: cmp.Or(f.sessions, len(sel.Scenario.Cast)), Processes: f.processes,
		Window: window.String(), Seed: f.seed, Runs: r.Runs, Losses: r.Losses, Acknowledged: r.OK, Failed: r.Failed,
		Witness: r.Witness, Verdict: racelab.Unknown, Command: f.command(sel, window),
	}
	if len(r.Measures) > 0 {
		m := r.Measures[0]
		out.Invariant, out.Expected, out.Actual, out.Lost = m.Name, m.Expected, m.Actual, m.Expected-m.Actual
	}
	if r.Losses > 0 {
		out.Verdict = racelab.Violated
	} else {
		aborted := 0
		for class, n := range r.Failed {
			if class.Aborted() {
				aborted += n
			}
		}
		why := "no loss was seen, and luck proves nothing"
		if aborted > 0 {
			why = fmt.Sprintf("no loss was seen: the database aborted %s instead, which left nothing; luck proves nothing", count(aborted, "call"))
		}
		out.Reason = &why
	}
	return out
}

// command is the line that runs the same again. It names no DSN: that may hold
// a password.
func (f runFlags) command(sel stage.Selection, window stage.Span) string {
	line := []string{"racelab run", sel.Name(), fmt.Sprintf("-n %d", f.runs)}
	if f.sessions > 0 {
		line = append(line, fmt.Sprintf("--sessions %d", f.sessions))
	}
	if f.processes > 1 {
		line = append(line, fmt.Sprintf("--processes %d", f.processes))
	}
	if f.engine != "" || f.dsn != "" || f.dsnFile != "" {
		line = append(line, "--engine "+sel.Engine.Name)
	}
	if f.level != "" {
		line = append(line, fmt.Sprintf("--level %q", sel.Level))
	}
	return strings.Join(append(line, "--window "+window.String(), fmt.Sprintf("--seed %d", f.seed)), " ")
}

func printRun(w io.Writer, sel stage.Selection, r runReport, odd []error) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s %s, %s: %d sessions, %s, window %s\n\n",
		strong(w, sel.Name()), r.Name, r.Version, r.Level, r.Sessions, count(r.Runs, "run"), r.Window)
	if r.Witness != nil {
		b.WriteString(drawing(w, *r.Witness))
	}
	fmt.Fprintf(&b, "%s  %s\n", strong(w, "verdict"), verdictLine(r))
	fmt.Fprintf(&b, "calls    %s\n", callsLine(r.Acknowledged, r.Failed))
	fmt.Fprintf(&b, "measure  expected %d, actual %d: lost %d\n", r.Expected, r.Actual, r.Lost)
	for _, err := range odd {
		fmt.Fprintf(&b, "error    %s\n", printable(err.Error()))
	}
	if r.Verdict == racelab.Violated {
		if fix := fixOf(sel); fix != "" {
			fmt.Fprintf(&b, "fix      racelab run %s/%s\n", sel.Scenario.Name, fix)
		}
	}
	fmt.Fprintf(&b, "again    %s\n", r.Command)
	_, err := io.WriteString(w, b.String())
	return err
}

func verdictLine(r runReport) string {
	if r.Verdict == racelab.Violated {
		return fmt.Sprintf("violated: %s did not hold after %d of %s", r.Invariant, r.Losses, count(r.Runs, "run"))
	}
	return "unknown: " + *r.Reason
}

func callsLine(ok int, failed map[racelab.Class]int) string {
	parts := []string{fmt.Sprintf("%d succeeded", ok)}
	for _, class := range slices.Sorted(maps.Keys(failed)) {
		parts = append(parts, fmt.Sprintf("%d %s", failed[class], class.Words()))
	}
	return strings.Join(parts, ", ")
}

// drawing is the picture of one loss with the prose beneath.
func drawing(w io.Writer, run racelab.Run) string {
	x, ok := stage.LostUpdate(run)
	if !ok {
		return picture.Text(run, nil, options(w)) + "\n"
	}
	text := picture.Text(x.Run, x.Marks, options(w))
	if x.Left > 0 {
		text += fmt.Sprintf("(%s not shown)\n", count(x.Left, "other session"))
	}
	return text + "\n" + wrap(x.Prose, 78) + "\n\n"
}

// fixOf names the scenario's first safe strategy that the engine has.
func fixOf(sel stage.Selection) string {
	for _, st := range sel.Scenario.Strategies {
		if st.Safe && st.Because(sel.Engine, "") == "" {
			return st.Name
		}
	}
	return ""
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// wrap breaks text into lines of at most width columns.
func wrap(text string, width int) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case column+1+len(word) > width:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}
