package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
	"github.com/spf13/cobra"
)

type matrixFlags struct {
	engines []string
	engineFlags
	budget  string
	workers int
	format  string
	json    bool
}

func matrixCommand() *cobra.Command {
	f := matrixFlags{}
	c := &cobra.Command{
		Use:   "matrix [SCENARIO[/STRATEGY]...]",
		Short: "Compute what every strategy comes to on every engine and level",
		Long: `Explores every strategy on every engine and at every isolation level, and prints
what each came to: holds, holds with aborts, violated and by which anomaly, not
available and why, or unknown. Each is held against what the strategy is declared
to come to there. Without a scenario it is all of them.

The engines are those that are found on this machine; --engine says which. A server
is started once for each. A DSN is the server of its own engine.

--format markdown and --format html write a document: one file, which needs nothing
else.

Exit codes: 0 all cells agree with what is declared; 1 one does not; 3 one is
unknown: its budget was used up, control was lost, or a run did not end; 2 usage;
4 an engine cannot be reached; 130 Ctrl-C, after the cells that were done.`,
		Example: `  racelab matrix deposit --engine sqlite
  racelab matrix deposit --engine postgres,mysql --level "READ COMMITTED"
  racelab matrix --workers 2 --format html > matrix.html
  racelab matrix deposit/transaction --json`,
		RunE: func(c *cobra.Command, args []string) error { return matrixRun(c, args, f) },
	}
	c.Flags().StringSliceVar(&f.engines, "engine", nil, "engines, such as postgres,mysql (default: all that are found)")
	f.addServer(c.Flags())
	c.Flags().StringVar(&f.level, "level", "", "isolation level by its SQL name (default: all that an engine has)")
	c.Flags().StringVar(&f.budget, "budget", "60s", "how much to search for a cell: a time (30s), a number of schedules (5000), or all")
	c.Flags().IntVar(&f.workers, "workers", min(runtime.NumCPU(), 4), "cells that are explored at once")
	c.Flags().StringVar(&f.format, "format", "text", "text, markdown or html")
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON document ("+matrixSchema+")")
	return c
}

const matrixSchema = "racelab.matrix/1"

var matrixFormats = map[string]func(io.Writer, matrixReport) error{
	"text": matrixText, "markdown": matrixMarkdown, "html": matrixHTML, "json": func(w io.Writer, r matrixReport) error { return writeJSON(w, r) },
}

func (f matrixFlags) check() error {
	switch {
	case f.workers < 1 || f.workers > 16:
		return usage("--workers is %d: give a number from 1 to 16", f.workers)
	case f.format != "text" && f.format != "markdown" && f.format != "html":
		return usage("--format is %q: give text, markdown or html", f.format)
	case len(f.engines) == 0 && f.given.Changed("engine"):
		return usage("--engine is empty: name engines, such as postgres,mysql, or leave it out")
	case f.json && f.given.Changed("format"):
		return usage("--json and --format do not go together")
	}
	return nil
}

// rows are the strategies that arguments name; with none, all there are.
func rows(args []string) ([]stage.Row, error) {
	if len(args) == 0 {
		for _, s := range scenario.All {
			args = append(args, s.Name)
		}
	}
	var all []stage.Row
	for _, name := range args {
		s, st, err := exhibit(name)
		if err != nil {
			return nil, err
		}
		for i := range s.Strategies {
			row := stage.Row{Scenario: s, Strategy: &s.Strategies[i]}
			if (st == nil || st == row.Strategy) && !slices.Contains(all, row) {
				all = append(all, row)
			}
		}
	}
	return all, nil
}

// A place is an engine and, unless a private server is meant, its DSN.
type place struct {
	engine racelab.Engine
	dsn    string
}

