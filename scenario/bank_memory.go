package scenario

import (
	"context"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

var bankMemory = racelab.Scenario{
	Name:    "bank-memory",
	Summary: "two deposits of 100 to a balance of 30, in the memory of one process",
	Story: `The talk's picture of a race. A user has 30, and two threads pay in 100 each. Both
read 30, both compute 130, both write 130, and one deposit is gone: the bank has
taken 200 and owes 130. The read is not what does the harm, but the write that is
made from a read that has grown old. The same deposit with a database beneath it
is the exhibit deposit.`,
	Sources: []string{"2-thread-safety-talk.txt"},
	Reading: []string{"H. Berenson et al., A Critique of ANSI SQL Isolation Levels, 1995: P4, lost update"},
	Cast: []racelab.Role{
		{Name: "depositor", Calls: []racelab.Args{{"amount": int64(100)}}},
		{Name: "depositor", Calls: []racelab.Args{{"amount": int64(100)}}},
	},
	Strategies: []racelab.Strategy{
		{
			Name:    "read-modify-write",
			Summary: "read the balance, add, write it back",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "lost-update"}},
			Fix:     []string{"locked"},
			Process: newMemoryAccount,
			Body:    depositor(bankReadModifyWrite),
		},
		{
			Name:    "locked-write",
			Summary: "a mutex around the write alone",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "lost-update"}},
			Fix:     []string{"locked"},
			Process: newMemoryAccount,
			Body:    depositor(bankLockedWrite),
		},
		{
			Name:    "locked",
			Summary: "a mutex around the read and the write",
			Safe:    true,
			Process: newMemoryAccount,
			Body:    depositor(bankLocked),
		},
		{
			Name:    "compare-and-swap",
			Summary: "write only if the balance is still the one that was read, else begin again",
			Safe:    true,
			Process: func(m *racelab.Memory) any { return mem.NewAtomic(m, "balance", int64(30)) },
			Body:    depositor(bankCompareAndSwap),
		},
	},
}

// The talk's five lines: thread 1 reads 30, thread 2 reads 30, both write 130. In
// a thread dump nothing is wrong, no exception is raised, and 100 are missing.
func bankReadModifyWrite(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	a := env.Process.(*memoryAccount)
	balance := a.balance.Load()
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	a.balance.Store(balance + env.Args.Int("amount"))
	return nil, nil
}

// The write is locked, and so is the read; but between the two the mutex is free.
// No two accesses are at the same time, so the race detector has nothing to say:
// this is a race condition without a data race. A lock that is to help has to be
// held from the read that decides to the write that follows from it.
func bankLockedWrite(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	a := env.Process.(*memoryAccount)
	a.mutex.Lock()
	balance := a.balance.Load()
	a.mutex.Unlock()
	if err := env.Window(ctx); err != nil {
		return nil, err
	}

	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.balance.Store(balance + env.Args.Int("amount"))
	return nil, nil
}

// From the read to the write nobody else has the mutex. Now the second deposit
// reads 130, and 230 is what is left.
func bankLocked(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	a := env.Process.(*memoryAccount)
	a.mutex.Lock()
	defer a.mutex.Unlock()
	balance := a.balance.Load()
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	a.balance.Store(balance + env.Args.Int("amount"))
	return nil, nil
}

// Nobody is kept out. Who writes says what it has read, and the write is made only
// if that is still there; otherwise somebody was faster, and it begins again.
// Somebody always was: the loop ends, because each failure is another one's
// success. A column version in a database is the same idea.
func bankCompareAndSwap(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	balance := env.Process.(*mem.Atomic[int64])
	for {
		is := balance.Load()
		if balance.CompareAndSwap(is, is+env.Args.Int("amount")) {
			return nil, nil
		}
	}
}

type memoryAccount struct {
	balance *mem.Var[int64]
	mutex   *mem.Mutex
}

func newMemoryAccount(m *racelab.Memory) any {
	return &memoryAccount{mem.NewVar(m, "balance", int64(30)), mem.NewMutex(m, "the mutex")}
}
