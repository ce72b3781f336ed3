package scenario

import (
	"context"
	"database/sql"
	"errors"

	"github.com/racelab/racelab"
)

var updateOrCreate = racelab.Scenario{
	Name:    "update-or-create",
	Summary: "two deliveries of a product that may not be there yet",
	Story: `A delivery adds pieces to a product's stock, and creates the product if it is the
first one. Two first deliveries come at the same moment. It is get-or-create with
a write at the end, so both of its races are there: two rows instead of one, and
between what was read and what is written a delivery that gets lost. Afterwards
there must be one product, and its storage must be what was delivered.`,
	Sources: []string{"3-django-race-conditions.tr.txt"},
	Reading: []string{
		"Django documentation, QuerySet API: update_or_create()",
		"PostgreSQL manual, INSERT: ON CONFLICT",
		"MariaDB knowledge base, INSERT ON DUPLICATE KEY UPDATE; InnoDB Lock Modes: gap locks",
	},
	Setup: catalogue,
	State: []string{"product", "plain"},
	Cast: []racelab.Role{
		{Name: "delivery", Calls: []racelab.Args{{"slug": "computer", "storage": int64(50)}}},
		{Name: "delivery", Calls: []racelab.Args{{"slug": "computer", "storage": int64(20)}}},
	},
	Invariants: []racelab.Invariant{{Name: "no product is there twice", Measure: productsTwice}},
	Strategies: []racelab.Strategy{
		{
			Name:    "check-then-write",
			Summary: "look, then add or create, without a unique constraint",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "duplicate"}},
			Fix:     []string{"upsert"},
			Body:    delivery(deliverPlain),
		},
		{
			Name:    "check-then-write-unique",
			Summary: "the same with the constraint: the second delivery fails",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "duplicate"}},
			Fix:     []string{"update-or-create", "upsert"},
			Body:    delivery(deliverUnique),
		},
		{
			Name:    "update-or-create",
			Summary: "Django's function: look with a lock, create behind a savepoint, look again, add",
			Needs:   racelab.RowLocks | racelab.Savepoints,
			Expect: []racelab.Expect{
				{Level: racelab.ReadUncommitted, Result: racelab.CellHolds},
				{Level: racelab.ReadCommitted, Result: racelab.CellHolds},
				{Engine: "postgres", Level: racelab.RepeatableRead, Result: racelab.CellViolated, Anomaly: "duplicate"},
				{Result: racelab.CellHoldsWithAborts},
			},
			Fix:  []string{"upsert"},
			Body: delivery(deliverDjango),
		},
		{
			Name:    "upsert",
			Summary: "one statement that creates it or adds to it",
			Safe:    true,
			Body:    delivery(deliverUpsert),
		},
	},
}

func delivery(b racelab.Body) map[string]racelab.Body { return map[string]racelab.Body{"delivery": b} }

// Look, then write, without a constraint. Two first deliveries make two rows.
// Once the product is there the other race begins: both read the same storage,
// and whoever writes last overwrites the other one.
func deliverPlain(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	return lookAndDeliver(ctx, env, "plain")
}

// The same where the slug is unique. The second row is refused, and the second
// delivery with it: an error that it would not have had a moment later.
func deliverUnique(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	return lookAndDeliver(ctx, env, "product")
}

// lookAndDeliver looks for the product in a table, and adds to it or creates it.
func lookAndDeliver(ctx context.Context, env *racelab.Env, table string) (racelab.Value, error) {
	slug, pieces := env.Args["slug"], env.Args.Int("storage")
	var storage int64
	err := env.DB.QueryRowContext(ctx, "SELECT storage FROM "+table+" WHERE slug = ?", slug).Scan(&storage)
	missing := errors.Is(err, sql.ErrNoRows)
	if err != nil && !missing {
		return nil, err
	}
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	if missing {
		_, err = env.DB.ExecContext(ctx, "INSERT INTO "+table+" (slug, storage) VALUES (?, ?)", slug, pieces)
	} else {
		_, err = env.DB.ExecContext(ctx, "UPDATE "+table+" SET storage = ? WHERE slug = ?", storage+pieces, slug)
	}
	return nil, err
}

// What Django's update_or_create sends: one transaction; a look with FOR UPDATE;
// if nothing is there, the INSERT behind a savepoint; if that fails, another
// look, again with FOR UPDATE; and then the new value. A locking read sees the
// newest row on MariaDB whatever the level, so its second look finds what is in
// the way. PostgreSQL at REPEATABLE READ keeps to the snapshot and finds
// nothing. On MariaDB from REPEATABLE READ on, the first look locks the gap in
// which there is nothing, for both, and the INSERTs deadlock.
func deliverDjango(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	const look = "SELECT storage FROM product WHERE slug = ? FOR UPDATE"
	slug, pieces := env.Args["slug"], env.Args.Int("storage")
	return nil, transaction(ctx, env.DB, nil, func(tx *sql.Tx) error {
		var storage int64
		err := tx.QueryRowContext(ctx, look, slug).Scan(&storage)
		if errors.Is(err, sql.ErrNoRows) {
			if err := env.Window(ctx); err != nil {
				return err
			}
			failed := createBehindSavepoint(ctx, env, tx)
			if env.Dialect.Classify(failed) != racelab.UniqueViolation {
				return failed
			}
			err = tx.QueryRowContext(ctx, look, slug).Scan(&storage)
			if errors.Is(err, sql.ErrNoRows) {
				return failed
			}
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE product SET storage = ? WHERE slug = ?", storage+pieces, slug)
		return err
	})
}

// One statement: the unique index decides whether it is an INSERT or an UPDATE,
// and the UPDATE adds to the newest value. Nothing is read that could grow old.
func deliverUpsert(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	if err := env.Window(ctx); err != nil {
		return nil, err
	}
	_, err := env.DB.ExecContext(ctx, "INSERT INTO product (slug, storage) VALUES (?, ?) "+
		env.Dialect.Upsert("slug")+" storage = product.storage + ?", env.Args["slug"], env.Args["storage"], env.Args["storage"])
	return nil, err
}
