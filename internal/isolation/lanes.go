package isolation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/spec"
	"github.com/racelab/racelab/internal/sqltext"
)

// Permutations of a test whose tables are used again may run beside each other, in
// lanes: each has connections and a schema of its own. Nothing that such a test
// can print tells that, unless it says so (apart). What they print is printed in
// their order.

const (
	// pays is how many permutations take as long as to open a lane.
	pays = 15
	// ahead is how many permutations a lane may be ahead of what is printed.
	ahead = 1000
)

// lanes says in how many a test is to run.
func lanes(s *spec.Spec, o Options) int {
	if o.Lanes < 2 || o.Timeout > 0 || renewalOf(s) == nil || !apart(s) {
		return 1
	}
	n := 0
	for range permutations(s) {
		if n++; n == o.Lanes*pays {
			break
		}
	}
	return max(1, n/pays)
}

// apart reports whether a test shares nothing with another one in another schema:
// advisory locks are a database's, and whether a serializable transaction fails
// depends on what else is open in the server.
func apart(s *spec.Spec) bool {
	for _, w := range sqltext.Tokens(s.String()) {
		name := strings.ToLower(w.Inside())
		switch {
		case strings.HasPrefix(name, "pg_"), strings.HasPrefix(name, "racelab_"), strings.HasSuffix(name, "_timeout") && name != "deadlock_timeout",
			slices.Contains([]string{"serializable", "deferrable", "public", "schema", "search_path", "current_schema", "role", "authorization", "default_transaction_isolation"}, name):
			return false
		}
	}
	return true
}

// A queue hands permutations out, and prints what they say in their order.
type queue struct {
	Options
	next func() (spec.Permutation, bool)

	mu    sync.Mutex
	moved sync.Cond // front has, or nothing is handed out any more
	given int       // permutations
	front int       // the one that prints now
	kept  map[int][]said
	ended map[int]error // beyond front
	over  bool          // nothing is handed out any more
	err   error         // of the first one that has failed
}

type said struct {
	to   io.Writer
	text string
}

func newQueue(s *spec.Spec, o Options) (q *queue, stop func()) {
	q = &queue{Options: o, kept: map[int][]said{}, ended: map[int]error{}}
	q.moved.L = &q.mu
	q.next, stop = iter.Pull(permutations(s))
	return q, stop
}

// take hands out the next permutation and its number, to who has run the last one.
func (q *queue) take(last int) (number int, p spec.Permutation, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.given-q.front >= ahead && q.front != last && !q.over {
		q.moved.Wait()
	}
	if q.over {
		return 0, nil, false
	}
	if p, ok = q.next(); !ok {
		q.over = true
		return 0, nil, false
	}
	q.given++
	return q.given - 1, p, true
}

// say prints what a permutation says, when it is its turn.
func (q *queue) say(number int, to io.Writer, text string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if number > q.front {
		q.kept[number] = append(q.kept[number], said{to, text})
		return
	}
	_, _ = io.WriteString(to, text) // whoever reads no more is not told more
}

// end is told that nothing more comes of a permutation, and whether the test ends
// with it: those behind it are not printed.
func (q *queue) end(number int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended[number] = err
	q.over = q.over || err != nil
	for q.err == nil {
		err, ended := q.ended[q.front]
		if !ended {
			break
		}
		if q.err = err; err != nil {
			break
		}
		delete(q.ended, q.front)
		q.front++
		for _, s := range q.kept[q.front] {
			_, _ = io.WriteString(s.to, s.text)
		}
		delete(q.kept, q.front)
	}
	q.moved.Broadcast()
}

// A voice is one of the writers of a run.
type voice struct {
	run *run
	to  io.Writer
}

func (v voice) Write(p []byte) (int, error) {
	v.run.queue.say(v.run.number, v.to, string(p))
	return len(p), nil
}

// lane runs permutations until there are none, and closes the connections. All
// lanes but the first open theirs before, and if they cannot there are fewer.
// That a permutation fails is for the queue to say.
func (r *run) lane(ctx context.Context, number int) (err error) {
	// What runs is ended before its connection is closed.
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		err = r.close()
	}()
	if number > 0 && (r.connect(ctx) != nil || r.renewal == nil || r.moveOut(ctx, fmt.Sprint("racelab_", number)) != nil) {
		return nil
	}
	for {
		number, p, ok := r.queue.take(r.number)
		renewed, err := r.renew(ctx, !ok)
		if r.number >= 0 {
			r.queue.end(r.number, err)
		}
		if err != nil || !ok {
			return nil
		}
		r.number = number
		if err := r.play(ctx, p, renewed); err != nil {
			r.held.release()
			r.queue.end(number, err)
			return nil
		}
	}
}

// moveOut gives the sessions and the set-up a schema of their own.
func (r *run) moveOut(ctx context.Context, schema string) error {
	level, err := value(ctx, r.control, "SHOW default_transaction_isolation")
	if err == nil && level == "serializable" {
		err = errors.New("serializable transactions are not apart")
	}
	if err == nil {
		err = r.control.Text(ctx, fmt.Sprintf("DROP SCHEMA IF EXISTS %[1]s CASCADE; CREATE SCHEMA %[1]s; SET search_path = %[1]s", schema), func(racelab.Answer) {})
	}
	for _, s := range r.sessions {
		if err == nil {
			err = s.conn.Text(ctx, "SET search_path = "+schema, func(racelab.Answer) {})
		}
	}
	return err
}
