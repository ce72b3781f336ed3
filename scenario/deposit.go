package scenario

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

var deposit = racelab.Scenario{
	Name:    "deposit",
	Summary: "two deposits to one account at the same time",
	Story: `A deposit adds an amount to an account's balance and records it as a row of the
ledger. The ledger only grows, so the database keeps it right by itself; the
balance is read, computed and written back, so it is right only if nobody else
writes in between. Afterwards the balance must be the sum of the ledger. What
is missing was paid in and is gone.`,
	Sources: []string{"1-racy-django.txt", "2-thread-safety-talk.txt"},
	Reading: []string{
		"PostgreSQL manual, 13.2 Transaction Isolation and 13.3 Explicit Locking",
		"MariaDB knowledge base, SELECT ... FOR UPDATE and InnoDB Lock Modes",
		"SQLite, Isolation In SQLite, and Result Codes: SQLITE_BUSY_SNAPSHOT",
		"H. Berenson et al., A Critique of ANSI SQL Isolation Levels, 1995: P4, lost update",
	},
	Setup: func(d racelab.Dialect) []string {
		return []string{
			"CREATE TABLE account (id INTEGER PRIMARY KEY, " +
				d.Int32("balance") + " NOT NULL DEFAULT 0, version INTEGER NOT NULL DEFAULT 0)",
			"CREATE TABLE ledger (" + d.AutoKey("id") + ", account INTEGER, " + d.Int32("amount") + " NOT NULL, " +
				"created TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, request VARCHAR(64), " +
				"FOREIGN KEY (account) REFERENCES account (id) ON DELETE SET NULL)",
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
			Name:      "read-modify-write",
			Summary:   "read the balance, add, write it back, each statement for itself",
			Endpoints: []string{"non_atomic_long_delay", "non_atomic_no_delay"},
			Expect:    []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "lost-update"}},
			Fix:       []string{"atomic-update"},
			Body:      depositor(depositReadModifyWrite),
		},
		{
			Name:      "transaction",
			Summary:   "the same in one transaction, which is not enough",
			Endpoints: []string{"atomic_long_delay", "atomic_no_delay"},
			Expect: []racelab.Expect{
				{Level: racelab.ReadUncommitted, Result: racelab.CellViolated, Anomaly: "lost-update"},
				{Level: racelab.ReadCommitted, Result: racelab.CellViolated, Anomaly: "lost-update"},
				{Engine: "mysql", Level: racelab.RepeatableRead, Result: racelab.CellViolated, Anomaly: "lost-update"},
				{Result: racelab.CellHoldsWithAborts},
			},
			Fix:  []string{"for-update", "immediate"},
			Body: depositor(depositTransaction),
		},
		{
			Name:      "for-update",
			Summary:   "lock the row when it is read",
			Needs:     racelab.RowLocks,
			Safe:      true,
			Endpoints: []string{"row_locking_atomic_long_delay"},
			Body:      depositor(depositForUpdate),
		},
		{
			Name:    "for-update-autocommit",
			Summary: "lock the row outside a transaction: the lock ends with the statement",
			Needs:   racelab.RowLocks,
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "lost-update"}},
			Fix:     []string{"for-update"},
			Body:    depositor(depositForUpdateAutocommit),
		},
		{
			Name:    "for-update-nowait",
			Summary: "lock the row, or give up at once if it is locked",
			Needs:   racelab.RowLocks | racelab.NoWait,
			Safe:    true,
			Body:    depositor(depositForUpdateNoWait),
		},
		{
			Name:    "atomic-update",
			Summary: "let the database add: balance = balance + amount",
			Safe:    true,
			Body:    depositor(depositAtomicUpdate),
		},
		{
			Name:    "optimistic-version",
			Summary: "write only if the version is still the one that was read, else try again",
			Safe:    true,
			Body:    depositor(depositOptimisticVersion),
		},
		{
			Name:    "serializable-retry",
			Summary: "a serializable transaction, tried again when the database aborts it",
			Level:   racelab.Serializable,
			Safe:    true,
			Body:    depositor(depositSerializableRetry),
		},
		{
			Name:    "advisory-lock",
			Summary: "a lock by number in the database, which every writer has to take",
			Needs:   racelab.AdvisoryLocks,
			Safe:    true,
			Body:    depositor(depositAdvisoryLock),
		},
		{
			Name:    "process-mutex",
			Summary: "a mutex of the process: right in one process, wrong across several",
			Expect:  []racelab.Expect{{Result: racelab.CellHolds}}, // in one process
			Fix:     []string{"for-update", "immediate"},
			Body:    depositor(depositProcessMutex),
			Process: func(m *racelab.Memory) any { return mem.NewMutex(m, "the mutex") },
		},
		{
			Name:      "immediate",
			Summary:   "take the write lock of the whole database before reading",
			Needs:     racelab.Immediate,
			Safe:      true,
			Endpoints: []string{"row_locking_atomic_long_delay"},
			Body:      depositor(depositImmediate),
		},
	},
}