// places are the engines that are meant and that the rows are for, in the order
// in which they are always listed, and those that were left out because they are
// not on this machine.
func (f matrixFlags) places(ctx context.Context, rows []stage.Row) (all []place, missing []racelab.Found, err error) {
	address, err := f.address()
	if err != nil {
		return nil, nil, usage("%w", err)
	}
	if !f.given.Changed("dsn") && !f.given.Changed("dsn-file") && !slices.ContainsFunc(rows, func(r stage.Row) bool { return r.Scenario.Setup != nil }) {
		address = "" // the environment's is for those with a database
	}
	named := racelab.Engine{}
	if address != "" {
		if named, err = dsn.Resolve("", address, nil); err != nil {
			return nil, nil, usage("%w", err)
		}
	}
	wanted := map[string]bool{}
	for _, name := range f.engines {
		e, err := dsn.Named(strings.TrimSpace(name))
		if err != nil {
			return nil, nil, usage("%w", err)
		}
		wanted[e.Name] = true
	}
	if named.Name != "" && len(wanted) > 0 && !wanted[named.Name] {
		return nil, nil, usage("the DSN is for %s, which --engine leaves out", named.Name)
	}
	unfit := "" // why there may be nothing to compute
	for _, e := range dsn.Engines {
		p := place{engine: e}
		switch {
		case len(wanted) > 0 && !wanted[e.Name]:
			continue
		case !slices.ContainsFunc(rows, func(r stage.Row) bool { return r.Scenario.Fits(e) }):
			unfit = rows[0].Scenario.Because(rows[0].Strategy, e, "")
			if e.Name == named.Name {
				return nil, nil, usage("the DSN is for %s, and %s", e.Name, unfit)
			}
			continue
		case e.Name == named.Name:
			p.dsn = address
		case !wanted[e.Name]:
			if found := e.Find(ctx); !found.Found {
				missing = append(missing, found)
				continue
			}
		}
		all = append(all, p)
	}
	if len(all) == 0 && len(missing) == 0 {
		return nil, nil, usage("there is nothing to compute: %s", unfit)
	}
	return all, missing, nil
}

// levels are those that are meant; nil is all.
func (f matrixFlags) levels(all []place) ([]racelab.Level, error) {
	if f.level == "" {
		return nil, nil
	}
	l, err := racelab.ParseLevel(f.level)
	if err != nil {
		return nil, usage("%w", err)
	}
	if !slices.ContainsFunc(all, func(p place) bool { return slices.Contains(p.engine.Dialect.Levels, l) }) {
		return nil, usage("none of the engines has the isolation level %s", l)
	}
	return []racelab.Level{l}, nil
}

// open starts the engines' servers, all at once. close ends them.
func open(ctx context.Context, all []place) (stands []stage.Stand, close func() error, err error) {
	stands = make([]stage.Stand, len(all))
	errs := make([]error, len(all))
	var starting sync.WaitGroup
	for i, p := range all {
		starting.Go(func() {
			stands[i].Engine = p.engine
			stands[i].Server, errs[i] = start(ctx, p.engine, p.dsn)
		})
	}
	starting.Wait()
	close = func() error {
		var errs []error
		for _, s := range stands {
			if s.Server != nil {
				errs = append(errs, s.Server.Close())
			}
		}
		return errors.Join(errs...)
	}
	for _, err := range errs {
		if err != nil {
			return nil, nil, errors.Join(err, close())
		}
	}
	return stands, close, nil
}

func matrixRun(c *cobra.Command, args []string, f matrixFlags) (err error) {
	if err := f.check(); err != nil {
		return err
	}
	m := stage.Matrix{Each: stage.Exploration{Reduced: true}, Workers: f.workers}
	if m.Rows, err = rows(args); err != nil {
		return err
	}
	if err := readBudget(f.budget, &m.Each); err != nil {
		return err
	}
	all, missing, err := f.places(c.Context(), m.Rows)
	if err != nil {
		return err
	}
	if m.Levels, err = f.levels(all); err != nil {
		return err
	}
	for _, one := range missing {
		fmt.Fprintf(c.ErrOrStderr(), "racelab: without %s, which was not found: %s\n", one.Engine, printable(one.Remedy))
	}
	began := time.Now()
	stands, closeAll, err := open(c.Context(), all)
	if err != nil {
		return err
	}
	m.Stands = stands
	progress := newProgress(c.ErrOrStderr(), "cell", 0)
	m.Tell = func(done, of int) {
		progress.of = of
		progress.at(done)
	}
	cells, interrupted := m.Compute(c.Context())
	progress.clear()
	r := f.report(stands, cells)
	if err := closeAll(); err != nil && interrupted == nil {
		return unreachable(err)
	}
	r.Seconds = time.Since(began).Seconds()
	format := f.format
	if f.json {
		format = "json"
	}
	if err := matrixFormats[format](c.OutOrStdout(), r); err != nil {
		return err
	}
	if interrupted != nil {
		fmt.Fprintf(c.ErrOrStderr(), "racelab: interrupted after %s\n", count(len(cells), "cell"))
		return exitCode(exitInterrupted)
	}
	return exitCode(r.code())
}

// readBudget reads how much to search.
func readBudget(text string, x *stage.Exploration) error {
	if text == "all" {
		return nil
	}
	if n, err := strconv.Atoi(text); err == nil {
		if n < 1 {
			return usage("--budget is %d: give at least 1 run", n)
		}
		x.Budget = n
		return nil
	}
	d, err := stage.ParseDuration(text)
	if err != nil || d <= 0 {
		return usage("--budget is %q: give a time (30s), a number of runs (5000), or all", text)
	}
	x.Time = d
	return nil
}
