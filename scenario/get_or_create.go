package scenario

import (
	"context"
	"database/sql"
	"errors"

	"github.com/racelab/racelab"
)

var getOrCreate = racelab.Scenario{
	Name:    "get-or-create",
	Summary: "two requests look for a product that is not there yet, and create it",
	Story: `A program looks for a product by its slug, and creates it if it is not there. Two
requests look at the same moment, both find nothing, and both create it. Without
a unique constraint there are two rows of what is to be one. With it the second
INSERT fails, and it depends on the program what becomes of that: an error that
the customer sees, or a second look, which finds what the other one has created.

Afterwards there must be one row at most, and both must have been told that it is
there: created or found. The table plain is the same without the constraint.`,
	Sources: []string{"3-django-race-conditions.tr.txt"},
	Reading: []string{
		"Django documentation, QuerySet API: get_or_create(): this method is atomic assuming that the database enforces uniqueness",
		"Django documentation, Database transactions: avoid catching exceptions inside atomic",
		"PostgreSQL manual, INSERT: ON CONFLICT; SAVEPOINT; 13.2.2 Repeatable Read Isolation Level",
		"MariaDB knowledge base, INSERT ON DUPLICATE KEY UPDATE; SET TRANSACTION: REPEATABLE READ",
		"P. Bailis et al., Feral Concurrency Control, 2015: uniqueness that only the program checks",
	},
	Setup: catalogue,
	State: []string{"product", "plain"},
	Cast: []racelab.Role{
		{Name: "request", Calls: []racelab.Args{{"slug": "computer", "storage": int64(50)}}},
		{Name: "request", Calls: []racelab.Args{{"slug": "computer", "storage": int64(50)}}},
	},
	Invariants: []racelab.Invariant{{Name: "no product is there twice", Measure: productsTwice}},
	Strategies: []racelab.Strategy{
		{
			Name:    "check-then-create",
			Summary: "look, then create, without a unique constraint: there are two",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "duplicate"}},
			Fix:     []string{"get-or-create"},
			Body:    requester(createAfterLook),
		},
		{
			Name:    "check-then-create-unique",
			Summary: "the same with the constraint: the second request fails",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "duplicate"}},
			Fix:     []string{"get-or-create"},
			Body:    requester(createAfterLookUnique),
		},
		{
			Name:    "get-or-create",
			Summary: "look, create, and look again if it was there: Django's function",
			Safe:    true,
			Body:    requester(getOrCreateUnique),
		},
		{
			Name:    "get-or-create-no-unique",
			Summary: "Django's function without the constraint: nothing fails, and there are two",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "duplicate"}},
			Fix:     []string{"get-or-create"},
			Body:    requester(getOrCreatePlain),
		},
		{
			Name:    "get-or-create-transaction",
			Summary: "the same within a transaction, without a savepoint",
			Expect: []racelab.Expect{
				{Engine: "mysql", Level: racelab.ReadUncommitted, Result: racelab.CellHolds},
				{Engine: "mysql", Level: racelab.ReadCommitted, Result: racelab.CellHolds},
				{Engine: "mysql", Level: racelab.RepeatableRead, Result: racelab.CellViolated, Anomaly: "duplicate"},
				{Engine: "mysql", Result: racelab.CellHoldsWithAborts},
				{Level: racelab.Serializable, Result: racelab.CellHoldsWithAborts},
				{Engine: "postgres", Result: racelab.CellViolated, Anomaly: "duplicate"}, // what is answered is 25P02
			},
			Fix:  []string{"get-or-create-savepoint", "upsert"},
			Body: requester(getOrCreateTransaction),
		},
		{
			Name:    "get-or-create-savepoint",
			Summary: "the same within a transaction, with a savepoint around the INSERT",
			Needs:   racelab.Savepoints,
			Expect: []racelab.Expect{
				{Level: racelab.ReadUncommitted, Result: racelab.CellHolds},
				{Level: racelab.ReadCommitted, Result: racelab.CellHolds},
				{Level: racelab.RepeatableRead, Result: racelab.CellViolated, Anomaly: "duplicate"},
				{Result: racelab.CellHoldsWithAborts},
			},
			Fix:  []string{"upsert"},
			Body: requester(getOrCreateSavepoint),
		},
		{
			Name:    "upsert",
			Summary: "one statement that creates it or leaves it",
			Safe:    true,
			Body:    requester(createUpsert),
		},
	},
}

