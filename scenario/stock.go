package scenario

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/racelab/racelab"
)

var stock = racelab.Scenario{
	Name:    "stock",
	Summary: "two customers buy the last piece of a product",
	Story: `A shop has one piece of a product left. Selling one takes it from the stock and
writes a row into the sales. Two customers come at the same moment. What was sold
must be what has left the stock, and no stock may be below zero.

The product's storage is a PositiveIntegerField of Django's: an unsigned column on
MariaDB, a CHECK elsewhere, so the database refuses what is below zero. The table
plain is the same without either.

In some of the strategies the other session does something else: it renames the
product's category, or takes stock.`,
	Sources: []string{"3-django-race-conditions.tr.txt"},
	Reading: []string{
		"Django documentation, QuerySet API: select_for_update(); F() expressions: avoiding race conditions",
		"PostgreSQL manual, SELECT: The Locking Clause (OF, NOWAIT, SKIP LOCKED); 20.11 lock_timeout",
		"MariaDB knowledge base, SELECT ... FOR UPDATE; WAIT and NOWAIT; SELECT ... SKIP LOCKED",
		"Haki Benita, Managing Concurrency in Django Using select_for_update: the article's third source",
	},
	Setup: func(d racelab.Dialect) []string {
		return []string{
			"CREATE TABLE category (id INTEGER PRIMARY KEY, name VARCHAR(50) NOT NULL)",
			"CREATE TABLE product (id INTEGER PRIMARY KEY, category INTEGER NOT NULL, " + d.Unsigned("storage") + " NOT NULL)",
			"CREATE TABLE plain (id INTEGER PRIMARY KEY, storage INTEGER NOT NULL)",
			"CREATE TABLE sale (" + d.AutoKey("id") + ", product INTEGER NOT NULL)",
			"INSERT INTO category (id, name) VALUES (1, 'Computers')",
			"INSERT INTO product (id, category, storage) VALUES (1, 1, 1)",
			"INSERT INTO plain (id, storage) VALUES (1, 1)",
		}
	},
	State:     []string{"category", "product", "plain", "sale"},
	Generated: []string{"sale.id"},
	Cast: []racelab.Role{
		{Name: "customer", Calls: []racelab.Args{{"product": int64(1)}}},
		{Name: "other", Calls: []racelab.Args{{"product": int64(1)}}},
	},
	Invariants: []racelab.Invariant{
		{Name: "what was sold has left the stock", Measure: soldHasLeft},
		{Name: "no stock is below zero", Measure: belowZero},
	},
	Strategies: []racelab.Strategy{
		{
			Name:    "read-modify-write",
			Summary: "read the storage, subtract, save it",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "lost-update"}},
			Fix:     []string{"atomic-update"},
			Body:    buyers(stockReadModifyWrite),
		},
		{
			Name:    "atomic-update",
			Summary: "F(): the database subtracts, and refuses what is below zero",
			Safe:    true,
			Body:    buyers(stockAtomicUpdate),
		},
		{
			Name:    "atomic-update-plain",
			Summary: "F() on a column that may be anything: sold twice, and one is below zero",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated}}, // also one after the other: no anomaly
			Fix:     []string{"conditional-update"},
			Body:    buyers(stockAtomicUpdatePlain),
		},
		{
			Name:    "conditional-update",
			Summary: "the database subtracts if there is enough, and says whether it did",
			Safe:    true,
			Body:    buyers(stockConditionalUpdate),
		},
		{
			Name:    "for-update",
			Summary: "lock the row when it is read",
			Needs:   racelab.RowLocks,
			Safe:    true,
			Body:    buyers(stockForUpdate),
		},
		{
			Name:    "join",
			Summary: "lock a join: whoever renames the category waits for the customer",
			Needs:   racelab.RowLocks,
			Safe:    true,
			Body:    map[string]racelab.Body{"customer": stockJoin, "other": stockRename},
		},
		{
			Name:    "join-timeout",
			Summary: "lock a join: whoever renames the category waits for two seconds at most",
			Needs:   racelab.RowLocks,
			Safe:    true,
			Body:    map[string]racelab.Body{"customer": stockJoin, "other": stockRenameTimeout},
		},
		{
			Name:    "of",
			Summary: "lock only the product's row of the join: the category is free",
			Needs:   racelab.RowLocks | racelab.LockOf,
			Safe:    true,
			Body:    map[string]racelab.Body{"customer": stockOf, "other": stockRename},
		},
		{
			Name:    "nowait",
			Summary: "lock the row, or give up at once if it is locked",
			Needs:   racelab.RowLocks | racelab.NoWait,
			Safe:    true,
			Body:    buyers(stockNoWait),
		},
		{
			Name:    "skip-locked",
			Summary: "take stock without what is locked: the product that is being sold is not there",
			Needs:   racelab.RowLocks | racelab.SkipLocked,
			Expect:  []racelab.Expect{{Result: racelab.CellViolated}}, // the literature has no name for it
			Fix:     []string{"wait-locked"},
			Body:    map[string]racelab.Body{"customer": stockForUpdate, "other": stockTakingSkip},
		},
		{
			Name:    "wait-locked",
			Summary: "take stock and wait for what is locked",
			Needs:   racelab.RowLocks,
			Safe:    true,
			Body:    map[string]racelab.Body{"customer": stockForUpdate, "other": stockTaking},
		},
		{
			Name:    "nowait-skip-locked",
			Summary: "both at once, which contradict each other",
			Needs:   racelab.RowLocks | racelab.NoWaitSkipLocked,
			Body:    buyers(stockNoWaitSkipLocked),
		},
	},
}

