package isolation

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/spec"
)

// stuck says that a permutation cannot go on, because what ("step a") cannot do
// its verb.
type stuck struct{ what, verb, why string }

func (s *stuck) Error() string { return s.what + " cannot " + s.verb + ": " + s.why }

// blocked asks whether a step waits for a lock of another session, and whether
// that has settled: everybody whose statement is not done waits, so that nobody
// moves. Who waits for somebody else, such as an autovacuum, does not count as
// waiting to the reference program either. If that is a prepared transaction,
// and everybody waits, it is stuck.
func (r *run) blocked(ctx context.Context, a *running) (blocked, settled bool, err error) {
	conns := r.busy()
	waiting, err := r.world.Blocked(ctx, conns)
	settled = len(waiting) == len(conns)
	if err != nil || !slices.Contains(waiting, a.session.conn.ID()) {
		return false, settled, err
	}
	waits, err := r.world.Waits(ctx, r.conns())
	for _, w := range waits {
		switch {
		case w.Conn != a.session.conn.ID():
		case w.Outside == "":
			r.quiet = settled
			return true, settled, nil
		case w.Orphan && settled && r.Timeout == 0 && !r.timeouts && !slices.ContainsFunc(r.sessions, func(s *session) bool { return s.running != nil && s.timeouts }):
			return false, settled, &stuck{"step " + a.Step.Name, "complete", "a prepared transaction is in its way, and nobody is left who could end that"}
		}
	}
	return false, settled, err
}

// busy lists the connections whose statements are not done.
func (r *run) busy() (conns []racelab.ConnID) {
	for _, s := range r.sessions {
		if s.running != nil && !s.running.inbox.over() {
			conns = append(conns, s.conn.ID())
		}
	}
	return conns
}

// conns lists all connections: those that are named are known to the engine as
// ours, whatever they call themselves.
func (r *run) conns() []racelab.ConnID {
	conns := []racelab.ConnID{r.control.ID()}
	for _, s := range r.sessions {
		conns = append(conns, s.conn.ID())
	}
	return conns
}

// ends reports whether the step that a session is in may still complete by
// itself. It says no only if that is certain: whoever it waits for has nothing
// to run. Those who wait for each other in a circle end when the server sees
// that, and who sets timeouts does so by itself.
func (r *run) ends(ctx context.Context, s *session) (bool, error) {
	if r.timeouts || r.signals && time.Since(r.moved) < signalLimit {
		return true, nil
	}
	by := map[racelab.ConnID]*session{}
	// Looked at before the engine is asked: who has nothing to run now is in
	// somebody's way for good, and who ends afterwards may not be any more.
	g := graph{r: r, busy: map[*session]bool{}, on: map[*session][]*session{}}
	for _, s := range r.sessions {
		by[s.conn.ID()] = s
		if s.running != nil && !s.running.inbox.over() {
			g.busy[s] = true
		}
	}
	waits, err := r.world.Waits(ctx, r.conns())
	if err != nil {
		return false, err
	}
	for _, w := range waits {
		if w.Orphan {
			g.on[by[w.Conn]] = []*session{nil} // whom nobody is left to commit
			continue
		}
		if w.Outside != "" {
			continue // somebody whom we do not know may do anything
		}
		for _, c := range w.On {
			g.on[by[w.Conn]] = append(g.on[by[w.Conn]], by[c]) // nil is the connection for set-ups, which runs nothing
		}
	}
	return g.completes(s, nil), nil
}

// A graph says whose statements are not done, and who waits for whose locks.
type graph struct {
	r    *run
	busy map[*session]bool
	on   map[*session][]*session
}

// completes also looks at markers; by are those who ask.
func (g graph) completes(s *session, by []*session) bool {
	if slices.Contains(by, s) {
		return false // markers that wait for each other do so for ever
	}
	by = append(by, s)
	if g.busy[s] && !g.returns(s) {
		return false
	}
	for i, m := range s.running.Markers {
		if !g.r.delays(s.running, i) {
			continue
		}
		on := g.r.sessionOf(m)
		switch m.Kind {
		case spec.AfterStep:
			if !g.completes(on, by) {
				return false
			}
		case spec.AfterNotices:
			// Notices behind its first result are told with its report.
			switch {
			case on.running == nil,
				on.running.done && !g.completes(on, by),
				g.busy[on] && !g.returns(on):
				return false
			}
		}
	}
	return true
}

// returns reports whether the statements that a session runs may end.
func (g graph) returns(s *session) bool {
	if s.timeouts || g.reaches(s, s, map[*session]bool{}) {
		return true // a circle is broken by the server at some place
	}
	for _, on := range g.on[s] {
		if !g.busy[on] || !g.returns(on) {
			return false
		}
	}
	return true
}

// reaches reports whether from waits for to, at however many removes.
func (g graph) reaches(from, to *session, seen map[*session]bool) bool {
	if from == nil || seen[from] {
		return false
	}
	seen[from] = true
	for _, on := range g.on[from] {
		if on == to || g.reaches(on, to, seen) {
			return true
		}
	}
	return false
}

// signalLimit is how long a server process may take until it hears that another
// one has cancelled it. Until then it looks as if it waited on.
const signalLimit = 2 * time.Second

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

// endsWaits reports whether SQL may set a timeout that ends a wait.
func endsWaits(sql string) bool {
	return strings.Contains(strings.ReplaceAll(strings.ToLower(sql), "deadlock_timeout", ""), "timeout")
}
