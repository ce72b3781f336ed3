package scenario

import (
	"context"
	"database/sql"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

var transfer = racelab.Scenario{
	Name:    "transfer",
	Summary: "money moves between three accounts, and the bank's total must not change",
	Story: `John, Jane and Alice have 100 each. Four transfers of 10 run at the same time:
John to Jane, Jane to Alice, John to Alice, Alice to John. One after another, in
any order, they leave John 90, Jane 100, Alice 110. Two of them meet at Jane's
account: if Jane to Alice reads it before John to Jane has written it, and writes
it afterwards, Jane has 90, and 10 of the bank's 300 are gone: 90, 90, 110.

By default the two that meet there run: A is Jane to Alice and B is John to Jane.
They are enough for the talk's result, and they are searched to the end. All four
run with --sessions 4, up to the bound that --bound gives. C and D take the same two
accounts in opposite order: --sessions 4 --only C,D.

Two notes on the talk's listing. It cannot run as printed: it defines setup_db
and calls init_db, and delete is not imported. And executor.submit keeps an
exception until somebody asks for the result, which nobody does: a transfer that
the database refused is missing without a word.`,
	Sources: []string{"2-thread-safety-talk.txt"},
	Reading: []string{
		"PostgreSQL manual, 13.3.4 Deadlocks: acquire locks on multiple objects in a consistent order",
		"MariaDB knowledge base, InnoDB Lock Modes, and innodb_deadlock_detect",
		"SQLAlchemy documentation, Session Basics: flushing; SQLite dialect: transactions with the sqlite3 driver",
		"Python FAQ, What kinds of global value mutation are thread-safe?",
		"H. Berenson et al., A Critique of ANSI SQL Isolation Levels, 1995: P4, lost update",
	},
	Setup: func(d racelab.Dialect) []string {
		return []string{
			"CREATE TABLE account (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL, " + d.Int32("balance") + " NOT NULL)",
			"INSERT INTO account (id, name, balance) VALUES (1, 'John', 100), (2, 'Jane', 100), (3, 'Alice', 100)",
		}
	},
	State: []string{"account"},
	Cast: []racelab.Role{
		{Name: "payer", Calls: []racelab.Args{{"from": int64(2), "to": int64(3), "amount": int64(10)}}},
		{Name: "payer", Calls: []racelab.Args{{"from": int64(1), "to": int64(2), "amount": int64(10)}}},
		{Name: "payer", Calls: []racelab.Args{{"from": int64(1), "to": int64(3), "amount": int64(10)}}},
		{Name: "payer", Calls: []racelab.Args{{"from": int64(3), "to": int64(1), "amount": int64(10)}}},
	},
	Sessions:   2,
	Invariants: []racelab.Invariant{{Name: "the bank holds 300", Measure: bankHolds300}},
	Strategies: []racelab.Strategy{
		{
			Name:    "read-modify-write",
			Summary: "read both balances, compute, write both in one transaction",
			// No level helps: what was read was read before the transaction.
			Expect: []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "lost-update"}},
			Fix:    []string{"atomic-update"},
			Body:   payer(transferReadModifyWrite),
		},
		{
			Name:    "transaction",
			Summary: "the reads are in the transaction too, which is not enough",
			Expect: []racelab.Expect{
				{Level: racelab.ReadUncommitted, Result: racelab.CellViolated, Anomaly: "lost-update"},
				{Level: racelab.ReadCommitted, Result: racelab.CellViolated, Anomaly: "lost-update"},
				{Engine: "mysql", Level: racelab.RepeatableRead, Result: racelab.CellViolated, Anomaly: "lost-update"},
				{Result: racelab.CellHoldsWithAborts},
			},
			Fix:  []string{"for-update", "atomic-update"},
			Body: payer(transferTransaction),
		},
		{
			Name:    "for-update",
			Summary: "lock both rows when they are read, the lower id first",
			Needs:   racelab.RowLocks,
			Safe:    true,
			Body:    payer(transferForUpdate),
		},
		{
			Name:    "for-update-call-order",
			Summary: "lock the payer's row, then the payee's: opposite transfers deadlock",
			Needs:   racelab.RowLocks,
			Safe:    true,
			Body:    payer(transferForUpdateCallOrder),
		},
		{
			Name:    "atomic-update",
			Summary: "let the database add and subtract",
			Safe:    true,
			Body:    payer(transferAtomicUpdate),
		},
		{
			Name:    "serializable-retry",
			Summary: "a serializable transaction, tried again when the database aborts it",
			Level:   racelab.Serializable,
			Safe:    true,
			Body:    payer(transferSerializableRetry),
		},
		{
			Name:    "process-mutex",
			Summary: "the talk's lock in Python: right in one process, wrong across several",
			Expect:  []racelab.Expect{{Result: racelab.CellHolds}}, // in one process
			Fix:     []string{"for-update", "atomic-update"},
			Body:    payer(transferProcessMutex),
			Process: func(m *racelab.Memory) any { return mem.NewMutex(m, "the mutex") },
		},
	},
}

func payer(b racelab.Body) map[string]racelab.Body { return map[string]racelab.Body{"payer": b} }

