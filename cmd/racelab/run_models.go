package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/models"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
	"github.com/spf13/cobra"
)

// modelsReport is racelab.models/1.
type modelsReport struct {
	Schema     string `json:"schema"`
	Scenario   string `json:"scenario"`
	Strategy   string `json:"strategy"`
	Sessions   int    `json:"sessions"`
	Go         string `json:"go"`
	Processors int    `json:"processors"`
	Workers    int    `json:"workers"` // that are measured against one

	Models  []models.Row `json:"models"`
	Seconds float64      `json:"seconds"`
}

// modelRuns is how often the scenario is run if nobody says: luck shows the race
// of the counter about once in a thousand runs.
const modelRuns = 5000

func runModels(c *cobra.Command, name string, f runFlags) error {
	if !c.Flags().Changed("runs") {
		f.runs = modelRuns
	}
	free, err := f.luck(name).free()
	if err != nil {
		return err
	}
	sel, err := modelSelection(name, f.engineFlags)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	server, err := start(c.Context(), sel.Engine, "")
	if err != nil {
		return err
	}
	began := time.Now()
	version := server.Product().Version
	progress := newProgress(c.ErrOrStderr(), "model", 3)
	done := 0
	rows, err := models.Measurement{
		Program: program, Args: []string{"model-worker", sel.Name(), strconv.Itoa(f.sessions)},
		Run: modelRunner(sel, server, free), Runs: f.runs,
		Tell: func(model string) {
			progress.at(done)
			progress.note(model)
			done++
		},
	}.Rows(c.Context())
	progress.clear()
	if err != nil && c.Context().Err() != nil {
		return c.Context().Err()
	}
	if errors.Is(err, stage.ErrEnds) {
		return &exit{code: exitUsage, name: "not-available", err: fmt.Errorf("measure %s: %w", sel.Name(), err), remedy: "see it under control: `" + f.picture(sel) + "`"}
	}
	if err != nil {
		return failed(fmt.Errorf("measure %s: %w", sel.Name(), err))
	}
	r := modelsReport{
		Schema: "racelab.models/1", Scenario: sel.Scenario.Name, Strategy: sel.Strategy.Name, Sessions: len(sel.Scenario.Dealt(f.sessions)),
		Go: version, Processors: runtime.GOMAXPROCS(0), Workers: models.Workers, Models: rows, Seconds: time.Since(began).Seconds(),
	}
	if f.json {
		return writeJSON(c.OutOrStdout(), r)
	}
	return printModels(c.OutOrStdout(), r)
}

// modelSelection finds what is run in each model: of a scenario its first
// strategy.
func modelSelection(name string, f engineFlags) (stage.Selection, error) {
	s, st, err := stage.Find(scenario.All, name)
	if err != nil {
		return stage.Selection{}, usage("%w", err)
	}
	if s.Setup != nil {
		return stage.Selection{}, usage("%s has a database, which every model reaches in the same way: --compare-models is for what shares nothing but memory, such as counter", s.Name)
	}
	e, _, level, err := f.resolve(s.Name)
	if err != nil {
		return stage.Selection{}, err
	}
	return selection(s, cmp.Or(st, &s.Strategies[0]), e, level)
}

// modelRunner runs a selection freely.
func modelRunner(sel stage.Selection, server racelab.Server, free stage.Free) models.Runner {
	return func(ctx context.Context, runs, worker int) (int, error) {
		free := free
		free.Runs = runs
		if worker >= 0 {
			if worker >= len(sel.Scenario.Dealt(free.Sessions)) {
				return 0, nil // there are more workers than sessions
			}
			free.Only = []racelab.SessionID{racelab.Letter(worker)}
		}
		r, err := sel.RunFree(ctx, server, free)
		if err == nil && r.Stalled != nil {
			err = fmt.Errorf("run %d did not end within %s (--timeout): %s", r.Runs+1, free.Timeout, strings.Join(r.Stalled.Who, "; "))
		}
		return r.Losses, err
	}
}

// modelWorkerCommand is a process of --compare-models, which starts it.
func modelWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "model-worker SCENARIO/STRATEGY SESSIONS",
		Short:  "Do tasks for `racelab run --compare-models`, which starts it",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			flags := engineFlags{given: c.Flags()}
			sel, err := modelSelection(args[0], flags)
			if err != nil {
				return err
			}
			sessions, err := strconv.Atoi(args[1])
			if err != nil {
				return usage("%q is no number of sessions", args[1])
			}
			server, err := start(c.Context(), sel.Engine, "")
			if err != nil {
				return err
			}
			free := stage.Free{Sessions: sessions, Timeout: modelTimeout}
			return models.Serve(c.Context(), c.InOrStdin(), c.OutOrStdout(), modelRunner(sel, server, free))
		},
	}
}

// modelTimeout ends a run of a session that waits for those of other processes.
const modelTimeout = 5 * time.Second

func printModels(w io.Writer, r modelsReport) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on Go %s, %s: %s against one\n", strong(w, r.Scenario+"/"+r.Strategy), r.Go, count(r.Processors, "processor"), count(r.Workers, "worker"))
	for _, m := range r.Models {
		if m.Because != nil {
			fmt.Fprintf(&b, "\n%s\n", strong(w, m.For))
			b.WriteString(line("", "not available: "+*m.Because))
			continue
		}
		fmt.Fprintf(&b, "\n%s (for %s)\n", strong(w, m.Model), m.For)
		b.WriteString(line("execution", fmt.Sprintf("%s: CPU-bound work %.1f times as fast, IO-bound work %.1f times", m.Execution, m.Compute, m.Wait)))
		b.WriteString(line("start-up", micros(m.StartUS)+" until a new worker has answered"))
		b.WriteString(line("exchange", fmt.Sprintf("by %s: %s there and back", m.Exchange, micros(m.ThereUS))))
		rate := stage.RateOf(m.Losses, m.Runs)
		b.WriteString(line("race", fmt.Sprintf("lost in %d of %s; in the long run %s to %s (95 %% confidence)", m.Losses, count(m.Runs, "run"), percent(rate.Low), percent(rate.High))))
		b.WriteString(line("best for", m.BestFor))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// line is a line of a table whose first column is wider than that of a report.
func line(name, text string) string {
	return fmt.Sprintf("  %-10s %s\n", name, strings.ReplaceAll(wrap(text, 67), "\n", "\n             "))
}

// micros gives microseconds as people read them.
func micros(us float64) string {
	switch {
	case us >= 1000:
		return fmt.Sprintf("%.1f ms", us/1000)
	case us >= 10:
		return fmt.Sprintf("%.0f us", us)
	}
	return fmt.Sprintf("%.2f us", us)
}