func buyers(b racelab.Body) map[string]racelab.Body {
	return map[string]racelab.Body{"customer": b, "other": b}
}

// The article's reduce_storage, with a row for the sale. Both customers read 1,
// both write 0, and both have bought the last piece. Nothing is below zero, so
// the constraint has nothing to say: it was computed from a value that was old.
func stockReadModifyWrite(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	product := env.Args.Int("product")
	var storage int64
	if err := env.DB.QueryRowContext(ctx, "SELECT storage FROM product WHERE id = ?", product).Scan(&storage); err != nil {
		return nil, err
	}
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	if _, err := env.DB.ExecContext(ctx, "UPDATE product SET storage = ? WHERE id = ?", storage-1, product); err != nil {
		return nil, err
	}
	_, err := env.DB.ExecContext(ctx, "INSERT INTO sale (product) VALUES (?)", product)
	return nil, err
}

// F("storage") - 1 becomes this UPDATE: the database subtracts from what is
// there at that moment, and nothing is lost. Whether there is anything left it
// does not ask. Here the column does: the second customer's UPDATE fails, as a
// CHECK violation, or as 1690, out of range, on MariaDB. That is the article's
// "not a definite solution": the remedy keeps the number right, and the error
// is for the program to expect. (Until refresh_from_db() the object keeps the
// expression: another save() would subtract again.)
func stockAtomicUpdate(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	return subtractAndSell(ctx, env, "UPDATE product SET storage = storage - 1 WHERE id = ?")
}

// The same on a column without a constraint. The stock is -1 in every order,
// also one after the other: this is no race. An atomic update is atomic, and
// that the result makes sense is another question.
func stockAtomicUpdatePlain(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	return subtractAndSell(ctx, env, "UPDATE plain SET storage = storage - 1 WHERE id = ?")
}

// subtractAndSell has the database subtract, and writes the sale.
func subtractAndSell(ctx context.Context, env *racelab.Env, subtract string) (racelab.Value, error) {
	product := env.Args.Int("product")
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	return nil, transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, subtract, product); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO sale (product) VALUES (?)", product)
		return err
	})
}

// The condition stands in the statement that writes, so it is looked at under
// the row's lock, and needs no constraint: it is used here on the table without
// one. No row changed means sold out, which is an answer and no error.
func stockConditionalUpdate(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	product := env.Args.Int("product")
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	said := "sold"
	err := transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, "UPDATE plain SET storage = storage - 1 WHERE id = ? AND storage >= 1", product)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			said = "sold out"
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO sale (product) VALUES (?)", product)
		return err
	})
	return answer(said, err)
}

// select_for_update() in a transaction: the second customer waits at the SELECT,
// then reads 0, and can be told that there is nothing left. (The article's
// listing cannot run as printed: save() knows update_fields, and updated_fields
// is a TypeError. Outside of a transaction Django refuses to evaluate the query:
// TransactionManagementError.)
func stockForUpdate(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	product := env.Args.Int("product")
	said := "sold"
	err := transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		var storage int64
		if err := tx.QueryRowContext(ctx, "SELECT storage FROM product WHERE id = ? FOR UPDATE", product).Scan(&storage); err != nil {
			return err
		}
		if storage == 0 {
			said = "sold out"
			return nil
		}
		if err := env.Window(ctx); err != nil {
			return err
		}
		return sell(ctx, tx, product, storage)
	})
	return answer(said, err)
}

// sell saves what is left of a product, and the sale.
func sell(ctx context.Context, tx *sql.Tx, product, storage int64) error {
	if _, err := tx.ExecContext(ctx, "UPDATE product SET storage = ? WHERE id = ?", storage-1, product); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO sale (product) VALUES (?)", product)
	return err
}

// select_related and select_for_update together lock the rows of all tables of
// the join: also the category's, which the sale does not change. Everybody who
// wants to write that category, or to sell another product of it in this way,
// stands in the queue.
func stockJoin(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	return sellOne(ctx, env, "SELECT product.storage, category.name FROM product JOIN category ON category.id = product.category WHERE product.id = ? FOR UPDATE")
}

// of=("self",) names the tables whose rows are locked: here the product's
// alone, and whoever renames the category goes ahead at once. To MariaDB
// FOR UPDATE OF is a syntax error, and Django raises NotSupportedError there;
// MySQL has it from 8.0.1 on.
func stockOf(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	return sellOne(ctx, env, "SELECT product.storage, category.name FROM product JOIN category ON category.id = product.category WHERE product.id = ? FOR UPDATE OF product")
}