// The talk's transfer_money on SQLite. SQLModel reads both accounts; Python's
// sqlite3 module begins a transaction only before the first write, so what was
// read may be old by then; and the session writes the new balances in the order
// of the ids, in one transaction. That keeps a transfer whole. It does not keep
// another one out between the read and the write, and whoever writes last puts
// back what it read: money is lost, or made. The balance is a whole number here:
// the talk's float cannot hold most amounts of money exactly.
func transferReadModifyWrite(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	from, to, amount := env.Args.Int("from"), env.Args.Int("to"), env.Args.Int("amount")
	var balance = map[int64]int64{}
	for _, id := range []int64{from, to} {
		var n int64
		if err := env.DB.QueryRowContext(ctx, "SELECT balance FROM account WHERE id = ?", id).Scan(&n); err != nil {
			return nil, err
		}
		balance[id] = n
	}
	balance[from] -= amount
	balance[to] += amount
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	return nil, transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		for _, id := range []int64{min(from, to), max(from, to)} {
			if _, err := tx.ExecContext(ctx, "UPDATE account SET balance = ? WHERE id = ?", balance[id], id); err != nil {
				return err
			}
		}
		return nil
	})
}

// The same with the reads in the transaction, as SQLAlchemy has it on servers.
// At READ COMMITTED nothing changes. From REPEATABLE READ on PostgreSQL, and
// SQLite, abort whoever would write over what it has not seen. MariaDB's
// REPEATABLE READ does not; its SERIALIZABLE locks what is read, for both, and
// ends in a deadlock.
func transferTransaction(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	from, to, amount := env.Args.Int("from"), env.Args.Int("to"), env.Args.Int("amount")
	return nil, transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		return move(ctx, env, tx, "SELECT balance FROM account WHERE id = ?", from, to, amount)
	})
}

// The talk's advice, "locks at the database level", for both accounts. Whoever
// locks two rows has to take them in an order that all agree on: here the lower
// id comes first, whichever way the money goes. Then nobody who waits holds what
// the other one wants. (The talk's add_to_balance locks one row. It selects from
// BankAccount, which in its slides is a class without a table, and calls
// one_or_none, which gives None for an account that is not there; the next line
// fails.)
func transferForUpdate(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	from, to, amount := env.Args.Int("from"), env.Args.Int("to"), env.Args.Int("amount")
	if from > to {
		from, to, amount = to, from, -amount
	}
	return nil, transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		return move(ctx, env, tx, "SELECT balance FROM account WHERE id = ? FOR UPDATE", from, to, amount)
	})
}

// The same locks in the order in which the call names the accounts. John to
// Alice locks John, Alice to John locks Alice, and each waits for the other's.
// The database sees the cycle and ends one of them: PostgreSQL's error 40P01,
// MariaDB's 1213. The victim's transaction is rolled back, so no money is lost;
// the transfer has not happened, and whoever asked for it has to be told, or it
// has to be tried again. The two transfers of the default cast share one account
// only and cannot deadlock: see --sessions 4 --only C,D, or A,B,D for a cycle of
// three.
func transferForUpdateCallOrder(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	from, to, amount := env.Args.Int("from"), env.Args.Int("to"), env.Args.Int("amount")
	return nil, transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		return move(ctx, env, tx, "SELECT balance FROM account WHERE id = ? FOR UPDATE", from, to, amount)
	})
}

// move reads two balances with the query given, moves the amount from the first
// account to the second, and writes both.
func move(ctx context.Context, env *racelab.Env, tx *sql.Tx, query string, from, to, amount int64) error {
	var payer, payee int64
	if err := tx.QueryRowContext(ctx, query, from).Scan(&payer); err != nil {
		return err
	}
	if err := tx.QueryRowContext(ctx, query, to).Scan(&payee); err != nil {
		return err
	}
	if err := env.Window(ctx); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE account SET balance = ? WHERE id = ?", payer-amount, from); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "UPDATE account SET balance = ? WHERE id = ?", payee+amount, to)
	return err
}

// Nothing is read: the database adds and subtracts. Each UPDATE keeps its row
// until the COMMIT, so the order matters here too, and the lower id comes first.
func transferAtomicUpdate(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	from, to, amount := env.Args.Int("from"), env.Args.Int("to"), env.Args.Int("amount")
	if from > to {
		from, to, amount = to, from, -amount
	}
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	return nil, transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE account SET balance = balance - ? WHERE id = ?", amount, from); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE account SET balance = balance + ? WHERE id = ?", amount, to)
		return err
	})
}

// At SERIALIZABLE the plain reads and writes are enough, in a loop: whoever
// cannot be put in an order with the others is aborted and begins again. The
// loop is part of the remedy, and it has an end.
func transferSerializableRetry(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	from, to, amount := env.Args.Int("from"), env.Args.Int("to"), env.Args.Int("amount")
	return nil, again(env, func() error {
		return transaction(ctx, env.DB, &sql.TxOptions{Isolation: sql.LevelSerializable}, func(tx *sql.Tx) error {
			return move(ctx, env, tx, "SELECT balance FROM account WHERE id = ?", from, to, amount)
		})
	})
}

// The talk's account_lock around the reads and the writes. All transfers of one
// process stand in one queue, also those of accounts that have nothing to do
// with each other. The talk says itself that it is not for production: another
// process has another lock. --processes 2 shows it.
func transferProcessMutex(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	mutex := env.Process.(*mem.Mutex)
	mutex.Lock()
	defer mutex.Unlock()
	return transferReadModifyWrite(ctx, env)
}

// bankHolds300 adds up all balances.
func bankHolds300(s racelab.State) (expected, actual int64, err error) {
	actual, err = sum(s, "account", "balance")
	return 300, actual, err
}
