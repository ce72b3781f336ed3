package scenario

import (
	"context"
	"database/sql"
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
