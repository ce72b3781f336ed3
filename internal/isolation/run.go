// Package isolation runs the isolation tests of PostgreSQL (package spec) and
// prints what PostgreSQL's own program for them, isolationtester, prints, byte
// for byte. Where that program goes by time, this one asks who waits:
//
//   - A step of a session that still waits, with nobody left who could end the
//     wait, ends the permutation at once and with a line that says so; there it
//     waits for minutes, and then gives the whole test up.
//   - Whether a step waits is known as soon as nobody moves any more, and not
//     only when 10 ms have passed.
package isolation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/spec"
)

// ErrFailed says that a test was given up, or that a permutation was: why has
// been printed. The reference program ends with exit code 1 then.
var ErrFailed = errors.New("the isolation test could not be run as it stands")

// Options say where a run prints to, and for how long it waits.
type Options struct {
	// Out and Err are the reference program's standard output and standard
	// error. Its expected files hold both: then they are one writer.
	Out, Err io.Writer
	// Patience is how long one step may run; 0 is five minutes.
	Patience time.Duration
	// Timeout is the reference program's PGISOLATIONTIMEOUT, or 0. With it the
	// run goes by that program's clock: a step is cancelled after that time,
	// also one that waits for ever, and the test given up after twice as long.
	Timeout time.Duration
	// Application is what sessions call themselves to the server, followed by a
	// slash and their name: there, the test and its place.
	Application string
}

// Run runs a test in an empty world: the permutations it names, or all.
func Run(ctx context.Context, s *spec.Spec, w racelab.World, o Options) (err error) {
	if o.Patience == 0 {
		o.Patience = 5 * time.Minute
	}
	r := &run{spec: s, world: w, Options: o, timeouts: endsWaits(strings.Join(s.Setups, ";")), renewal: renewalOf(s)}
	r.Out, r.Err = voice{&r.held, r.Out}, voice{&r.held, r.Err}
	for _, name := range s.Unused() {
		fmt.Fprintf(r.Err, "unused step name: %s\n", name)
	}
	fmt.Fprintf(r.Out, "Parsed test spec with %d sessions\n", len(s.Sessions))
	// What runs is ended before its connection is closed.
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		err = errors.Join(err, r.close())
	}()
	for _, described := range s.Sessions {
		text := (&spec.Spec{Sessions: []spec.Session{described}}).String()
		r.sessions = append(r.sessions, &session{name: described.Name, sets: endsWaits(text)})
		r.signals = r.signals || strings.Contains(strings.ToLower(text), "_backend")
		r.timeouts = r.timeouts || strings.Contains(strings.ToLower(text), "idle_")
	}
	if err := r.connect(ctx); err != nil {
		return err
	}
	err = permutations(s, func(p spec.Permutation) error { return r.next(ctx, slices.Clone(p)) })
	if err == nil {
		err = r.end(ctx)
	}
	if err == nil && r.failed {
		return ErrFailed
	}
	return err
}

// A run is a test in a world.
type run struct {
	Options
	spec     *spec.Spec
	world    racelab.World
	control  racelab.Conn // runs the test's own set-up and teardown
	sessions []*session
	waiting  []*running       // the steps that were told to wait, in that order
	failed   bool             // a permutation was given up
	held     held             // what is printed goes through it
	renewal  *renewal         // nil if the tables are made anew for each permutation
	snapshot racelab.Conn     // keeps dead rows where they are, while tables are used again
	left     spec.Permutation // the last one, if it is not yet known whether what it printed holds
	timeouts bool             // anybody's wait may end by itself
	signals  bool             // sessions may cancel or end each other
	moved    time.Time        // when a step was last sent, or the server done with one
	quiet    bool             // nobody moves, as far as is known: who has been told to wait still does
}

func (r *run) close() error {
	r.held.release() // what was interrupted
	var errs []error
	for _, s := range r.sessions {
		if s.begun != nil {
			s.begun.wait()
		}
		if s.running != nil {
			s.running.inbox.wait()
		}
		if s.conn != nil {
			errs = append(errs, s.conn.Close())
		}
	}
	if r.control != nil {
		errs = append(errs, r.control.Close())
	}
	if r.snapshot != nil {
		errs = append(errs, r.snapshot.Close())
	}
	return errors.Join(errs...)
}

