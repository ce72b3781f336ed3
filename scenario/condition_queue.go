package scenario

import (
	"context"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

var conditionQueue = racelab.Scenario{
	Name:    "condition-queue",
	Summary: "a consumer that was woken finds the queue empty again",
	Story: `The talk's use of a condition: wait until the queue is not empty, and take an item.
Between the signal and the moment in which the consumer has the mutex again others
may have it, and one of them may take the item. A condition that has been signalled
is a hint that it was true, and no promise that it is. So it is looked at again: a
wait stands in a loop, in every language and every textbook, and in most code
reviews somebody has to say so.`,
	Sources: []string{"2-thread-safety-talk.txt"},
	Reading: []string{
		"B. Lampson and D. Redell, Experience with Processes and Monitors in Mesa, 1980: a notification is a hint",
		"Package sync, Cond.Wait: \"Wait is called in a loop\"",
		"M. Herlihy and N. Shavit, The Art of Multiprocessor Programming, 2012, 8.2: monitor locks and conditions",
	},
	Cast: []racelab.Role{
		{Name: "consumer", Calls: []racelab.Args{nil}},
		{Name: "consumer", Calls: []racelab.Args{nil}},
		{Name: "producer", Calls: []racelab.Args{nil, nil}},
	},
	Strategies: []racelab.Strategy{
		{
			Name:    "if",
			Summary: "if the queue is empty, wait; then take",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "non-repeatable-read"}}, // there was an item, and then there was none
			Fix:     []string{"for"},
			Process: newQueue,
			Body:    queued(queueIf, queuePut),
		},
		{
			Name:    "for",
			Summary: "as long as the queue is empty, wait; then take",
			Safe:    true,
			Process: newQueue,
			Body:    queued(queueFor, queuePut),
		},
		{
			Name:    "channel",
			Summary: "Go's way: a channel is a queue that can be waited for",
			Safe:    true,
			Process: newQueue,
			Body:    queued(queueReceive, queueSend),
		},
	},
}

func queued(consumer, producer racelab.Body) map[string]racelab.Body {
	return map[string]racelab.Body{"consumer": consumer, "producer": producer}
}

// One consumer waits. The producer puts an item there and signals; the other
// consumer, which never waited, comes first, finds the item and takes it. Then the
// first one has the mutex, does not look again, and takes what is not there.
func queueIf(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	q := env.Process.(*workQueue)
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if q.items.Load() == 0 {
		q.filled.Wait()
	}
	return takeItem(q), nil
}

// Whoever is woken looks again, and if somebody was faster waits again. That is the
// whole difference: three letters.
func queueFor(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	q := env.Process.(*workQueue)
	q.mutex.Lock()
	defer q.mutex.Unlock()
	for q.items.Load() == 0 {
		q.filled.Wait()
	}
	return takeItem(q), nil
}

// takeItem is called with the mutex held, by who believes that there is an item.
func takeItem(q *workQueue) string {
	n := q.items.Load()
	if n == 0 {
		return "there was nothing"
	}
	q.items.Store(n - 1)
	return "took an item"
}

// The producer puts an item into the queue and wakes one consumer, for each item
// anew.
func queuePut(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	q := env.Process.(*workQueue)
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.items.Store(q.items.Load() + 1)
	q.filled.Signal()
	return nil, nil
}

// A channel is the queue, the mutex and the condition in one. Who receives has the
// item in the same step in which it goes on, and nobody can come in between.
func queueReceive(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	env.Process.(*workQueue).channel.Recv()
	return "took an item", nil
}

// The producer sends. The channel has place for as many items as there are, so it
// waits for nobody; with less place it would be slowed down by its consumers.
func queueSend(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	env.Process.(*workQueue).channel.Send("an item")
	return nil, nil
}

type workQueue struct {
	items   *mem.Var[int64] // how many
	mutex   *mem.Mutex
	filled  *mem.Cond
	channel *mem.Chan[string]
}

func newQueue(m *racelab.Memory) any {
	q := &workQueue{items: mem.NewVar(m, "items", int64(0)), mutex: mem.NewMutex(m, "the mutex"), channel: mem.NewChan[string](m, "the queue", 2)}
	q.filled = mem.NewCond(m, "filled", q.mutex)
	return q
}
