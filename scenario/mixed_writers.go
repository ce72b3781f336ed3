package scenario

import (
	"context"
	"database/sql"

	"github.com/racelab/racelab"
)

var mixedWriters = racelab.Scenario{
	Name:    "mixed-writers",
	Summary: "one writer locks the row, and the other one may not",
	Story: `Two places in a program add to the same account: a deposit that somebody has
thought about, and another one, older or newer, that nobody has. A row lock is
an agreement: it keeps out whoever asks for the lock or writes the row at that
moment. It does not keep out who has read the row already, and will write it
when the lock is free. So the protected deposit is safe only if all writers
are. Afterwards the balance must be the sum of the ledger.`,
	Sources: []string{"1-racy-django.txt", "2-thread-safety-talk.txt", "3-django-race-conditions.tr.txt"},
	Reading: []string{
		"PostgreSQL manual, 13.3.2 Row-Level Locks: \"Row-level locks do not affect data querying\"",
		"MariaDB knowledge base, SELECT ... FOR UPDATE",
		"C. Tang et al., Ad Hoc Transactions in Web Applications: The Good, the Bad, and the Ugly, 2022: locks that some paths forget",
	},
	Setup: func(d racelab.Dialect) []string {
		return []string{
			"CREATE TABLE account (id INTEGER PRIMARY KEY, " + d.Int32("balance") + " NOT NULL)",
			"CREATE TABLE ledger (" + d.AutoKey("id") + ", amount INTEGER NOT NULL)",
			"INSERT INTO account (id, balance) VALUES (1, 0)",
		}
	},
	State:     []string{"account", "ledger"},
	Generated: []string{"ledger.id"},
	Cast: []racelab.Role{
		{Name: "careful", Calls: []racelab.Args{{"account": int64(1), "amount": int64(100)}}},
		{Name: "other", Calls: []racelab.Args{{"account": int64(1), "amount": int64(7)}}},
	},
	Invariants: []racelab.Invariant{{Name: "the balance is the sum of the ledger", Measure: balanceIsLedger}},
	Strategies: []racelab.Strategy{
		{
			Name:    "one-locks",
			Summary: "one deposit locks the row when it reads it, the other one only reads it",
			Needs:   racelab.RowLocks,
			// No level helps: the read and the write are two transactions.
			Expect: []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "lost-update"}},
			Fix:    []string{"both-lock"},
			Body:   map[string]racelab.Body{"careful": mixedLocks, "other": mixedReads},
		},
		{
			Name:    "both-lock",
			Summary: "both lock the row when they read it",
			Needs:   racelab.RowLocks,
			Safe:    true,
			Body:    map[string]racelab.Body{"careful": mixedLocks, "other": mixedLocks},
		},
		{
			Name:    "other-adds",
			Summary: "the other one lets the database add, which needs no lock of its own",
			Needs:   racelab.RowLocks,
			Safe:    true,
			Body:    map[string]racelab.Body{"careful": mixedLocks, "other": mixedAdds},
		},
		{
			Name:    "other-looks",
			Summary: "the other one only looks at the balance: it is not held up",
			Needs:   racelab.RowLocks,
			Safe:    true,
			Body:    map[string]racelab.Body{"careful": mixedLocks, "other": mixedLooks},
		},
		{
			Name:    "one-immediate",
			Summary: "one deposit takes the database's write lock first, the other one only reads",
			Needs:   racelab.Immediate,
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "lost-update"}},
			Fix:     []string{"both-immediate"},
			Body:    map[string]racelab.Body{"careful": mixedImmediate, "other": mixedReads},
		},
		{
			Name:    "both-immediate",
			Summary: "both take the database's write lock before they read",
			Needs:   racelab.Immediate,
			Safe:    true,
			Body:    map[string]racelab.Body{"careful": mixedImmediate, "other": mixedImmediate},
		},
	},
}

// The deposit that somebody has thought about: FOR UPDATE locks the row from
// the read to the COMMIT. Whoever locks it too, or writes it, waits until then.
func mixedLocks(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	account, amount := env.Args.Int("account"), env.Args.Int("amount")
	return nil, transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		var balance int64
		if err := tx.QueryRowContext(ctx, "SELECT balance FROM account WHERE id = ? FOR UPDATE", account).Scan(&balance); err != nil {
			return err
		}
		if err := env.Window(ctx); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE account SET balance = ? WHERE id = ?", balance+amount, account); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO ledger (amount) VALUES (?)", amount)
		return err
	})
}

// The deposit that nobody has thought about. Its SELECT is a plain one: no
// lock stops it, and it sees the balance from before the careful deposit. Its
// UPDATE does wait for the lock, and then writes what was computed from the
// old balance. Waiting at the write is too late; the careful deposit is gone.
func mixedReads(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	account, amount := env.Args.Int("account"), env.Args.Int("amount")
	var balance int64
	if err := env.DB.QueryRowContext(ctx, "SELECT balance FROM account WHERE id = ?", account).Scan(&balance); err != nil {
		return nil, err
	}
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	if _, err := env.DB.ExecContext(ctx, "UPDATE account SET balance = ? WHERE id = ?", balance+amount, account); err != nil {
		return nil, err
	}
	_, err := env.DB.ExecContext(ctx, "INSERT INTO ledger (amount) VALUES (?)", amount)
	return nil, err
}

// The other deposit in one statement. An UPDATE reads the newest balance under
// the row's lock, so it waits for the careful deposit and adds to what that has
// left. Who writes like this keeps the agreement without asking for a lock.
func mixedAdds(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	account, amount := env.Args.Int("account"), env.Args.Int("amount")
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	return nil, transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE account SET balance = balance + ? WHERE id = ?", amount, account); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO ledger (amount) VALUES (?)", amount)
		return err
	})
}

// A plain SELECT beside a locked row. It is answered at once, from the last
// committed version: row locks hold up writers and other lockers, not readers.
// (At READ UNCOMMITTED MariaDB answers with what is not committed yet.)
func mixedLooks(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	var balance int64
	err := env.DB.QueryRowContext(ctx, "SELECT balance FROM account WHERE id = ?", env.Args.Int("account")).Scan(&balance)
	if err != nil {
		return nil, err
	}
	return balance, nil
}

// The careful deposit on SQLite, which has no row locks: BEGIN IMMEDIATE takes
// the database's one write lock before the balance is read. Others can still
// read, and whoever read before the COMMIT still writes what is out of date.
func mixedImmediate(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	account, amount := env.Args.Int("account"), env.Args.Int("amount")
	return nil, immediate(ctx, env.DB, func(conn *sql.Conn) error {
		var balance int64
		if err := conn.QueryRowContext(ctx, "SELECT balance FROM account WHERE id = ?", account).Scan(&balance); err != nil {
			return err
		}
		if err := env.Window(ctx); err != nil {
			return err
		}
		if _, err := conn.ExecContext(ctx, "UPDATE account SET balance = ? WHERE id = ?", balance+amount, account); err != nil {
			return err
		}
		_, err := conn.ExecContext(ctx, "INSERT INTO ledger (amount) VALUES (?)", amount)
		return err
	})
}