// permutations hands over those that the test names, or every order in which
// the sessions can take turns: first the one in which the first session runs
// to its end first.
func permutations(s *spec.Spec, run func(spec.Permutation) error) error {
	if len(s.Permutations) > 0 {
		for _, p := range s.Permutations {
			if err := run(p); err != nil {
				return err
			}
		}
		return nil
	}
	next := make([]int, len(s.Sessions)) // of each session, the step that is to come
	var order spec.Permutation
	var extend func() error
	extend = func() error {
		complete := true
		for i, session := range s.Sessions {
			if next[i] == len(session.Steps) {
				continue
			}
			complete = false
			order = append(order, spec.Scheduled{Step: session.Steps[next[i]].Name})
			next[i]++
			if err := extend(); err != nil {
				return err
			}
			next[i]--
			order = order[:len(order)-1]
		}
		if complete {
			return run(order)
		}
		return nil
	}
	return extend()
}

// goOn gives up what has come to no end, ends all transactions, and does the rest
// of it, so that the test goes on.
func (r *run) goOn(ctx context.Context, err error, rest ...func(context.Context) error) error {
	var stuck *stuck
	if !errors.As(err, &stuck) {
		return err
	}
	r.failed = true
	fmt.Fprintf(r.Out, "racelab: %v\n", stuck)
	if err := r.clear(ctx); err != nil {
		return err
	}
	for _, do := range rest {
		if err := do(ctx); errors.As(err, &stuck) {
			fmt.Fprintf(r.Out, "racelab: %v\n", stuck)
			return ErrFailed
		} else if err != nil {
			return err
		}
	}
	return nil
}

// play runs a permutation in new tables.
func (r *run) play(ctx context.Context, p spec.Permutation) error {
	if err := r.permutation(ctx, p, false); err != nil {
		return r.goOn(ctx, err, r.tearDown, r.drop)
	}
	if !r.idle() {
		r.renewal = nil // the next one may tell what comes of that
	}
	return r.goOn(ctx, r.drop(ctx), r.drop)
}

// permutation runs one in tables that are there, if they were renewed, or else
// makes them, and tears the sessions down.
func (r *run) permutation(ctx context.Context, p spec.Permutation, renewed bool) error {
	fmt.Fprint(r.Out, "\nstarting permutation:")
	for _, s := range p {
		fmt.Fprintf(r.Out, " %s", s.Step)
	}
	fmt.Fprintln(r.Out)
	if err := r.setUp(ctx, renewed); err != nil {
		return err
	}
	for _, scheduled := range p {
		step, index := r.spec.Step(scheduled.Step)
		s := r.sessions[index]
		if err := r.finish(ctx, s, step); err != nil {
			return err
		}
		if err := r.launch(ctx, s, scheduled, step); err != nil {
			return err
		}
		told, err := r.try(ctx, s.running, first)
		if err != nil {
			return err
		}
		launched := s.running
		if err := r.sweep(ctx, again); err != nil {
			return err
		}
		if !told {
			r.waiting = append(r.waiting, launched)
		}
	}
	if err := r.sweep(ctx, toTheEnd); err != nil {
		return err
	}
	if len(r.waiting) > 0 {
		fmt.Fprintln(r.Err, "failed to complete permutation due to mutually-blocking steps")
		return ErrFailed
	}
	return r.tearDown(ctx)
}

// clear ends what runs, and every transaction, so that a permutation that was
// given up is in nobody's way.
func (r *run) clear(ctx context.Context) error {
	for _, s := range r.sessions {
		if s.running != nil {
			s.running.cancel()
		}
	}
	for _, s := range r.sessions {
		if s.begun != nil {
			s.begun.cancel()
			s.begun.wait()
			s.begun = nil
		}
		if s.running != nil {
			s.running.inbox.wait()
			s.running = nil
		}
		s.notifications = nil
		if s.lost {
			continue
		}
		if err := s.conn.Text(ctx, "ROLLBACK", func(racelab.Answer) {}); err != nil {
			return fmt.Errorf("roll back session %s: %w", s.name, err)
		}
	}
	r.waiting = nil
	return nil
}