// sellOne sells a piece of the product that a query of its storage and its
// category's name locks.
func sellOne(ctx context.Context, env *racelab.Env, query string) (racelab.Value, error) {
	product := env.Args.Int("product")
	return nil, transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		var storage int64
		var category string
		if err := tx.QueryRowContext(ctx, query, product).Scan(&storage, &category); err != nil {
			return err
		}
		if err := env.Window(ctx); err != nil {
			return err
		}
		return sell(ctx, tx, product, storage)
	})
}

// Whoever renames the category while a customer has locked the join. The
// article says that the update fails. It waits, until the customer's COMMIT,
// and then it is made. It fails only if it may not wait for so long: join-timeout.
func stockRename(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	_, err := env.DB.ExecContext(ctx, "UPDATE category SET name = 'Laptops' WHERE id = 1")
	return nil, err
}

// The same with a limit of two seconds for the wait, as most deployments have
// one: MariaDB's innodb_lock_wait_timeout is 50 s, PostgreSQL's lock_timeout is
// off until somebody sets it. Now it does fail, with MariaDB's 1205 or
// PostgreSQL's 55P03, if the customer takes longer than that. Between the steps
// of a schedule no time passes, so the explorer sees the wait; to see the
// failure, run it with --window 3s.
func stockRenameTimeout(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	return nil, transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, env.Dialect.LockTimeout(2)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE category SET name = 'Laptops' WHERE id = 1")
		return err
	})
}

// nowait=True: a row that is locked is an error at once, Django's DatabaseError,
// and here a refusal: the customer has bought nothing and may come again.
func stockNoWait(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	product := env.Args.Int("product")
	said := "sold"
	err := transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		var storage int64
		err := tx.QueryRowContext(ctx, "SELECT storage FROM product WHERE id = ? FOR UPDATE NOWAIT", product).Scan(&storage)
		if env.Dialect.Classify(err) == racelab.LockNotAvailable {
			return fmt.Errorf("%w: %w", racelab.ErrRefused, err)
		}
		if err != nil {
			return err
		}
		if storage == 0 {
			said = "sold out"
			return nil
		}
		if err := env.Window(ctx); err != nil {
			return err
		}
		return sell(ctx, tx, product, storage)
	})
	return answer(said, err)
}

// skip_locked=True: rows that somebody has locked are left out, as if they were
// not there. That is right for a queue, where any other job will do as well. It
// is wrong wherever the answer is about all rows: here somebody takes stock
// while a product is being sold, and the product is missing from the list. No
// order of the two calls gives that. (The article's listing filters by
// createad_at, a field that its model does not have under any spelling:
// FieldError. It needs a transaction around it, too.)
func stockTakingSkip(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	return takeStock(ctx, env, "SELECT id FROM product FOR UPDATE SKIP LOCKED")
}

// The same without skip_locked: whoever takes stock waits for the sale to end,
// and then all products are in the list.
func stockTaking(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	return takeStock(ctx, env, "SELECT id FROM product FOR UPDATE")
}

// takeStock counts the products that a query finds and locks.
func takeStock(ctx context.Context, env *racelab.Env, query string) (racelab.Value, error) {
	var products int64
	err := transaction(ctx, env.DB, nil, func(tx *sql.Tx) (err error) {
		rows, err := tx.QueryContext(ctx, query)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			products++
		}
		return rows.Err()
	})
	return answer(fmt.Sprintf("products: %d", products), err)
}

// "Fail if the row is locked" and "leave the row out if it is locked" cannot
// both be meant. Django raises ValueError before it asks the database; the
// engines' grammars have one or the other. It is listed to be refused.
func stockNoWaitSkipLocked(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	var storage int64
	err := env.DB.QueryRowContext(ctx, "SELECT storage FROM product WHERE id = ? FOR UPDATE NOWAIT SKIP LOCKED", env.Args.Int("product")).Scan(&storage)
	if err != nil {
		return nil, err
	}
	return storage, nil
}

// soldHasLeft counts the pieces of both tables: two in the beginning.
func soldHasLeft(s racelab.State) (expected, actual int64, err error) {
	sales, ok := s.Table("sale")
	if !ok {
		return 0, 0, errors.New("the state holds no table sale")
	}
	product, err := sum(s, "product", "storage")
	if err != nil {
		return 0, 0, err
	}
	plain, err := sum(s, "plain", "storage")
	return int64(len(sales.Rows)), 2 - product - plain, err
}

// belowZero counts the rows that should not be there.
func belowZero(s racelab.State) (expected, actual int64, err error) {
	for _, name := range []string{"product", "plain"} {
		t, ok := s.Table(name)
		if !ok {
			return 0, 0, fmt.Errorf("the state holds no table %s", name)
		}
		for i := range t.Rows {
			n, err := t.Int(i, "storage")
			if err != nil {
				return 0, 0, err
			}
			if n < 0 {
				actual++
			}
		}
	}
	return 0, actual, nil
}
