package scenario

import (
	"context"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

var eventNotify = racelab.Scenario{
	Name:    "event-notify",
	Summary: "a worker looks whether there is data, and then waits for a signal that has been given",
	Story: `The talk's use of an event: tell the workers that new data is there. A signal is
for whoever waits. If nobody does, it is gone; it is no letter that lies in a box.
A worker that looks, sees nothing and is about to wait misses the signal that comes
in this very moment, and waits for the next one, which may never come. The queue is
full, the worker sleeps, and nothing in the log says why.`,
	Sources: []string{"2-thread-safety-talk.txt"},
	Reading: []string{
		"Package sync, Cond, and its first sentence of advice: for many simple use cases, channels are better",
		"B. Lampson and D. Redell, Experience with Processes and Monitors in Mesa, 1980: wait is given up and begun under the monitor lock",
		"Python documentation, threading: Event objects",
	},
	Cast: []racelab.Role{
		{Name: "worker", Calls: []racelab.Args{nil}},
		{Name: "producer", Calls: []racelab.Args{nil}},
	},
	Strategies: []racelab.Strategy{
		{
			Name:    "check-then-wait",
			Summary: "look without the mutex, then lock it and wait",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "lost-wakeup"}},
			Fix:     []string{"check-locked"},
			Process: newBulletin,
			Body:    notified(eventCheckThenWait, eventSignal),
		},
		{
			Name:    "check-locked",
			Summary: "look and begin to wait under the mutex that the producer takes, too",
			Safe:    true,
			Process: newBulletin,
			Body:    notified(eventCheckLocked, eventSignalLocked),
		},
		{
			Name:    "clear-then-wait",
			Summary: "an event, cleared before it is waited for: what was set before is wiped out",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "lost-wakeup"}},
			Fix:     []string{"event"},
			Process: newBulletin,
			Body:    notified(eventClearThenWait, eventSet),
		},
		{
			Name:    "event",
			Summary: "an event that stays set",
			Safe:    true,
			Process: newBulletin,
			Body:    notified(eventWait, eventSet),
		},
		{
			Name:    "channel",
			Summary: "Go's way: a channel that is closed stays closed",
			Safe:    true,
			Process: newBulletin,
			Body:    notified(eventReceive, eventClose),
		},
	},
}

func notified(worker, producer racelab.Body) map[string]racelab.Body {
	return map[string]racelab.Body{"worker": worker, "producer": producer}
}

// The look is right, and so is the wait; between them is a gap, and the producer
// fits into it: it puts its data there and signals, and nobody waits yet. That the
// data is an atomic does not help. The gap is between two operations, not within one.
func eventCheckThenWait(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	b := env.Process.(*bulletin)
	if b.data.Load() == 0 {
		if err := env.Window(ctx); err != nil {
			return nil, err
		}
		b.mutex.Lock()
		b.arrived.Wait()
		b.mutex.Unlock()
	}
	return b.data.Load(), nil
}

// The producer without the mutex: it can come between the worker's look and wait.
func eventSignal(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	b := env.Process.(*bulletin)
	b.data.Store(7)
	b.arrived.Signal()
	return nil, nil
}

// The worker has the mutex from its look on, and Wait gives it up in the same step
// in which it begins to wait. So the producer comes before the look, and the worker
// does not wait; or after the wait has begun, and the signal finds somebody.
func eventCheckLocked(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	b := env.Process.(*bulletin)
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for b.data.Load() == 0 {
		b.arrived.Wait()
	}
	return b.data.Load(), nil
}

// The producer changes what the worker looks at under the same mutex. The signal
// itself may be given with it or after it.
func eventSignalLocked(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	b := env.Process.(*bulletin)
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.data.Store(7)
	b.arrived.Signal()
	return nil, nil
}

// An event stays set, so that nobody can come too late; unless it is taken back
// first. Who clears it "to begin anew" and then waits clears away the news itself.
// An event is cleared by whoever has dealt with what it told, before looking for
// more, and never just before a wait.
func eventClearThenWait(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	b := env.Process.(*bulletin)
	b.event.Clear()
	b.event.Wait()
	return b.data.Load(), nil
}

// The producer sets the event when the data is there, and not before: who goes on
// because of it comes after what was stored, and sees it.
func eventSet(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	b := env.Process.(*bulletin)
	b.data.Store(7)
	b.event.Set()
	return nil, nil
}

// Who comes before the event is set waits, and who comes after it does not. There
// is no gap, because the event remembers what a signal forgets.
func eventWait(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	b := env.Process.(*bulletin)
	b.event.Wait()
	return b.data.Load(), nil
}

// To receive from a closed channel is possible at once, now and for ever, for as
// many as want to. It is how Go says "this has happened", as context.Context does
// with Done.
func eventReceive(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	b := env.Process.(*bulletin)
	b.done.Recv()
	return b.data.Load(), nil
}

// The producer closes the channel when the data is there. It can do so once: a
// channel is for one piece of news.
func eventClose(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	b := env.Process.(*bulletin)
	b.data.Store(7)
	b.done.Close()
	return nil, nil
}

type bulletin struct {
	data    *mem.Atomic[int64] // 0 is nothing yet
	mutex   *mem.Mutex
	arrived *mem.Cond
	event   *mem.Event
	done    *mem.Chan[struct{}]
}

func newBulletin(m *racelab.Memory) any {
	b := &bulletin{data: mem.NewAtomic(m, "data", int64(0)), mutex: mem.NewMutex(m, "the mutex"), event: mem.NewEvent(m, "the event"), done: mem.NewChan[struct{}](m, "done", 0)}
	b.arrived = mem.NewCond(m, "news", b.mutex)
	return b
}