func depositor(b racelab.Body) map[string]racelab.Body {
	return map[string]racelab.Body{"depositor": b}
}

// The deposit as most code has it: read the balance, add, write it back. Each
// statement is right by itself; the time between the read and the write is
// the window. Another deposit that reads within it computes from the same old
// balance, and whoever writes last overwrites the other one. Both ledger rows
// are there, so the loss shows as a balance below the sum of the ledger.
func depositReadModifyWrite(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	account, amount := env.Args.Int("account"), env.Args.Int("amount")
	var balance int64
	if err := env.DB.QueryRowContext(ctx, "SELECT balance FROM account WHERE id = ?", account).Scan(&balance); err != nil {
		return nil, err
	}
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	_, err := env.DB.ExecContext(ctx, "INSERT INTO ledger (account, amount, request) VALUES (?, ?, ?)", account, amount, env.Args["request"])
	if err != nil {
		return nil, err
	}
	_, err = env.DB.ExecContext(ctx, "UPDATE account SET balance = ? WHERE id = ?", balance+amount, account)
	return nil, err
}

// The same statements in one transaction. A transaction makes them all happen
// or none; it does not keep others out while it runs. At READ COMMITTED the
// balance is lost as before. On InnoDB something else happens too: the ledger
// row's foreign key takes a shared lock on the account, two transactions hold
// it together, each then wants to write the account, and one is rolled back as
// a deadlock victim. SQLite, and PostgreSQL from REPEATABLE READ on, notice
// that what was read has changed, and abort instead of losing money.
func depositTransaction(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	account, amount := env.Args.Int("account"), env.Args.Int("amount")
	return nil, transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		var balance int64
		if err := tx.QueryRowContext(ctx, "SELECT balance FROM account WHERE id = ?", account).Scan(&balance); err != nil {
			return err
		}
		if err := env.Window(ctx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO ledger (account, amount, request) VALUES (?, ?, ?)", account, amount, env.Args["request"])
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE account SET balance = ? WHERE id = ?", balance+amount, account)
		return err
	})
}

// FOR UPDATE locks the row as it is read, until the transaction ends. The
// next deposit waits at its own SELECT ... FOR UPDATE, and then reads the new
// balance. Plain reads are not held up. Two things to know: every writer has
// to lock, for one that does not will still overwrite the others; and deposits
// to one account now run strictly one after another, so that a slow one holds
// up all that follow.
func depositForUpdate(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	account, amount := env.Args.Int("account"), env.Args.Int("amount")
	return nil, transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		var balance int64
		if err := tx.QueryRowContext(ctx, "SELECT balance FROM account WHERE id = ? FOR UPDATE", account).Scan(&balance); err != nil {
			return err
		}
		if err := env.Window(ctx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO ledger (account, amount, request) VALUES (?, ?, ?)", account, amount, env.Args["request"])
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE account SET balance = ? WHERE id = ?", balance+amount, account)
		return err
	})
}

