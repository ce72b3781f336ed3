package scenario

import (
	"context"
	"database/sql"

	"github.com/racelab/racelab"
)

var ledgerDeadlock = racelab.Scenario{
	Name:    "ledger-deadlock",
	Summary: "a ledger row's foreign key locks the account, and two deposits deadlock",
	Story: `A deposit writes a row of the ledger that refers to the account, and adds to the
account's balance. A foreign key promises that the account is not deleted
meanwhile, so writing the ledger row locks the account in a way that others may
share. MariaDB's shared lock forbids any write of the account. Two deposits
that both hold it, and both want to write, wait for each other for ever. The
database rolls one of them back: error 1213, and the deposit was not made. A
program that does not try again answers 500. PostgreSQL's lock forbids only
what would break the foreign key (FOR KEY SHARE), and SQLite has one writer.`,
	Sources: []string{"1-racy-django.txt"},
	Reading: []string{
		"MariaDB knowledge base, InnoDB Lock Modes, and Foreign Keys",
		"MySQL manual, 17.7.3 Locks Set by Different SQL Statements in InnoDB: foreign key checks set shared record-level locks",
		"PostgreSQL manual, 13.3.2 Row-Level Locks: FOR KEY SHARE and FOR NO KEY UPDATE",
		"E. Coffman et al., System Deadlocks, 1971: a fixed order of the locks makes a cycle impossible",
	},
	Setup: func(d racelab.Dialect) []string {
		return []string{
			"CREATE TABLE account (id INTEGER PRIMARY KEY, " + d.Int32("balance") + " NOT NULL)",
			"CREATE TABLE ledger (" + d.AutoKey("id") + ", account INTEGER NOT NULL, amount INTEGER NOT NULL, " +
				"FOREIGN KEY (account) REFERENCES account (id))",
			"INSERT INTO account (id, balance) VALUES (1, 0)",
		}
	},
	State:     []string{"account", "ledger"},
	Generated: []string{"ledger.id"},
	Cast: []racelab.Role{
		{Name: "depositor", Calls: []racelab.Args{{"account": int64(1), "amount": int64(100)}}},
		{Name: "depositor", Calls: []racelab.Args{{"account": int64(1), "amount": int64(100)}}},
	},
	Invariants: []racelab.Invariant{{Name: "the balance is the sum of the ledger", Measure: balanceIsLedger}},
	Strategies: []racelab.Strategy{
		{
			Name:    "ledger-first",
			Summary: "write the ledger row, then add to the balance: on MariaDB they deadlock",
			Safe:    true,
			Expect:  []racelab.Expect{{Engine: "mysql", Result: racelab.CellHoldsWithAborts}},
			Body:    depositor(ledgerFirst),
		},
		{
			Name:    "account-first",
			Summary: "add to the balance, then write the ledger row",
			Safe:    true,
			Body:    depositor(ledgerAccountFirst),
		},
		{
			Name:    "lock-account-first",
			Summary: "lock the account before anything else",
			Needs:   racelab.RowLocks,
			Safe:    true,
			Body:    depositor(ledgerLockAccountFirst),
		},
		{
			Name:    "ledger-first-retry",
			Summary: "write the ledger row first, and begin again if the database gives up",
			Safe:    true,
			Body:    depositor(ledgerFirstRetry),
		},
	},
}

// No money is lost here: the balance is added to in the database. But the
// ledger row comes first, and its foreign key takes a shared lock on the
// account. Two deposits hold it together, and then each UPDATE wants the row
// for itself. On MariaDB one of them is the victim of a deadlock, and nothing
// of it is left. It is safe, and still answers with errors that a fixed order
// of the statements would not have.
func ledgerFirst(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	account, amount := env.Args.Int("account"), env.Args.Int("amount")
	return nil, transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO ledger (account, amount) VALUES (?, ?)", account, amount); err != nil {
			return err
		}
		if err := env.Window(ctx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE account SET balance = balance + ? WHERE id = ?", amount, account)
		return err
	})
}

// The same two statements the other way round. The UPDATE takes the account's
// exclusive lock first; the foreign key's check then finds that this
// transaction holds more than it needs. Nobody asks for a stronger lock than
// it holds already, so there is no cycle.
func ledgerAccountFirst(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	account, amount := env.Args.Int("account"), env.Args.Int("amount")
	return nil, transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE account SET balance = balance + ? WHERE id = ?", amount, account); err != nil {
			return err
		}
		if err := env.Window(ctx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO ledger (account, amount) VALUES (?, ?)", account, amount)
		return err
	})
}

// Where the order of the writes cannot be chosen, an ORM often chooses it, lock
// the account with FOR UPDATE first. The rest may come in any order: the second
// deposit waits at its first statement, where it holds nothing yet.
func ledgerLockAccountFirst(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	account, amount := env.Args.Int("account"), env.Args.Int("amount")
	return nil, transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		var id int64
		if err := tx.QueryRowContext(ctx, "SELECT id FROM account WHERE id = ? FOR UPDATE", account).Scan(&id); err != nil {
			return err
		}
		if err := env.Window(ctx); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO ledger (account, amount) VALUES (?, ?)", account, amount); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE account SET balance = balance + ? WHERE id = ?", amount, account)
		return err
	})
}

// A victim's transaction is rolled back as a whole, so it can simply begin
// again. The loop has to be around the transaction, never within it: what came
// before the error is gone too.
func ledgerFirstRetry(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	return nil, again(env, func() error {
		_, err := ledgerFirst(ctx, env)
		return err
	})
}
