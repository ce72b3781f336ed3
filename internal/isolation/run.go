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
	"cmp"
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
}

// Run runs a test in an empty world: the permutations it names, or all.
func Run(ctx context.Context, s *spec.Spec, w racelab.World, o Options) (err error) {
	if o.Patience == 0 {
		o.Patience = 5 * time.Minute
	}
	r := &run{spec: s, world: w, Options: o, timeouts: mentionsTimeouts(s)}
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
	if r.control, err = w.Connect(ctx); err != nil {
		return err
	}
	for _, described := range s.Sessions {
		c, err := w.Connect(ctx)
		if err != nil {
			return err
		}
		r.sessions = append(r.sessions, &session{name: described.Name, conn: c})
	}
	failed := false
	err = permutations(s, func(p spec.Permutation) error {
		err := r.permutation(ctx, p)
		var stuck *stuck
		if !errors.As(err, &stuck) {
			return err
		}
		failed = true
		fmt.Fprintf(r.Out, "racelab: %v\n", stuck)
		if err := r.clear(ctx); err != nil {
			return err
		}
		if err := r.tearDown(ctx); !errors.As(err, &stuck) {
			return err
		}
		fmt.Fprintf(r.Out, "racelab: %v\n", stuck)
		return ErrFailed
	})
	if err == nil && failed {
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
	waiting  []*running // the steps that were told to wait, in that order
	timeouts bool       // waits may end by themselves
}

func (r *run) close() error {
	var errs []error
	for _, s := range r.sessions {
		if s.running != nil {
			s.running.inbox.wait()
		}
		errs = append(errs, s.conn.Close())
	}
	if r.control != nil {
		errs = append(errs, r.control.Close())
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

func (r *run) permutation(ctx context.Context, p spec.Permutation) error {
	fmt.Fprint(r.Out, "\nstarting permutation:")
	for _, s := range p {
		fmt.Fprintf(r.Out, " %s", s.Step)
	}
	fmt.Fprintln(r.Out)
	if err := r.setUp(ctx); err != nil {
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

// finish waits until a session is free for its next step.
func (r *run) finish(ctx context.Context, s *session, next spec.Step) error {
	started := time.Now()
	for s.running != nil {
		before := s.running
		if _, err := r.try(ctx, before, toTheEnd); err != nil {
			if ended := (*stuck)(nil); errors.As(err, &ended) {
				return &stuck{"step " + next.Name, "run", fmt.Sprintf("its session %s is still in step %s, and %s", s.name, before.Name, ended.why)}
			}
			return err
		}
		told := len(r.waiting)
		r.waiting = slices.DeleteFunc(r.waiting, func(w *running) bool { return w.session.running != w })
		if err := r.sweep(ctx, again); err != nil {
			return err
		}
		if s.running == nil || len(r.waiting) < told {
			continue
		}
		// The server is done with it, and only markers are in its way.
		ends, err := r.ends(ctx, s)
		if err != nil {
			return err
		}
		if !ends || time.Since(started) > r.Patience {
			return &stuck{"step " + next.Name, "run", fmt.Sprintf("its session %s is still in step %s, whose markers wait for what cannot happen any more", s.name, before.Name)}
		}
		if err := pause(ctx, nil, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) launch(ctx context.Context, s *session, scheduled spec.Scheduled, step spec.Step) error {
	if s.lost {
		fmt.Fprintf(r.Out, "failed to send query for step %s: no connection to the server\n\n", step.Name)
		return ErrFailed
	}
	a := &running{Scheduled: scheduled, Step: step, session: s, enough: make([]int, len(scheduled.Markers))}
	for i, m := range scheduled.Markers {
		if m.Kind == spec.AfterNotices {
			a.enough[i] = r.sessionOf(m).notices + m.Notices
		}
	}
	ctx, a.cancel = context.WithCancel(ctx)
	a.inbox = send(ctx, s.conn, step.SQL)
	s.running = a
	return nil
}

// A mode says how often a step has been looked at, and whether it may be left
// waiting for a lock.
type mode int

const (
	first    mode = iota + 1 // after it was sent
	again                    // it has been told to wait
	toTheEnd                 // likewise, and nothing else is to run before
)

// Who is blocked is asked at growing intervals. From settleLimit on, which is
// the reference program's interval, a wait counts although somebody else moves.
const (
	askFirst    = time.Millisecond
	settleLimit = 10 * time.Millisecond
)

// try tells what there is to tell of a step, and reports whether that it has
// completed was told.
func (r *run) try(ctx context.Context, a *running, m mode) (told bool, err error) {
	waits := func() (bool, error) {
		if m == first {
			fmt.Fprintf(r.Out, "step %s: %s <waiting ...>\n", a.Step.Name, a.SQL)
		}
		return false, nil
	}
	if m == first && slices.ContainsFunc(a.Markers, func(m spec.Marker) bool { return m.Kind == spec.Once }) {
		if err := r.settle(ctx, a); err != nil {
			return false, err
		}
		return waits()
	}
	started := time.Now()
	for interval := askFirst; !r.hear(a); interval = min(2*interval, settleLimit) {
		if err := pause(ctx, a.inbox.news, interval); err != nil {
			return false, err
		}
		if r.hear(a) {
			break
		}
		blocked, settled, err := r.blocked(ctx, a)
		switch {
		case err != nil:
			return false, err
		case blocked && m != toTheEnd && (settled || time.Since(started) >= settleLimit):
			if r.hear(a) { // since it was asked
				continue
			}
			return waits()
		case blocked && settled && m == toTheEnd:
			if ends, err := r.ends(ctx, a.session); err != nil || !ends {
				return false, cmp.Or[error](err, &stuck{"step " + a.Step.Name, "complete", "nobody is left who could end its wait"})
			}
		}
		if time.Since(started) > r.Patience {
			return false, &stuck{"step " + a.Step.Name, "complete", fmt.Sprintf("it has run for %v", r.Patience)}
		}
	}
	if ctx.Err() != nil { // what the server says is that it was asked to stop
		return false, ctx.Err()
	}
	if r.delayed(a) {
		return waits()
	}
	if m == first {
		fmt.Fprintf(r.Out, "step %s: %s\n", a.Step.Name, a.SQL)
	} else {
		fmt.Fprintf(r.Out, "step %s: <... completed>\n", a.Step.Name)
	}
	r.report(a)
	return true, nil
}

// settle gives a step that is told to wait in any case the time to get where it
// does, so that what is sent next does not overtake it.
func (r *run) settle(ctx context.Context, a *running) error {
	started := time.Now()
	for interval := askFirst; !a.inbox.over() && time.Since(started) < settleLimit; interval *= 2 {
		if err := pause(ctx, a.inbox.news, interval); err != nil {
			return err
		}
		if blocked, settled, err := r.blocked(ctx, a); err != nil || blocked && settled {
			return err
		}
	}
	return nil
}

// sweep tries the steps that wait, in the order in which they began to. If one
// of them has markers that another one may have satisfied since, it does so again.
func (r *run) sweep(ctx context.Context, m mode) error {
	for {
		before, heard, marked := len(r.waiting), r.heard(), false
		for i := 0; i < len(r.waiting); {
			a := r.waiting[i]
			told, err := r.try(ctx, a, m)
			switch {
			case err != nil:
				return err
			case told:
				r.waiting = slices.Delete(r.waiting, i, i+1)
			default:
				marked = marked || len(a.Markers) > 0
				i++
			}
		}
		if !marked || len(r.waiting) == before && r.heard() == heard {
			return nil
		}
	}
}

// heard counts the notices that were told.
func (r *run) heard() (n int) {
	for _, s := range r.sessions {
		n += s.notices
	}
	return n
}

// hear tells the notices of a step that come before its first result, keeps
// the rest for the report, and says whether the server is done.
func (r *run) hear(a *running) bool {
	if a.done {
		return true
	}
	var answers []racelab.Answer
	answers, a.done, a.err = a.inbox.take()
	for _, answer := range answers {
		switch {
		case answer.Notification != nil:
			a.session.notifications = append(a.session.notifications, answer.Notification)
		case answer.Notice != nil && len(a.answers) == 0:
			r.notice(a.session, answer.Notice, a.SQL)
		default:
			a.answers = append(a.answers, answer)
		}
	}
	return a.done
}

func (r *run) notice(s *session, n *racelab.Notice, sql string) {
	fmt.Fprintf(r.Out, "%s: %s", s.name, whole(*n, sql, false))
	s.notices++
}

// delayed reports whether a marker keeps a step from being told to have
// completed.
func (r *run) delayed(a *running) bool {
	for i := range a.Markers {
		if r.delays(a, i) {
			return true
		}
	}
	return false
}

func (r *run) delays(a *running, marker int) bool {
	switch m := a.Markers[marker]; m.Kind {
	case spec.AfterStep:
		on := r.sessionOf(m).running
		return on != nil && on.Step.Name == m.Step
	case spec.AfterNotices:
		return r.sessionOf(m).notices < a.enough[marker]
	}
	return false
}

func (r *run) sessionOf(m spec.Marker) *session {
	_, index := r.spec.Step(m.Step)
	return r.sessions[index]
}

// report tells what a step gave, and frees its session.
func (r *run) report(a *running) {
	s := a.session
	for _, answer := range a.answers {
		if answer.Table != nil {
			fmt.Fprint(r.Out, tableText(*answer.Table))
		} else {
			r.notice(s, answer.Notice, a.SQL)
		}
	}
	if a.err != nil {
		fmt.Fprint(r.Out, primary(a.err))
		if s.lost = fatal(a.err); s.lost {
			fmt.Fprint(r.Out, connectionLost)
		}
	}
	for _, n := range s.notifications {
		from := "PID " + string(n.From)
		for _, other := range r.sessions {
			if other.conn.ID() == n.From {
				from = other.name
			}
		}
		fmt.Fprintf(r.Out, "%s: NOTIFY \"%s\" with payload \"%s\" from %s\n", s.name, n.Channel, n.Payload, from)
	}
	s.notifications = nil
	a.cancel()
	s.running = nil
}

func (r *run) setUp(ctx context.Context) error {
	for _, sql := range r.spec.Setups {
		if err := r.do(ctx, "setup", r.control, nil, sql); err != nil {
			return r.giveUp(err)
		}
	}
	for i, described := range r.spec.Sessions {
		if described.Setup == nil {
			continue
		}
		s := r.sessions[i]
		if err := r.do(ctx, "setup of session "+s.name, s.conn, s, *described.Setup); err != nil {
			return r.giveUp(err)
		}
	}
	return nil
}

// giveUp ends the test if a set-up or a teardown has failed.
func (r *run) giveUp(err error) error {
	if failed := (*failed)(nil); errors.As(err, &failed) {
		fmt.Fprint(r.Err, failed.said)
		return ErrFailed
	}
	return err
}

// tearDown goes on where something fails.
func (r *run) tearDown(ctx context.Context) error {
	for i, described := range r.spec.Sessions {
		if described.Teardown == nil {
			continue
		}
		s := r.sessions[i]
		if err := r.giveUp(r.do(ctx, "teardown of session "+s.name, s.conn, s, *described.Teardown)); err != nil && err != ErrFailed {
			return err
		}
	}
	if r.spec.Teardown == nil {
		return nil
	}
	if err := r.giveUp(r.do(ctx, "teardown", r.control, nil, *r.spec.Teardown)); err != ErrFailed {
		return err
	}
	return nil
}

// failed says what a set-up or a teardown came to.
type failed struct{ said string }

func (f *failed) Error() string { return f.said }

// do runs a set-up or a teardown and prints its last result, if that has rows:
// of several, libpq's PQexec gives no other. Notices are told if they are a
// session's. No statement at all is a failure to the reference program, and
// one of which the server says nothing.
func (r *run) do(ctx context.Context, what string, c racelab.Conn, s *session, sql string) error {
	text, cancel := context.WithCancel(ctx)
	in := send(text, c, sql)
	defer in.wait() // until a statement that is ended here is over
	defer cancel()
	for interval := askFirst; !in.over(); interval = min(2*interval, settleLimit) {
		if err := pause(ctx, in.news, interval); err != nil {
			return err
		}
		// Nobody else runs anything, so that whoever is waited for stays.
		if waits, err := r.world.Waits(ctx, []racelab.ConnID{c.ID()}); err != nil {
			return err
		} else if len(waits) > 0 && waits[0].Outside == "" && !r.timeouts && !in.over() {
			return &stuck{what, "run", "a transaction that was left open is in its way"}
		}
	}
	var last *racelab.Table
	answers, _, err := in.take()
	for _, a := range answers {
		switch {
		case a.Table != nil:
			last = a.Table
		case a.Notice != nil && s != nil:
			r.notice(s, a.Notice, sql)
		case a.Notification != nil && s != nil:
			s.notifications = append(s.notifications, a.Notification)
		}
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return &failed{what + " failed: " + wholeError(err, sql)}
	case last == nil:
		return &failed{what + " failed: "}
	}
	fmt.Fprint(r.Out, tableText(*last))
	return nil
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

// pause waits for news, or until it is time to ask the engine.
func pause(ctx context.Context, news <-chan struct{}, interval time.Duration) error {
	timer := time.NewTimer(interval)
	defer timer.Stop()
	select {
	case <-news:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func mentionsTimeouts(s *spec.Spec) bool {
	text := strings.ReplaceAll(strings.ToLower(s.String()), "deadlock_timeout", "")
	return strings.Contains(text, "timeout")
}
