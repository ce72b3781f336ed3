package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/spec"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
	"github.com/spf13/pflag"
)

// controlFlags are those of every command that runs schedules.
type controlFlags struct {
	engineFlags
	sessions, processes int
	only                string
	judge               string
	stepLimit           string
	maxSteps            int
	json                bool
	specFlags
}

func (f *controlFlags) add(flags *pflag.FlagSet) {
	f.engineFlags.add(flags)
	flags.IntVar(&f.sessions, "sessions", 0, "sessions; 0: the scenario's cast; the scenario's roles are dealt out in turn")
	flags.IntVar(&f.processes, "processes", 1, "simulated processes the sessions are spread over: each has its own mutexes and caches")
	flags.StringVar(&f.only, "only", "", "sessions that run, such as A,C; the others do not")
	flags.StringVar(&f.judge, "judge", "serial", "what a run is held against: serial (the outcomes of all serial orders, and the invariants) or invariant")
	flags.StringVar(&f.stepLimit, "step-limit", "30s", "how long a step may take while nobody is waited for; longer, and the verdict is unknown")
	flags.IntVar(&f.maxSteps, "max-steps", stage.MostSteps, "steps that a run may have; with more it is taken to have no end, and the verdict is unknown")
	flags.BoolVar(&f.json, "json", false, "print one JSON document")
	f.addSpec(flags)
}

const (
	mostSessions = 8         // that can run under control
	mostMaxSteps = 1_000_000 // a run of so many takes seconds, and its history a gigabyte
)

func (f *controlFlags) check() error {
	switch {
	case f.sessions < 0 || f.sessions > mostSessions:
		return usage("--sessions is %d: give a number from 1 to %d, or 0 for the scenario's cast", f.sessions, mostSessions)
	case f.processes < 1 || f.processes > 8:
		return usage("--processes is %d: give a number from 1 to 8", f.processes)
	case f.given.Changed("only") && f.only == "":
		return usage("--only is empty: give some of the sessions, such as A,C")
	case f.judge != "serial" && f.judge != "invariant":
		return usage("--judge is %q: give serial or invariant", f.judge)
	case f.maxSteps < 1 || f.maxSteps > mostMaxSteps:
		return usage("--max-steps is %d: give a number from 1 to %d", f.maxSteps, mostMaxSteps)
	}
	return nil
}

// chosen is what a command's argument and flags mean together.
type chosen struct {
	stage.Selection
	how  stage.Controlled
	name string // as it was written
	dsn  string
	spec *spec.Played // nil unless it is a spec file
}

// chosen reads all but what the argument names.
func (f *controlFlags) chosen(name string) (c chosen, err error) {
	if err := f.check(); err != nil {
		return c, err
	}
	c.name = name
	if c.Engine, c.dsn, c.Level, err = f.resolve(name); err != nil {
		return c, err
	}
	c.how = stage.Controlled{Sessions: f.sessions, Processes: f.processes, MaxSteps: f.maxSteps}
	if f.only != "" {
		for _, id := range strings.Split(f.only, ",") {
			c.how.Only = append(c.how.Only, racelab.SessionID(id))
		}
	}
	if c.how.StepLimit, err = stage.ParseDuration(f.stepLimit); err != nil || c.how.StepLimit <= 0 {
		return c, usage("--step-limit is %q: give a time, such as 30s", f.stepLimit)
	}
	return c, nil
}

