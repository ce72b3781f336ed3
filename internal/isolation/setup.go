package isolation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/racelab/racelab"
)

// setUp makes the tables, unless they are there, and sets up the sessions.
func (r *run) setUp(ctx context.Context, renewed bool) error {
	if !renewed {
		for _, sql := range r.spec.Setups {
			if err := r.do(ctx, "setup", r.control, nil, sql); err != nil {
				return r.giveUp(err)
			}
		}
	}
	for i, described := range r.spec.Sessions {
		if described.Setup == nil {
			continue
		}
		s := r.sessions[i]
		in := s.begun
		if s.begun = nil; in == nil {
			in = begin(ctx, s.conn, *described.Setup)
		}
		if err := r.await(ctx, "setup of session "+s.name, in, s, *described.Setup); err != nil {
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

// tearDown tears the sessions down. Like drop it goes on where something fails.
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
	return nil
}

// drop runs the test's own teardown.
func (r *run) drop(ctx context.Context) error {
	if r.spec.Teardown == nil {
		return nil
	}
	if err := r.giveUp(r.do(ctx, "teardown", r.control, nil, *r.spec.Teardown)); err != ErrFailed {
		return err
	}
	return nil
}

// askSetUp is when it is asked whether a set-up or a teardown waits: hardly any
// does, and who asks takes the server's time from those that are at work.
const askSetUp = 50 * time.Millisecond

// failed says what a set-up or a teardown came to.
type failed struct{ said string }

func (f *failed) Error() string { return f.said }

// do runs a set-up or a teardown and prints its last result, if that has rows:
// of several, libpq's PQexec gives no other. Notices are told if they are a
// session's. No statement at all is a failure to the reference program, and
// one of which the server says nothing.
func (r *run) do(ctx context.Context, what string, c racelab.Conn, s *session, sql string) error {
	return r.await(ctx, what, begin(ctx, c, sql), s, sql)
}

// A sent text runs, and can be ended.
type sent struct {
	*inbox
	cancel context.CancelFunc
}

func begin(ctx context.Context, c racelab.Conn, sql string) *sent {
	ctx, cancel := context.WithCancel(ctx)
	return &sent{send(ctx, c, sql), cancel}
}

// await is the rest of do, after a text was sent.
func (r *run) await(ctx context.Context, what string, in *sent, s *session, sql string) error {
	defer in.wait() // until a statement that is ended here is over
	defer in.cancel()
	for interval := askSetUp; !in.over(); interval *= 2 {
		if err := pause(ctx, in.news, interval); err != nil {
			return err
		}
		if in.over() {
			break
		}
		// Nobody else runs anything, so that whoever is waited for stays.
		if waits, err := r.world.Waits(ctx, r.conns()); err != nil {
			return err
		} else if len(waits) > 0 && (waits[0].Outside == "" || waits[0].Orphan) && !r.timeouts && (s == nil || !s.sets) && !in.over() {
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
