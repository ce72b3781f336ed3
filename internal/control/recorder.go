// Package control runs sessions and records what they do.
//
// In free running, which is all there is so far, every operation goes ahead at
// once: a Recorder is the gate that only writes down, and a Tape puts what
// several recorders wrote, in one process or many, into one history.
package control

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/racelab/racelab"
)

// A Record is an event with what a history leaves out: when it happened, and
// on which connection.
type Record struct {
	At      time.Duration    `json:"at"` // on the machine's monotonic clock
	Event   racelab.Event    `json:"event"`
	Conn    racelab.ConnID   `json:"conn,omitempty"`
	Holders []racelab.ConnID `json:"holders,omitempty"` // of a wait: for whom
}

// A Recorder is the free gate: it lets everything go ahead and records it.
type Recorder struct {
	sink func(Record)

	mu       sync.Mutex
	steps    map[racelab.SessionID]int
	calls    map[racelab.SessionID]racelab.CallID
	routines map[racelab.SessionID]routine // that make the calls
	inFlight map[racelab.ConnID]*flight
}

type flight struct {
	op     racelab.Op
	since  time.Duration
	waited bool
}

// NewRecorder gives each record to sink, which several goroutines may call and
// which must not call the recorder.
func NewRecorder(sink func(Record)) *Recorder {
	return &Recorder{
		sink:     sink,
		steps:    map[racelab.SessionID]int{},
		calls:    map[racelab.SessionID]racelab.CallID{},
		routines: map[racelab.SessionID]routine{},
		inFlight: map[racelab.ConnID]*flight{},
	}
}

// Restart makes every session's steps count from 1 again, for another run. No
// operation may be in flight.
func (r *Recorder) Restart() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.steps)
	clear(r.calls)
}

// Called records that a session's call begins; text describes it.
func (r *Recorder) Called(s racelab.SessionID, c racelab.CallID, text string) {
	code := thisRoutine()
	r.mu.Lock()
	r.calls[s], r.routines[s] = c, code
	r.mu.Unlock()
	r.sink(Record{At: now(), Event: racelab.Event{Kind: racelab.Called, Op: racelab.Op{Session: s, Call: c, Text: text}}})
}

// Waits says what a session in a call waits for outside of any operation, and
// where; "" if it does not.
func (r *Recorder) Waits(s racelab.SessionID) string {
	r.mu.Lock()
	code := r.routines[s]
	r.mu.Unlock()
	return code.waits()
}

// Returned records that the session's call ended.
func (r *Recorder) Returned(s racelab.SessionID, result racelab.Result) {
	r.mu.Lock()
	c := r.calls[s]
	r.mu.Unlock()
	r.sink(Record{At: now(), Event: racelab.Event{Kind: racelab.Returned, Op: racelab.Op{Session: s, Call: c}, Result: result}})
}

// Enter implements racelab.Gate.
func (r *Recorder) Enter(_ context.Context, op racelab.Op) (racelab.Op, error) {
	at := now()
	r.mu.Lock()
	r.steps[op.Session]++
	op.Step, op.Call = r.steps[op.Session], r.calls[op.Session]
	if op.Conn != "" {
		r.inFlight[op.Conn] = &flight{op: op, since: at}
	}
	r.mu.Unlock()
	r.sink(Record{At: at, Event: racelab.Event{Kind: racelab.Entered, Op: op}, Conn: op.Conn})
	return op, nil
}

// Leave implements racelab.Gate.
func (r *Recorder) Leave(_ context.Context, op racelab.Op, result racelab.Result) error {
	at := now()
	r.mu.Lock()
	delete(r.inFlight, op.Conn)
	r.mu.Unlock()
	r.sink(Record{At: at, Event: racelab.Event{Kind: racelab.Left, Op: op, Result: result}, Conn: op.Conn})
	return nil
}

// Window passes d as an operation of the session.
func (r *Recorder) Window(ctx context.Context, s racelab.SessionID, d time.Duration) error {
	op, _ := r.Enter(ctx, racelab.Op{Session: s, Kind: racelab.Window, Text: d.Round(100 * time.Microsecond).String()})
	timer := time.NewTimer(d)
	defer timer.Stop()
	var err error
	select {
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = r.Leave(ctx, op, racelab.Result{Class: racelab.ClassOf(err)})
	return err
}

// Watch asks world, until ctx ends, which of the operations that take their
// time wait for another session, and records each such wait once.
func (r *Recorder) Watch(ctx context.Context, world racelab.World) {
	const every = 4 * time.Millisecond
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		slow := r.slow(now() - every)
		if len(slow) == 0 {
			continue
		}
		at := now()
		waits, err := world.Waits(ctx, slices.Sorted(maps.Keys(slow)))
		if err != nil {
			continue // the next tick asks again; without an answer nothing is claimed
		}
		for _, w := range waits {
			r.wait(at, slow[w.Conn], w)
		}
	}
}

// slow gives the operations that were let in before t and are not yet known to
// wait.
func (r *Recorder) slow(t time.Duration) map[racelab.ConnID]*flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	slow := map[racelab.ConnID]*flight{}
	for id, f := range r.inFlight {
		if f.since < t && !f.waited {
			slow[id] = f
		}
	}
	return slow
}

// wait records what was asked at a moment when f was in flight. If it has left
// since, or another operation has taken its place on the connection, it is too
// late to say so: a wait would be recorded after its own end.
func (r *Recorder) wait(at time.Duration, f *flight, w racelab.Wait) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f == nil || r.inFlight[w.Conn] != f || f.waited {
		return
	}
	f.waited = true
	r.sink(Record{
		At:    at,
		Event: racelab.Event{Kind: racelab.Waiting, Op: f.op, What: w.What, Outside: w.Outside},
		Conn:  w.Conn, Holders: w.On,
	})
}