func requester(b racelab.Body) map[string]racelab.Body { return map[string]racelab.Body{"request": b} }

// catalogue makes a table of products whose slugs are unique, and a plain one.
func catalogue(racelab.Dialect) []string {
	return []string{
		"CREATE TABLE product (slug VARCHAR(50) NOT NULL UNIQUE, storage INTEGER NOT NULL)",
		"CREATE TABLE plain (slug VARCHAR(50) NOT NULL, storage INTEGER NOT NULL)",
	}
}

// The article's first listing, on a table that has no constraint. What the
// check saw is true at the time of the check. A row that is not there cannot be
// locked, so FOR UPDATE would not help, and no transaction below SERIALIZABLE
// does. (It cannot run as printed: DoesNotExist has to be Product.DoesNotExist.)
func createAfterLook(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	return lookAndCreate(ctx, env, "plain")
}

// The same on the table whose slug is unique. The database keeps the second row
// out, and the second request ends with the article's IntegrityError, which it
// would not have if it had come a moment later. The data is right; the program
// is not.
func createAfterLookUnique(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	return lookAndCreate(ctx, env, "product")
}

// lookAndCreate looks for the product in a table, and creates it there.
func lookAndCreate(ctx context.Context, env *racelab.Env, table string) (racelab.Value, error) {
	var storage int64
	err := env.DB.QueryRowContext(ctx, "SELECT storage FROM "+table+" WHERE slug = ?", env.Args["slug"]).Scan(&storage)
	if !errors.Is(err, sql.ErrNoRows) {
		return answer("found", err)
	}
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	_, err = env.DB.ExecContext(ctx, "INSERT INTO "+table+" (slug, storage) VALUES (?, ?)", env.Args["slug"], env.Args["storage"])
	return answer("created", err)
}

// What the article shows of Django: a request whose INSERT fails looks again,
// and finds what was in its way. Each statement is a transaction of its own
// here, so the second look sees what is committed now.
func getOrCreateUnique(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	return lookCreateAndLook(ctx, env, "product")
}

// The function has no lock and no trick: all that it adds to the check is what
// it does when the INSERT fails. Without the constraint none fails, and there
// are two rows, as before. From then on get() raises MultipleObjectsReturned.
func getOrCreatePlain(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	return lookCreateAndLook(ctx, env, "plain")
}

// lookCreateAndLook looks for the product in a table, creates it there, and
// looks again if it was in the way.
func lookCreateAndLook(ctx context.Context, env *racelab.Env, table string) (racelab.Value, error) {
	var storage int64
	err := env.DB.QueryRowContext(ctx, "SELECT storage FROM "+table+" WHERE slug = ?", env.Args["slug"]).Scan(&storage)
	if !errors.Is(err, sql.ErrNoRows) {
		return answer("found", err)
	}
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	_, failed := env.DB.ExecContext(ctx, "INSERT INTO "+table+" (slug, storage) VALUES (?, ?)", env.Args["slug"], env.Args["storage"])
	if env.Dialect.Classify(failed) != racelab.UniqueViolation {
		return answer("created", failed)
	}
	err = env.DB.QueryRowContext(ctx, "SELECT storage FROM "+table+" WHERE slug = ?", env.Args["slug"]).Scan(&storage)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, failed
	}
	return answer("found", err)
}