// FOR UPDATE without a transaction. In autocommit each statement is its own
// transaction, so the lock is free again before the window has even begun.
// It looks protected and is not.
func depositForUpdateAutocommit(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	account, amount := env.Args.Int("account"), env.Args.Int("amount")
	var balance int64
	if err := env.DB.QueryRowContext(ctx, "SELECT balance FROM account WHERE id = ? FOR UPDATE", account).Scan(&balance); err != nil {
		return nil, err
	}
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	_, err := env.DB.ExecContext(ctx, "INSERT INTO ledger (account, amount, request) VALUES (?, ?, ?)", account, amount, env.Args["request"])
	if err != nil {
		return nil, err
	}
	_, err = env.DB.ExecContext(ctx, "UPDATE account SET balance = ? WHERE id = ?", balance+amount, account)
	return nil, err
}

// NOWAIT fails at once if the row is locked, instead of standing in the
// queue. The deposit is refused and has left nothing; whoever asked may come
// again. Nobody waits, and under load most are refused.
func depositForUpdateNoWait(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	account, amount := env.Args.Int("account"), env.Args.Int("amount")
	return nil, transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		var balance int64
		err := tx.QueryRowContext(ctx, "SELECT balance FROM account WHERE id = ? FOR UPDATE NOWAIT", account).Scan(&balance)
		if env.Dialect.Classify(err) == racelab.LockNotAvailable {
			return fmt.Errorf("%w: %w", racelab.ErrRefused, err)
		}
		if err != nil {
			return err
		}
		if err := env.Window(ctx); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO ledger (account, amount, request) VALUES (?, ?, ?)", account, amount, env.Args["request"])
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE account SET balance = ? WHERE id = ?", balance+amount, account)
		return err
	})
}

// The database adds, in one statement: nothing is read that could grow old.
// The row's lock is held from the UPDATE to the COMMIT, so the window comes
// first. The update stands before the ledger row on purpose: the other way
// round the foreign key's shared lock makes two deposits deadlock on InnoDB.
// Where the new value can be said in SQL, this is the fix to take.
func depositAtomicUpdate(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	account, amount := env.Args.Int("account"), env.Args.Int("amount")
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	return nil, transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, "UPDATE account SET balance = balance + ? WHERE id = ?", amount, account)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, sql.ErrNoRows)
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO ledger (account, amount, request) VALUES (?, ?, ?)", account, amount, env.Args["request"])
		return err
	})
}

// Nobody is locked out while the new balance is computed; instead the write
// says on which version it was computed, and changes nothing if that is not
// the current one. Then the deposit starts again from a fresh read, a few
// times at most: under heavy load on one row some will give up.
func depositOptimisticVersion(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	account, amount := env.Args.Int("account"), env.Args.Int("amount")
	stale := errors.New("the account changed since it was read")
	var last error
	for range env.Tries {
		var balance, version int64
		err := env.DB.QueryRowContext(ctx, "SELECT balance, version FROM account WHERE id = ?", account).Scan(&balance, &version)
		if err != nil {
			return nil, err
		}
		if err := env.Window(ctx); err != nil {
			return nil, err
		}
		last = transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
			result, err := tx.ExecContext(ctx, "UPDATE account SET balance = ?, version = version + 1 WHERE id = ? AND version = ?", balance+amount, account, version)
			if err != nil {
				return err
			}
			if n, err := result.RowsAffected(); err != nil || n == 0 {
				return errors.Join(err, stale)
			}
			_, err = tx.ExecContext(ctx, "INSERT INTO ledger (account, amount, request) VALUES (?, ?, ?)", account, amount, env.Args["request"])
			return err
		})
		if !errors.Is(last, stale) && !env.Aborted(last) {
			return nil, last
		}
	}
	return nil, fmt.Errorf("%w: %w", racelab.ErrExhausted, last)
}

