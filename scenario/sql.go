package scenario

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/racelab/racelab"
)

// transaction runs body in a transaction: committed if it returns nil, rolled
// back otherwise, also if it panics.
func transaction(ctx context.Context, db *sql.DB, o *sql.TxOptions, body func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, o)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after the commit
	if err := body(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// immediate runs body in a transaction that takes SQLite's write lock first:
// committed if it returns nil, rolled back otherwise. database/sql can only begin
// with BEGIN, so the transaction is one of a connection that is kept.
func immediate(ctx context.Context, db *sql.DB, body func(*sql.Conn) error) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, rollback := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
			err = errors.Join(err, rollback)
		}
	}()
	if err := body(conn); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}

// again calls try until it is not aborted, env.Tries times at most.
func again(env *racelab.Env, try func() error) error {
	var last error
	for range env.Tries {
		if last = try(); !env.Aborted(last) {
			return last
		}
	}
	return fmt.Errorf("%w: %w", racelab.ErrExhausted, last)
}

// answer is what a call says that was made; one that failed says nothing.
func answer(said string, err error) (racelab.Value, error) {
	if err != nil {
		return nil, err
	}
	return said, nil
}

// sum adds a column of a table in the final state.
func sum(s racelab.State, table, column string) (int64, error) {
	t, ok := s.Table(table)
	if !ok {
		return 0, fmt.Errorf("the state holds no table %s", table)
	}
	var total int64
	for i := range t.Rows {
		n, err := t.Int(i, column)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}
