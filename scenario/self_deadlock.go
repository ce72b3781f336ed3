package scenario

import (
	"context"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

var selfDeadlock = racelab.Scenario{
	Name:    "self-deadlock",
	Summary: "a deposit locks the account and calls a method that locks it again",
	Story: `The talk's BankAccount: deposit takes the lock and calls _update_balance, which
takes the same lock. No second thread is needed: whoever is first waits for itself,
and the others wait for it. It comes with growth: a public method that locks is one
day called by another one that has locked already. Go's own words for it are
"fatal error: all goroutines are asleep - deadlock!", but only if really all are; a
server has others, and just stops answering.`,
	Sources: []string{"2-thread-safety-talk.txt"},
	Reading: []string{
		"Package sync, Mutex: \"a Mutex is not associated with a particular goroutine\"",
		"Python documentation, threading: RLock objects",
		"R. Cox, golang-nuts, 2010: why Go has no recursive mutexes",
	},
	Cast: []racelab.Role{
		{Name: "depositor", Calls: []racelab.Args{{"amount": int64(100)}}},
		{Name: "depositor", Calls: []racelab.Args{{"amount": int64(100)}}},
		{Name: "depositor", Calls: []racelab.Args{{"amount": int64(100)}}},
	},
	Strategies: []racelab.Strategy{
		{
			Name:    "lock",
			Summary: "both methods take the mutex: the first deposit waits for itself",
			Expect:  []racelab.Expect{{Result: racelab.CellDeadlock, Anomaly: "deadlock"}},
			Fix:     []string{"inner"},
			Process: newSelfAccount,
			Body:    depositor(selfLock),
		},
		{
			Name:    "reentrant",
			Summary: "the talk's RLock: whoever has it may take it again",
			Safe:    true,
			Process: newSelfAccount,
			Body:    depositor(selfReentrant),
		},
		{
			Name:    "inner",
			Summary: "Go's way: the public method locks, the inner one says that it is called with the lock",
			Safe:    true,
			Process: newSelfAccount,
			Body:    depositor(selfInner),
		},
	},
}

// The talk's deposit. A has the mutex, calls the update, and the update waits for
// the mutex, which only A could give back. B and C wait for A. It is not a race:
// it happens each time, also with one thread.
func selfLock(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	a := env.Process.(*selfAccount)
	a.mutex.Lock()
	defer a.mutex.Unlock()
	updateLocking(a, env.Args.Int("amount"))
	return nil, nil
}

func updateLocking(a *selfAccount, amount int64) {
	a.mutex.Lock() // whoever calls this has it already
	defer a.mutex.Unlock()
	a.balance.Store(a.balance.Load() + amount)
}

// A reentrant lock knows who has it, lets its owner in again, and counts: it is
// free when it has been given back as often as it was taken. 300 is the balance.
// The price is that a lock no longer says "nobody is in the middle of something":
// the inner method may find the account as the outer one has just left it, half
// changed.
func selfReentrant(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	a := env.Process.(*selfAccount)
	a.reentrant.Lock(env)
	defer a.reentrant.Unlock(env)
	updateReentrant(a, env, env.Args.Int("amount"))
	return nil, nil
}

func updateReentrant(a *selfAccount, owner any, amount int64) {
	a.reentrant.Lock(owner)
	defer a.reentrant.Unlock(owner)
	a.balance.Store(a.balance.Load() + amount)
}

// Go has no reentrant mutex, and no use for one. What the public methods have in
// common is a function that does not lock; by custom its name says so. Who calls
// it has the mutex, and that is written where it can be read.
func selfInner(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	a := env.Process.(*selfAccount)
	a.mutex.Lock()
	defer a.mutex.Unlock()
	updateLocked(a, env.Args.Int("amount"))
	return nil, nil
}

// updateLocked is called with the account's mutex held.
func updateLocked(a *selfAccount, amount int64) {
	a.balance.Store(a.balance.Load() + amount)
}

type selfAccount struct {
	balance   *mem.Var[int64]
	mutex     *mem.Mutex
	reentrant *mem.ReentrantMutex
}

func newSelfAccount(m *racelab.Memory) any {
	return &selfAccount{mem.NewVar(m, "balance", int64(0)), mem.NewMutex(m, "the account's lock"), mem.NewReentrantMutex(m, "the account's lock")}
}