// choose reads SCENARIO/STRATEGY or SCENARIO/A=STRATEGY,B=STRATEGY.
func (f *controlFlags) choose(name string) (c chosen, err error) {
	if isSpec(name) {
		return f.chooseSpec(name)
	}
	if err := f.specFlags.unused(name, f.given); err != nil {
		return c, err
	}
	if c, err = f.chosen(name); err != nil {
		return c, err
	}
	e, level := c.Engine, c.Level
	of, mixed, _ := strings.Cut(name, "/")
	if !strings.Contains(mixed, "=") {
		s, st, err := stage.Find(scenario.All, name)
		if err != nil {
			return c, usage("%w", err)
		}
		if st == nil {
			return c, usage("%s has several strategies: name one, such as %s/%s (see `racelab show %s`)", name, name, s.Strategies[0].Name, name)
		}
		if err := f.among(f.casting(s)); err != nil {
			return c, err
		}
		c.Selection, err = selection(s, st, e, level)
		return c, err
	}
	s, _, err := stage.Find(scenario.All, of)
	if err != nil {
		return c, usage("%w", err)
	}
	c.how.Strategies = map[racelab.SessionID]*racelab.Strategy{}
	for _, pair := range strings.Split(mixed, ",") {
		session, strategy, ok := strings.Cut(pair, "=")
		if !ok {
			return c, usage("%q in %s is not SESSION=STRATEGY", pair, name)
		}
		_, st, err := stage.Find(scenario.All, of+"/"+strategy)
		if err != nil {
			return c, usage("%w", err)
		}
		if c.Selection, err = selection(s, st, e, level); err != nil {
			return c, err
		}
		if _, twice := c.how.Strategies[racelab.SessionID(session)]; twice {
			return c, usage("session %s has two strategies in %s", session, name)
		}
		c.how.Strategies[racelab.SessionID(session)] = st
	}
	sessions := f.casting(s)
	if err := f.among(sessions); err != nil {
		return c, err
	}
	for i := range sessions {
		if _, ok := c.how.Strategies[racelab.Letter(i)]; !ok {
			return c, usage("session %s has no strategy in %s", racelab.Letter(i), name)
		}
	}
	if len(c.how.Strategies) > sessions {
		return c, usage("%s names more sessions than there are: A to %s", name, racelab.Letter(sessions-1))
	}
	return c, nil
}

// sharesMemory reports whether a strategy relies on what the sessions of one
// process share.
func (c chosen) sharesMemory() bool {
	if len(c.how.Strategies) == 0 {
		return c.Scenario.InProcess(c.Strategy)
	}
	for _, st := range c.how.Strategies {
		if c.Scenario.InProcess(st) {
			return true
		}
	}
	return false
}

// casting is how many sessions there are.
func (f *controlFlags) casting(s *racelab.Scenario) int { return len(s.Dealt(f.sessions)) }

// among checks that --only names sessions that there are: where none of them
// runs, everything would hold.
func (f *controlFlags) among(sessions int) error {
	if f.only == "" {
		return nil
	}
	seen := map[string]bool{}
	for _, id := range strings.Split(f.only, ",") {
		there := false
		for i := range sessions {
			there = there || id == string(racelab.Letter(i))
		}
		if !there || seen[id] {
			return usage("--only is %q: give some of the sessions A to %s, each once, such as A,B", f.only, racelab.Letter(sessions-1))
		}
		seen[id] = true
	}
	return nil
}

// command is the line that does something with the same choice again. It names
// no DSN: that may hold a password.
func (c chosen) command(verb, name string, f *controlFlags, more ...string) string {
	line := []string{"racelab", verb, shellQuote(name)}
	add := func(is bool, flag, value string) {
		if is {
			line = append(line, flag, shellQuote(value))
		}
	}
	add(f.engine != "" || c.dsn != "", "--engine", c.Engine.Name)
	add(f.dsnFile != "", "--dsn-file", f.dsnFile)
	add(f.level != "", "--level", string(c.Level))
	add(f.sessions > 0, "--sessions", strconv.Itoa(f.sessions))
	add(f.processes > 1, "--processes", strconv.Itoa(f.processes))
	add(f.only != "", "--only", f.only)
	add(f.judge != "serial", "--judge", f.judge)
	add(f.maxSteps > 0 && f.maxSteps != stage.MostSteps, "--max-steps", strconv.Itoa(f.maxSteps))
	add(f.permutation > 0, "--permutation", strconv.Itoa(f.permutation))
	if f.allowDestructive {
		line = append(line, "--allow-destructive")
	}
	for i := 0; i+1 < len(more); i += 2 {
		add(true, more[i], more[i+1])
	}
	return strings.Join(line, " ")
}

// needs says what the lines to type again leave to the environment; "" if
// nothing.
func (f *controlFlags) needs() string {
	if f.unsaid() {
		return "needs    RACELAB_DSN set to the DSN of this run, which may hold a password and so is not printed\n"
	}
	return ""
}

// lostControl returns err if it says that a run could not be controlled, which
// is an answer of its own: unknown, and why.
func lostControl(err error) error {
	switch {
	case stage.Endless(err):
		return fmt.Errorf("%w; --max-steps gives another bound", err)
	case stage.LostControl(err):
		return err
	}
	return nil
}
