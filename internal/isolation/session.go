package isolation

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/racelab/racelab"
)

// A session is a connection and what has been told of it. Only the goroutine of
// the run uses it; its statements run in goroutines of their own.
type session struct {
	name    string
	conn    racelab.Conn
	begun   *sent    // its set-up, if that was sent ahead of the permutation
	running *running // the step that was sent and has not been told to have completed
	notices int      // how many have been told
	// notifications wait for the session's next step to complete.
	notifications []*racelab.Notification
	lost          bool // the server has ended the connection
	sets          bool // timeouts, somewhere in its text
	timeouts      bool // the step that it runs may have one, so that its waits may end by themselves
}

// connect opens all connections, beside each other, and gives the sessions their
// names. It asks whether the server ends waits by itself. Other products know
// neither, which is no failure.
func (r *run) connect(ctx context.Context) error {
	var all sync.WaitGroup
	errs := make([]error, len(r.sessions)+1)
	for i, s := range r.sessions {
		all.Go(func() {
			if s.conn, errs[i] = r.world.Connect(ctx); errs[i] == nil {
				name := strings.ReplaceAll(r.Application+"/"+s.name, "'", "''")
				_ = s.conn.Text(ctx, "SET application_name = '"+name+"'", func(racelab.Answer) {})
			}
		})
	}
	all.Go(func() {
		if r.control, errs[len(r.sessions)] = r.world.Connect(ctx); r.control != nil {
			_ = r.control.Text(ctx, "SHOW lock_timeout; SHOW statement_timeout; SHOW idle_in_transaction_session_timeout; SHOW transaction_timeout", func(a racelab.Answer) {
				r.timeouts = r.timeouts || a.Table != nil && a.Table.Rows[0][0] != "0"
			})
		}
	})
	all.Wait()
	if r.timeouts || slices.ContainsFunc(r.sessions, func(s *session) bool { return s.sets }) {
		r.renewal = nil // the snapshot may be ended too, and errors of locks may tell where a row lies
	}
	if r.renewal != nil && r.control != nil {
		if empty, err := value(ctx, r.control, bare); err != nil || empty != "t" {
			r.renewal = nil
		}
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// hasTimeout asks a session that sets timeouts somewhere whether one is set now:
// a rollback takes it back. In a transaction that has failed it answers nothing,
// but there nothing waits.
func (s *session) hasTimeout(ctx context.Context) (is bool) {
	_ = s.conn.Text(ctx, "SHOW lock_timeout; SHOW statement_timeout", func(a racelab.Answer) {
		switch {
		case a.Table != nil:
			is = is || a.Table.Rows[0][0] != "0"
		case a.Notification != nil:
			s.notifications = append(s.notifications, a.Notification)
		}
	})
	return is
}

// send starts to run sql. Whoever sends waits for inbox.done before it sends
// again, or closes the connection.
func send(ctx context.Context, c racelab.Conn, sql string) *inbox {
	in := &inbox{news: make(chan struct{}, 1)}
	go func() {
		err := c.Text(ctx, sql, func(a racelab.Answer) { in.put(func() { in.answers = append(in.answers, a) }) })
		in.put(func() { in.done, in.err = true, err })
	}()
	return in
}

// An inbox keeps what a server has answered until somebody looks: the server
// goes on meanwhile, as it does when a client reads late.
type inbox struct {
	news chan struct{} // has an element if something came since it was last received

	mu      sync.Mutex
	answers []racelab.Answer
	done    bool
	err     error
}

func (in *inbox) put(change func()) {
	in.mu.Lock()
	change()
	in.mu.Unlock()
	select {
	case in.news <- struct{}{}:
	default:
	}
}

func (in *inbox) take() (answers []racelab.Answer, done bool, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	answers, in.answers = in.answers, nil
	return answers, in.done, in.err
}

// wait returns when the server is done. Only whoever has cancelled the statement
// may call it, or it may never return.
func (in *inbox) wait() {
	for !in.over() {
		<-in.news
	}
}

// over reports whether the server is done, without taking anything.
func (in *inbox) over() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.done
}
