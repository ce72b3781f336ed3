package scenario

import (
	"context"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

var forgottenUnlock = racelab.Scenario{
	Name:    "forgotten-unlock",
	Summary: "a withdrawal fails between lock and unlock, and nobody gets in again",
	Story: `Lock, do something, unlock: and the something fails. In a handler whose framework
recovers from panics the request ends in a 500, the program goes on, and the mutex
stays taken for ever. The next request waits, and so does every one after it, until
somebody starts the process anew. A return in an error's branch does the same, and
no test of that error's text notices. The talk has it in two listings: with try and
finally, and shorter, with "with lock".`,
	Sources: []string{"2-thread-safety-talk.txt"},
	Reading: []string{
		"The Go Blog, Defer, Panic, and Recover",
		"Python documentation, threading: using locks in the with statement",
	},
	Cast: []racelab.Role{
		{Name: "customer", Calls: []racelab.Args{{"amount": int64(80)}}},
		{Name: "customer", Calls: []racelab.Args{{"amount": int64(30)}}},
	},
	Invariants: []racelab.Invariant{{Name: "nobody has withdrawn what was not there", Measure: overdrawn}},
	Strategies: []racelab.Strategy{
		{
			Name:    "panic",
			Summary: "unlock at the end, which a panic does not reach",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "forgotten-unlock"}},
			Fix:     []string{"deferred"},
			Process: newPurse,
			Body:    customer(forgottenPanic),
		},
		{
			Name:    "early-return",
			Summary: "unlock at the end, which an early return does not reach",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "forgotten-unlock"}},
			Fix:     []string{"deferred"},
			Process: newPurse,
			Body:    customer(forgottenReturn),
		},
		{
			Name:    "deferred",
			Summary: "defer the unlock in the line after the lock",
			Safe:    true,
			Process: newPurse,
			Body:    customer(forgottenDeferred),
		},
	},
}

func customer(b racelab.Body) map[string]racelab.Body { return map[string]racelab.Body{"customer": b} }

// There are 50, and two customers want 80 and 30. The first one's withdrawal
// panics before it comes to the unlock. Somebody further up recovers and answers
// with an error; the mutex is nobody's any more, and taken.
func forgottenPanic(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	p := env.Process.(*purse)
	p.mutex.Lock()
	withdraw(p, env.Args.Int("amount"))
	p.mutex.Unlock()
	return nil, nil
}

// The same without a panic. The check was put in later, between two lines that
// were right, and whoever did it looked at the condition.
func forgottenReturn(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	p, amount := env.Process.(*purse), env.Args.Int("amount")
	p.mutex.Lock()
	if p.balance.Load() < amount {
		return "not enough", nil
	}
	withdraw(p, amount)
	p.mutex.Unlock()
	return nil, nil
}

// What is deferred is done when the function ends, however it ends. The call that
// panics still panics, as it does when it is alone; but the mutex is free, and the
// next customer is served.
func forgottenDeferred(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	p := env.Process.(*purse)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	withdraw(p, env.Args.Int("amount"))
	return nil, nil
}

// withdraw is called with the purse's mutex held.
func withdraw(p *purse, amount int64) {
	balance := p.balance.Load()
	if balance < amount {
		panic("there is not that much left")
	}
	p.balance.Store(balance - amount)
}

type purse struct {
	balance *mem.Var[int64]
	mutex   *mem.Mutex
}

func newPurse(m *racelab.Memory) any {
	return &purse{mem.NewVar(m, "balance", int64(50)), mem.NewMutex(m, "the mutex")}
}

func overdrawn(s racelab.State) (expected, actual int64, err error) {
	balance, err := intIn(s, "balance")
	return 0, max(-balance, 0), err
}
