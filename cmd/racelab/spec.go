package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/spec"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
)

// isSpec reports whether an argument names a spec file.
func isSpec(name string) bool { return strings.HasSuffix(name, ".spec") }

func readSpec(file string) (*spec.Spec, error) {
	if i, err := os.Stat(file); err == nil && !i.Mode().IsRegular() { // a pipe would be waited for, and nothing ends that
		return nil, fmt.Errorf("%s is not a regular file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, spec.MaxSize+1))
	if err != nil {
		return nil, err
	}
	return spec.Parse(file, src)
}

// exhibit looks up what is built in, and says of a spec file which command is for
// those.
func exhibit(name string) (*racelab.Scenario, *racelab.Strategy, error) {
	if isSpec(name) {
		return nil, nil, usage("%s is a spec file, and no exhibit: `racelab explore %s` decides it", name, shellQuote(name))
	}
	s, st, err := stage.Find(scenario.All, name)
	if err != nil {
		return nil, nil, usage("%w", err)
	}
	return s, st, nil
}

// specFlags are those that mean something for spec files only.
type specFlags struct {
	permutation      int
	allowDestructive bool
}

func (f *specFlags) addSpec(flags *pflag.FlagSet) {
	flags.IntVar(&f.permutation, "permutation", 0, "of a spec file: take the steps of its N-th permutation, in every order")
	flags.BoolVar(&f.allowDestructive, "allow-destructive", false, "run a spec file although the database that the DSN names is not empty")
}

// unused refuses them for what is no spec file.
func (f specFlags) unused(name string, given *pflag.FlagSet) error {
	for _, flag := range []string{"permutation", "allow-destructive"} {
		if given.Changed(flag) {
			return usage("--%s is for spec files, and %s is none: their names end in .spec", flag, name)
		}
	}
	return nil
}

// chooseSpec reads a spec file as a scenario, which has one strategy.
func (f *controlFlags) chooseSpec(file string) (c chosen, err error) {
	for _, flag := range []string{"sessions", "processes"} {
		if f.given.Changed(flag) {
			return c, usage("--%s is for scenarios: the sessions of %s are its own", flag, file)
		}
	}
	if c, err = f.chosen(file); err != nil {
		return c, err
	}
	s, err := readSpec(file)
	if err != nil {
		return c, usage("%w", err)
	}
	if f.judge == "invariant" && len(s.Invariants) == 0 {
		return c, usage("--judge is invariant, and %s has none: write # racelab: invariant SELECT ...", file)
	}
	programs := s.Programs()
	program, strategy := programs[0], "as-written"
	switch {
	case f.given.Changed("permutation"):
		if program, err = s.Program(f.permutation); err != nil {
			return c, usage("%s: %w", file, err)
		}
		strategy = fmt.Sprintf("permutation-%d", f.permutation)
	case len(programs) > 1:
		return c, usage("the permutations of %s do not ask for the same steps: say with --permutation N whose steps are to run in every order\n%s", file, programList(programs))
	}
	if c.spec, err = s.Play(file, strategy, program); err != nil {
		return c, usage("%s: %w", file, err)
	}
	if err := f.among(f.casting(c.spec.Scenario)); err != nil {
		return c, err
	}
	c.Selection, err = selection(c.spec.Scenario, &c.spec.Strategies[0], c.Engine, c.Level)
	return c, err
}

// programList says which permutations ask for what, a line for each.
func programList(programs []spec.Program) string {
	var lines []string
	for i, p := range programs {
		if i == 8 {
			lines = append(lines, fmt.Sprintf("  and %d more", len(programs)-i))
			break
		}
		lines = append(lines, fmt.Sprintf("  %d  %s", p.Permutations[0], printable(p.String())))
	}
	return strings.Join(lines, "\n")
}

// start opens the server of what was chosen, and looks whether that makes sense
// there.
func (c chosen) start(ctx context.Context, f specFlags) (racelab.Server, error) {
	server, err := start(ctx, c.Engine, c.dsn)
	if err != nil || c.spec == nil {
		return server, err
	}
	if _, err = f.named(ctx, c.name, server); err == nil {
		err = c.rehearse(ctx, server)
	}
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return server, nil
}

// named refuses to let a file's statements at a server on which somebody's data
// is named: they are not racelab's own, and may name any of it. It returns the
// address of that database, "" if there is none to run in.
func (f specFlags) named(ctx context.Context, file string, server racelab.Server) (string, error) {
	named, err := server.Named(ctx)
	if err != nil {
		return "", unreachable(err)
	}
	if len(named.Holds) == 0 || f.allowDestructive {
		return named.Address, nil
	}
	some := strings.Join(named.Holds[:min(len(named.Holds), 3)], ", ")
	if more := len(named.Holds) - 3; more > 0 {
		some += fmt.Sprintf(" and %d more", more)
	}
	return "", &exit{code: exitUsage, name: "not-empty", err: fmt.Errorf("the database that the DSN names is not empty, and %s may change it: it holds %s", file, printable(some)),
		remedy: "name an empty database, or give --allow-destructive if what is there may be lost"}
}

// rehearse runs the sessions one after another. What an engine cannot even read
// would else be an error in every run, and prove nothing.
func (c chosen) rehearse(ctx context.Context, server racelab.Server) error {
	if _, err := c.Replay(ctx, server, stage.Exploration{Controlled: c.how}, nil); err != nil && !stage.LostControl(err) {
		return explorationError(ctx, c, err)
	}
	for _, r := range c.spec.Meaningless() {
		return usage("%s, step %s, on %s: %w: %s", c.name, r.Step, c.Engine.Name, r.Err, strings.Join(strings.Fields(r.Text), " "))
	}
	return nil
}

// strategy names what was chosen of the scenario.
func (c chosen) strategy() string {
	if c.spec != nil {
		return c.Strategy.Name
	}
	return strings.TrimPrefix(c.name, c.Scenario.Name+"/")
}

// neverDone says which statements of a spec file have failed in every run: what
// holds without them proves less than it seems to.
func (c chosen) neverDone() []string {
	if c.spec == nil {
		return nil
	}
	var lines []string
	for _, r := range c.spec.Refused() {
		lines = append(lines, fmt.Sprintf("step %s failed in every run: %v", r.Step, r.Err))
	}
	return lines
}

// A castMember says which session of a spec file a letter stands for.
type castMember struct {
	Session racelab.SessionID `json:"session"`
	Name    string            `json:"name"`
	Steps   []string          `json:"steps"`
}

func (c chosen) cast() (members []castMember) {
	if c.spec == nil {
		return nil
	}
	for i := range c.spec.Program.Sessions {
		name, steps := c.spec.CastOf(i)
		members = append(members, castMember{racelab.Letter(i), name, append([]string{}, steps...)})
	}
	return members
}

// legend is the cast for people; "" of a scenario.
func (c chosen) legend() string {
	var b strings.Builder
	for _, m := range c.cast() {
		fmt.Fprintf(&b, "%-3s %s: %s\n", m.Session, printable(m.Name), printable(strings.Join(m.Steps, ", ")))
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	return b.String()
}