// The same within a transaction of the caller's, ATOMIC_REQUESTS for instance,
// and without Django's inner atomic. On PostgreSQL an error ends the
// transaction: the second look is answered with 25P02, commands ignored until
// end of transaction block. On MariaDB the transaction goes on; but at
// REPEATABLE READ its snapshot is from before the other one's COMMIT, so the
// second look finds nothing, and the IntegrityError is raised after all. At
// READ COMMITTED it is found. At SERIALIZABLE the looks lock what is not there,
// and the INSERTs deadlock.
func getOrCreateTransaction(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	return getOrCreateWithin(ctx, env, createProduct)
}

// Django's inner transaction.atomic is a savepoint if there is a transaction
// already. What fails after it is undone back to it, and PostgreSQL's
// transaction goes on: at READ COMMITTED the second look finds the product. It
// does not help where the snapshot is the transaction's, at REPEATABLE READ: the
// row that is in the way cannot be seen, on PostgreSQL and MariaDB alike. (That is
// MariaDB's default; Django asks it for READ COMMITTED unless it is told
// otherwise.) Above that the database aborts one of the two, and so does SQLite.
func getOrCreateSavepoint(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	return getOrCreateWithin(ctx, env, createBehindSavepoint)
}

// getOrCreateWithin looks, creates, and looks again in one transaction.
func getOrCreateWithin(ctx context.Context, env *racelab.Env, create func(context.Context, *racelab.Env, *sql.Tx) error) (racelab.Value, error) {
	said := "found"
	err := transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		var storage int64
		err := tx.QueryRowContext(ctx, "SELECT storage FROM product WHERE slug = ?", env.Args["slug"]).Scan(&storage)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err := env.Window(ctx); err != nil {
			return err
		}
		failed := create(ctx, env, tx)
		if env.Dialect.Classify(failed) != racelab.UniqueViolation {
			said = "created"
			return failed
		}
		err = tx.QueryRowContext(ctx, "SELECT storage FROM product WHERE slug = ?", env.Args["slug"]).Scan(&storage)
		if errors.Is(err, sql.ErrNoRows) {
			return failed
		}
		return err
	})
	return answer(said, err)
}

// createProduct creates the product.
func createProduct(ctx context.Context, env *racelab.Env, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO product (slug, storage) VALUES (?, ?)", env.Args["slug"], env.Args["storage"])
	return err
}

// createBehindSavepoint creates the product, and goes back to before if it is there.
func createBehindSavepoint(ctx context.Context, env *racelab.Env, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, "SAVEPOINT creation"); err != nil {
		return err
	}
	failed := createProduct(ctx, env, tx)
	end := "RELEASE SAVEPOINT creation"
	if env.Dialect.Classify(failed) == racelab.UniqueViolation {
		end = "ROLLBACK TO SAVEPOINT creation"
	} else if failed != nil {
		return failed
	}
	if _, err := tx.ExecContext(ctx, end); err != nil {
		return err
	}
	return failed
}

// One statement looks and creates, and the unique index decides: ON CONFLICT, or
// ON DUPLICATE KEY UPDATE on MariaDB. There is no moment in between, and no
// error to handle. It does not say whether the row is new; where that is asked
// for, the rows that were changed or RETURNING say it, differently on each
// engine.
func createUpsert(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	_, err := env.DB.ExecContext(ctx, "INSERT INTO product (slug, storage) VALUES (?, ?) "+
		env.Dialect.Upsert("slug")+" storage = product.storage", env.Args["slug"], env.Args["storage"])
	return answer("there", err)
}

// productsTwice counts the rows that another one with their slug precedes.
func productsTwice(s racelab.State) (expected, actual int64, err error) {
	for _, name := range []string{"product", "plain"} {
		t, ok := s.Table(name)
		if !ok {
			return 0, 0, errors.New("the state holds no table " + name)
		}
		seen := map[racelab.Value]bool{}
		for _, row := range t.Rows {
			if seen[row[0]] {
				actual++
			}
			seen[row[0]] = true
		}
	}
	return 0, actual, nil
}
