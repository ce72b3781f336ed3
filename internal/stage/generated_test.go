package stage_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
)

// member is an account that a key is made up for, and a profile that refers to
// it. The body signs somebody up, and gives the account's key.
func member(unique bool, body racelab.Body) *racelab.Scenario {
	email := "email VARCHAR(20) NOT NULL"
	if unique {
		email += " UNIQUE"
	}
	return &racelab.Scenario{
		Name: "member",
		Setup: func(d racelab.Dialect) []string {
			return []string{
				"CREATE TABLE account (" + d.AutoKey("id") + ", " + email + ", who VARCHAR(20), since TIMESTAMP DEFAULT CURRENT_TIMESTAMP)",
				"CREATE TABLE profile (who VARCHAR(20), account BIGINT)",
				"INSERT INTO account (email, who) VALUES ('root', 'nobody')",
			}
		},
		State:      []string{"account", "profile"},
		Generated:  []string{"account.id"},
		References: map[string]string{"profile.account": "account.id"},
		Cast: []racelab.Role{
			{Name: "guest", Calls: []racelab.Args{{"who": "ann", "email": "x"}}},
			{Name: "guest", Calls: []racelab.Args{{"who": "bob", "email": "x"}}},
		},
		Strategies: []racelab.Strategy{{Name: "it", Body: map[string]racelab.Body{"guest": body}}},
	}
}

// enter makes the profile of an account, and gives its key.
func enter(ctx context.Context, env *racelab.Env, id int64) (racelab.Value, error) {
	_, err := env.DB.ExecContext(ctx, "INSERT INTO profile (who, account) VALUES (?, ?)", env.Args["who"], id)
	return racelab.Key{Of: "account.id", Value: id}, err
}

func insertAccount(ctx context.Context, env *racelab.Env) error {
	_, err := env.DB.ExecContext(ctx, "INSERT INTO account (email, who) VALUES (?, ?)", env.Args["email"], env.Args["who"])
	return err
}

func readKey(ctx context.Context, env *racelab.Env, query string, args ...any) (id int64, err error) {
	err = env.DB.QueryRowContext(ctx, query, args...).Scan(&id)
	return id, err
}

const byEmail = "SELECT id FROM account WHERE email = ? ORDER BY id"

func TestMadeUpKeysAreComparedUpToARenaming(t *testing.T) {
	for _, p := range []struct {
		name     string
		unique   bool
		body     racelab.Body
		violated bool
	}{
		{"check, then insert", false, func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
			id, err := readKey(ctx, env, byEmail, env.Args["email"])
			if errors.Is(err, sql.ErrNoRows) {
				if err = insertAccount(ctx, env); err == nil {
					id, err = readKey(ctx, env, "SELECT id FROM account WHERE who = ?", env.Args["who"])
				}
			}
			if err != nil {
				return nil, err
			}
			return enter(ctx, env, id)
		}, true},
		{"insert, or find whose it is", true, func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
			if err := insertAccount(ctx, env); err != nil && env.Dialect.Classify(err) != racelab.UniqueViolation {
				return nil, err
			}
			id, err := readKey(ctx, env, byEmail, env.Args["email"])
			if err != nil {
				return nil, err
			}
			return enter(ctx, env, id)
		}, false},
		// Who comes first gets the lower key, and nobody minds.
		{"each an account", false, func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
			if err := insertAccount(ctx, env); err != nil {
				return nil, err
			}
			id, err := readKey(ctx, env, "SELECT id FROM account WHERE who = ?", env.Args["who"])
			if err != nil {
				return nil, err
			}
			return enter(ctx, env, id)
		}, false},
		// What was inserted last is not always one's own.
		{"the last key", false, func(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
			if err := insertAccount(ctx, env); err != nil {
				return nil, err
			}
			id, err := readKey(ctx, env, "SELECT max(id) FROM account")
			if err != nil {
				return nil, err
			}
			return enter(ctx, env, id)
		}, true},
	} {
		t.Run(p.name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
				s := member(p.unique, p.body)
				for _, level := range e.Dialect.Levels {
					t.Run(fmt.Sprint(level), func(t *testing.T) {
						sel, err := stage.Select(s, &s.Strategies[0], e, level)
						if err != nil {
							t.Fatal(err)
						}
						x, err := sel.Explore(t.Context(), server, stage.Exploration{Budget: 400})
						if err != nil {
							t.Fatal(err)
						}
						if got := x.Violations > 0; got != p.violated || !x.Complete {
							t.Errorf("violated %v, want %v; %d schedules, complete %v: %s: %s", got, p.violated, x.Schedules, x.Complete, x.Schedule, x.Judgement.Why)
						}
						if x.Replayed.OK != x.Replayed.Of || x.Checked.OK != x.Checked.Of || x.Checked.Of == 0 || p.violated != (x.Replayed.Of == 10) {
							t.Errorf("replayed %+v, checked %+v", x.Replayed, x.Checked)
						}
					})
				}
			})
		})
	}
}