// At SERIALIZABLE the database promises that what commits could have run one
// after another, and aborts a transaction when it cannot keep the promise. The
// code stays as it was, in a loop: an abort means "again, from the start". Only
// this level is what the strategy says; lower ones lose the update.
func depositSerializableRetry(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	account, amount := env.Args.Int("account"), env.Args.Int("amount")
	return nil, again(env, func() error {
		return transaction(ctx, env.DB, &sql.TxOptions{Isolation: sql.LevelSerializable}, func(tx *sql.Tx) error {
			var balance int64
			if err := tx.QueryRowContext(ctx, "SELECT balance FROM account WHERE id = ?", account).Scan(&balance); err != nil {
				return err
			}
			if err := env.Window(ctx); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, "INSERT INTO ledger (account, amount, request) VALUES (?, ?, ?)", account, amount, env.Args["request"])
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, "UPDATE account SET balance = ? WHERE id = ?", balance+amount, account)
			return err
		})
	})
}

// An advisory lock is a number that the database lets one connection hold. It
// protects nothing by itself: every writer has to take it. It works across
// processes and machines, and for things that are no row. It belongs to a
// connection, so the code keeps one for itself and frees the lock on it.
func depositAdvisoryLock(ctx context.Context, env *racelab.Env) (_ racelab.Value, err error) {
	account, amount := env.Args.Int("account"), env.Args.Int("amount")
	conn, err := env.DB.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, env.Dialect.AdvisoryLock(account)); err != nil {
		return nil, err
	}
	defer func() {
		_, unlock := conn.ExecContext(context.WithoutCancel(ctx), env.Dialect.AdvisoryUnlock(account))
		err = errors.Join(err, unlock)
	}()
	var balance int64
	if err := conn.QueryRowContext(ctx, "SELECT balance FROM account WHERE id = ?", account).Scan(&balance); err != nil {
		return nil, err
	}
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	_, err = conn.ExecContext(ctx, "INSERT INTO ledger (account, amount, request) VALUES (?, ?, ?)", account, amount, env.Args["request"])
	if err != nil {
		return nil, err
	}
	_, err = conn.ExecContext(ctx, "UPDATE account SET balance = ? WHERE id = ?", balance+amount, account)
	return nil, err
}

// A mutex of the program around the read-modify-write. In one process it is
// right. Start a second process, as every deployment does, and there are two
// mutexes that know nothing of each other: the race is back. Lock where the
// data is.
func depositProcessMutex(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	mutex := env.Process.(*mem.Mutex)
	mutex.Lock()
	defer mutex.Unlock()
	return depositReadModifyWrite(ctx, env)
}

// SQLite has no row locks, but one write lock for the whole database, and
// BEGIN IMMEDIATE takes it before anything is read. The next deposit waits at
// its BEGIN IMMEDIATE. A plain BEGIN takes the lock only at the first write,
// when what was read may be old already: then SQLite answers SQLITE_BUSY.
func depositImmediate(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	account, amount := env.Args.Int("account"), env.Args.Int("amount")
	return nil, immediate(ctx, env.DB, func(conn *sql.Conn) error {
		var balance int64
		if err := conn.QueryRowContext(ctx, "SELECT balance FROM account WHERE id = ?", account).Scan(&balance); err != nil {
			return err
		}
		if err := env.Window(ctx); err != nil {
			return err
		}
		_, err := conn.ExecContext(ctx, "INSERT INTO ledger (account, amount, request) VALUES (?, ?, ?)", account, amount, env.Args["request"])
		if err != nil {
			return err
		}
		_, err = conn.ExecContext(ctx, "UPDATE account SET balance = ? WHERE id = ?", balance+amount, account)
		return err
	})
}

// balanceIsLedger adds up what the ledger says and what the accounts hold.
func balanceIsLedger(s racelab.State) (expected, actual int64, err error) {
	if expected, err = sum(s, "ledger", "amount"); err != nil {
		return 0, 0, err
	}
	actual, err = sum(s, "account", "balance")
	return expected, actual, err
}
