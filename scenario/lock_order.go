package scenario

import (
	"context"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

var lockOrder = racelab.Scenario{
	Name:    "lock-order",
	Summary: "two transfers in opposite directions lock two accounts in opposite orders",
	Story: `Each account has a mutex, and who transfers takes both: the payer's, then the
payee's. From John to Jane that is John's, then Jane's; from Jane to John the other
way round. If both have their first, each waits for what the other one has. Every
line is locked, and nothing is lost but time, all of it. A database would see the
circle and fail one of the two (transfer/for-update-call-order); a mutex sees
nothing. It hides well, because the two locks are seldom in one function: one is in
a method, the other one in what it calls.`,
	Reading: []string{
		"E. Coffman et al., System Deadlocks, 1971: four conditions, of which the circle is the one that an order forbids",
		"M. Herlihy and N. Shavit, The Art of Multiprocessor Programming, 2012, 8: monitors and blocking synchronization",
	},
	Cast: []racelab.Role{
		{Name: "teller", Calls: []racelab.Args{{"from": int64(0), "to": int64(1), "amount": int64(10)}}},
		{Name: "teller", Calls: []racelab.Args{{"from": int64(1), "to": int64(0), "amount": int64(20)}}},
	},
	Invariants: []racelab.Invariant{{Name: "the bank holds 200", Measure: bothHold200}},
	Strategies: []racelab.Strategy{
		{
			Name:    "call-order",
			Summary: "lock the payer, then the payee",
			Expect:  []racelab.Expect{{Result: racelab.CellDeadlock, Anomaly: "deadlock"}},
			Fix:     []string{"one-order"},
			Process: newBranch,
			Body:    teller(lockCallOrder),
		},
		{
			Name:    "one-order",
			Summary: "lock the account with the lower number first, whichever way the money goes",
			Safe:    true,
			Process: newBranch,
			Body:    teller(lockOneOrder),
		},
		{
			Name:    "one-lock",
			Summary: "one mutex for the whole bank, the talk's account_lock",
			Safe:    true,
			Process: newBranch,
			Body:    teller(lockOneLock),
		},
	},
}

func teller(b racelab.Body) map[string]racelab.Body { return map[string]racelab.Body{"teller": b} }

// A locks John and wants Jane, B has locked Jane and wants John. In most runs one
// of them is done before the other begins, which is why this passes its tests for
// years. The replay has the two switches that it takes.
func lockCallOrder(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	b, from, to := env.Process.(*branch), env.Args.Int("from"), env.Args.Int("to")
	b.mutexes[from].Lock()
	defer b.mutexes[from].Unlock()
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	b.mutexes[to].Lock()
	defer b.mutexes[to].Unlock()
	moveBetween(b, from, to, env.Args.Int("amount"))
	return nil, nil
}

// All take their locks in the same order. Whoever holds a lock waits only for one
// with a higher number, and who has the highest waits for nobody: there is no
// circle. Any order will do that everybody knows; where there is no number, one is
// made for the purpose.
func lockOneOrder(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	b, from, to := env.Process.(*branch), env.Args.Int("from"), env.Args.Int("to")
	first, second := min(from, to), max(from, to)
	b.mutexes[first].Lock()
	defer b.mutexes[first].Unlock()
	b.mutexes[second].Lock()
	defer b.mutexes[second].Unlock()
	moveBetween(b, from, to, env.Args.Int("amount"))
	return nil, nil
}

// With one lock there is nothing to put in order. Transfers that have nothing to
// do with each other wait for each other, too; whether that matters is to be
// measured before it is made more complicated.
func lockOneLock(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	b := env.Process.(*branch)
	b.all.Lock()
	defer b.all.Unlock()
	moveBetween(b, env.Args.Int("from"), env.Args.Int("to"), env.Args.Int("amount"))
	return nil, nil
}

// moveBetween is called with both accounts locked.
func moveBetween(b *branch, from, to, amount int64) {
	b.balances[from].Store(b.balances[from].Load() - amount)
	b.balances[to].Store(b.balances[to].Load() + amount)
}

type branch struct {
	balances [2]*mem.Var[int64]
	mutexes  [2]*mem.Mutex
	all      *mem.Mutex
}

func newBranch(m *racelab.Memory) any {
	return &branch{
		[2]*mem.Var[int64]{mem.NewVar(m, "John", int64(100)), mem.NewVar(m, "Jane", int64(100))},
		[2]*mem.Mutex{mem.NewMutex(m, "John's lock"), mem.NewMutex(m, "Jane's lock")},
		mem.NewMutex(m, "account_lock"),
	}
}

func bothHold200(s racelab.State) (expected, actual int64, err error) {
	john, err := intIn(s, "John")
	if err != nil {
		return 0, 0, err
	}
	jane, err := intIn(s, "Jane")
	return 200, john + jane, err
}
