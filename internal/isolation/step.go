package isolation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/spec"
)

// A running step is one of a permutation whose statements were sent.
type running struct {
	spec.Scheduled
	spec.Step
	session *session
	enough  []int // by marker, if it counts notices: how many its session must have told
	inbox   *inbox
	cancel  context.CancelFunc
	done    bool             // the server is; markers may still delay the report
	answers []racelab.Answer // those that are told with the report
	err     error
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
		if r.Timeout > 0 {
			if took := time.Since(started); took > 2*r.Timeout {
				return r.timedOut(s.running.Step, took)
			}
			if err := pause(ctx, nil, time.Millisecond); err != nil {
				return err
			}
			continue
		}
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
	s.timeouts = s.sets && (endsWaits(step.SQL) || s.hasTimeout(ctx))
	ctx, a.cancel = context.WithCancel(ctx)
	a.inbox = send(ctx, s.conn, step.SQL)
	s.running, r.quiet, r.moved = a, false, time.Now()
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
	started, canceled := time.Now(), false
	for interval := askFirst; !r.hear(a); interval = min(2*interval, settleLimit) {
		if m == again && r.quiet {
			return waits()
		}
		if err := pause(ctx, a.inbox.news, interval); err != nil {
			return false, err
		}
		if r.hear(a) {
			break
		}
		took := time.Since(started)
		if r.Timeout > 0 && took > r.Timeout && !canceled {
			fmt.Fprintf(r.Out, "isolationtester: canceling step %s after %d seconds\n", a.Step.Name, int(took.Seconds()))
			a.cancel()
			canceled = true
		}
		if r.Timeout > 0 && took > 2*r.Timeout {
			return false, r.timedOut(a.Step, took)
		}
		blocked, settled, err := r.blocked(ctx, a)
		switch {
		case err != nil:
			return false, err
		case blocked && m != toTheEnd && (settled || took >= settleLimit):
			// What it said before it began to wait has been sent, and may still
			// be on its way through our own process.
			if err := pause(ctx, nil, askFirst/4); err != nil {
				return false, err
			}
			if r.hear(a) {
				continue
			}
			return waits()
		case blocked && settled && m == toTheEnd && r.Timeout == 0:
			if ends, err := r.ends(ctx, a.session); err != nil || !ends {
				return false, cmp.Or[error](err, &stuck{"step " + a.Step.Name, "complete", "nobody is left who could end its wait"})
			}
		}
		if r.Timeout == 0 && took > r.Patience {
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

// timedOut says what the reference program says when its time is over.
func (r *run) timedOut(step spec.Step, took time.Duration) error {
	fmt.Fprintf(r.Err, "step %s timed out after %d seconds\nactive steps are:", step.Name, int(took.Seconds()))
	for _, s := range r.sessions {
		if s.running != nil {
			fmt.Fprintf(r.Err, " %s", s.running.Step.Name)
		}
	}
	fmt.Fprintln(r.Err)
	return ErrFailed
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
	if a.done {
		r.quiet, r.moved = false, time.Now() // it may have freed somebody
		r.hearBehind(a)
	}
	return a.done
}

// hearBehind tells a notice that follows the first result at once: the server
// sends both together, and libpq processes notices beyond where it stops to read.
// Not so where rows begin in between, which is to say, of a statement with rows.
func (r *run) hearBehind(a *running) {
	if len(a.answers) < 2 || a.answers[1].Notice == nil {
		return
	}
	for _, answer := range a.answers[2:] {
		if answer.Table == nil {
			continue
		}
		if len(answer.Table.Columns) == 0 {
			r.notice(a.session, a.answers[1].Notice, a.SQL)
			a.answers = slices.Delete(a.answers, 1, 2)
		}
		return
	}
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
