package spec

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

func TestPermutationsAskForPrograms(t *testing.T) {
	const sessions = "session s step a {} step b {} session t step c {} "
	for src, want := range map[string][]string{
		sessions: {"s: a b; t: c"},
		sessions + "permutation a b c permutation c(*) a b":                                {"s: a b; t: c"},
		sessions + "permutation a b c permutation c permutation b c a a permutation a c b": {"s: a b; t: c", "t: c", "s: b a a; t: c"},
	} {
		s, err := Parse("x.spec", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range s.Programs() {
			got = append(got, p.String())
			for _, n := range p.Permutations {
				if same, err := s.Program(n); err != nil || same.String() != p.String() {
					t.Errorf("%s: permutation %d asks for %s, %v", src, n, same, err)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", src, diff)
		}
		if _, err := s.Program(len(s.Permutations) + 1); err == nil {
			t.Errorf("%s: there is a permutation too many", src)
		}
	}
}

func TestWhatRemainsOfAStatement(t *testing.T) {
	for text, want := range map[string]racelab.Remainder{
		"SELECT n FROM t WHERE id IN (1, 2)":                               racelab.RemainsNothing,
		"INSERT INTO t (a, b) VALUES (1, 2) ON CONFLICT (a) DO NOTHING":    racelab.RemainsNothing,
		"INSERT INTO t (a) SELECT count(*) FROM u RETURNING a":             racelab.RemainsNothing,
		"WITH w AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM w": racelab.RemainsNothing,
		"BEGIN ISOLATION LEVEL SERIALIZABLE":                               racelab.RemainsNothing,
		"SET LOCAL lock_timeout = 0":                                       racelab.RemainsNothing,
		"LOCK TABLE t":                                                     racelab.RemainsNothing,
		"SET lock_timeout = 0":                                             racelab.RemainsInConns,
		"set @x = 1":                                                       racelab.RemainsInConns,
		"LOCK TABLES t WRITE":                                              racelab.RemainsInConns,
		"LISTEN a":                                                         racelab.RemainsInConns,
		"SELECT pg_advisory_lock(1)":                                       racelab.RemainsInConns,
		"SELECT @x := n FROM t":                                            racelab.RemainsInConns,
		`SELECT "pg_advisory_lock"(1)`:                                     racelab.RemainsInConns,
		"UPDATE t SET n = f(n)":                                            racelab.RemainsInConns,
		"CREATE TEMP TABLE x (n int)":                                      racelab.RemainsInConns,
		"CREATE TABLE x (n int)":                                           racelab.RemainsInSchema,
		"SELECT n INTO x FROM t":                                           racelab.RemainsInSchema,
		"WITH w AS (SELECT 1 AS n) SELECT n INTO x FROM w":                 racelab.RemainsInSchema,
		"DO $$ BEGIN END $$":                                               racelab.RemainsInSchema,
		"CALL p()":                                                         racelab.RemainsInSchema,
		"PRAGMA user_version = 1":                                          racelab.RemainsInSchema,
		"FROBNICATE t":                                                     racelab.RemainsInSchema,
	} {
		if got := remainderOf(sqltext.Words(text)); got != want {
			t.Errorf("of %s remains %d, want %d", text, got, want)
		}
	}
	for text, want := range map[string]racelab.Remainder{
		"CREATE TABLE t (n int); DROP TABLE t":                                                                  racelab.RemainsNothing,
		"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'":                                            racelab.RemainsInConns,
		"CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN EXECUTE x; END'":                            racelab.RemainsInSchema,
		"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $a$ DROP TABLE t $a$":                                  racelab.RemainsInSchema,
		"CREATE PROCEDURE p() BEGIN CREATE TABLE t (n INT); END":                                                racelab.RemainsInSchema,
		"CREATE FUNCTION f() RETURNS trigger AS $$ $$; CREATE TRIGGER g AFTER UPDATE ON t EXECUTE FUNCTION f()": racelab.RemainsInConns,
		"CREATE TRIGGER g AFTER UPDATE ON t FOR EACH ROW SET @x = 1":                                            racelab.RemainsInConns,
		"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TABLE t (n int); DROP TABLE t":      racelab.RemainsInConns,
		"CREATE SEQUENCE s":          racelab.RemainsNothing,
		"CREATE SEQUENCE s CACHE 10": racelab.RemainsInConns,
	} {
		if got := remainderOfSetups([]string{text}); got != want {
			t.Errorf("of %s remains %d, want %d", text, got, want)
		}
	}
}

func TestWhatCannotBeFollowedIsRefused(t *testing.T) {
	for steps, want := range map[string]string{
		"step a { BEGIN; } step b { SAVEPOINT s; }":                    "",
		"step a { SAVEPOINT s; }":                                      "step a: SAVEPOINT stands outside",
		"step a { BEGIN; } step b { COMMIT; } step c { SAVEPOINT s; }": "step c: SAVEPOINT stands outside",
		"step a { BEGIN; COMMIT AND CHAIN; SAVEPOINT s; }":             "",
		"step a { BEGIN; ROLLBACK AND NO CHAIN; SAVEPOINT s; }":        "step a: SAVEPOINT stands outside",
		"step a { PREPARE TRANSACTION 'x'; }":                          "step a: a prepared transaction",
		"step a { XA START 'x'; }":                                     "step a: a prepared transaction",
		`step "a b" { SET @@session.autocommit = 0; }`:                 `step "a b": say BEGIN`,
		"step a { SET autocommit = 0; }":                               "step a: say BEGIN",
		"setup { SET autocommit = 0; } step a { SELECT 1; }":           "setup: say BEGIN",
	} {
		s, err := Parse("x.spec", []byte("session s "+steps))
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Play("x.spec", "as-written", s.Programs()[0])
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", steps, err, want)
		}
	}
}

func TestAColumnThatStepsFillIsNotMadeUp(t *testing.T) {
	schema := racelab.Schema{Tables: []racelab.TableSchema{
		{Name: "t", Generated: []string{"id"}},
		{Name: "u", References: []racelab.Reference{{Columns: []string{"tid"}, Table: "t", To: []string{"id"}}}},
	}}
	for step, want := range map[string]bool{
		"INSERT INTO t (n) VALUES (1)":                                                          true,
		"INSERT INTO t VALUES (DEFAULT, 1)":                                                     true,
		"SELECT id FROM t":                                                                      true,
		"INSERT INTO u (id, tid) VALUES (1, 1)":                                                 true,
		"INSERT INTO t VALUES (1, 1)":                                                           false,
		"INSERT INTO public.t (n, ID) VALUES (1, 1)":                                            false,
		"INSERT INTO t DEFAULT VALUES":                                                          true,
		"INSERT INTO t VALUES (DEFAULT, 1), (7, 2)":                                             false,
		"INSERT INTO t VALUES (7, DEFAULT)":                                                     false,
		"INSERT INTO t SELECT 7, 1":                                                             false,
		"INSERT INTO t (SELECT 7, 1)":                                                           false,
		"INSERT t VALUES (7, 1)":                                                                false,
		"INSERT INTO t (n) VALUES (1) ON CONFLICT (id) DO UPDATE SET n = 2":                     true,
		"INSERT INTO t (n) VALUES (1) ON CONFLICT (n) DO UPDATE SET n = 2, id = 7":              false,
		"WITH w AS (INSERT INTO u VALUES (1) RETURNING id) INSERT INTO t (id) SELECT id FROM w": false,
		"UPDATE t SET n = (SELECT max(id) FROM t), m = id + 1 WHERE id = 1":                     true,
		"UPDATE t SET id = id + 10":                                                             false,
		"UPDATE t SET (n, id) = (1, 2)":                                                         false,
		"UPDATE t SET n = 1, t.id = 7 WHERE id = 1":                                             false,
		"SELECT f(); } setup { CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ INSERT INTO t (n) VALUES (1) RETURNING n $$;": true,
		"SELECT f(); } setup { CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ INSERT INTO t VALUES (1, 2) RETURNING n $$;":  false,
		"SELECT 1; } setup { CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := 7; RETURN NEW; END $$;": false,
		"SELECT 1; } setup { INSERT INTO t (id, n) VALUES (1, 0);":                                                              true,
	} {
		step, setup, _ := strings.Cut(step, "}")
		if setup != "" {
			setup += "}\n"
		}
		s, err := Parse("x.spec", []byte(setup+"session s step a { "+step+" }"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Play("x.spec", "as-written", s.Programs()[0])
		if err != nil {
			t.Fatal(err)
		}
		generated, references := p.Learn(schema)
		if (len(generated) == 1) != want || (references["u.tid"] == "t.id") != want {
			t.Errorf("%s: made up are %v, %v", step, generated, references)
		}
	}
}

func TestAResultHoldsKeysOnlyWhereTheirColumnIsMeant(t *testing.T) {
	p := &Played{}
	p.schema.Store(&racelab.Schema{Tables: []racelab.TableSchema{
		{Name: "t", Integers: []string{"id", "n"}, Generated: []string{"id"}},
		{Name: "u", Integers: []string{"id", "tid"}},
		{Name: "w", Integers: []string{"wid"}, Generated: []string{"wid"}},
	}})
	for text, want := range map[string]string{
		"SELECT id FROM t WHERE id = 1 AND (id = 2)": "t.id",
		"SELECT t.id, wid FROM t, w ORDER BY id":     "t.id",
		"SELECT * FROM t":                            "t.id",
		"INSERT INTO t (n) VALUES (1) RETURNING id":  "t.id",
		"SELECT n AS id FROM t":                      "",
		"SELECT n id FROM t":                         "",
		"SELECT max(n) id FROM t":                    "",
		"SELECT u.id FROM u, t WHERE t.n = 1":        "",
		"SELECT id FROM u":                           "",
	} {
		if got := p.keyOf(sqltext.Words(text), "id"); got != want {
			t.Errorf("%s: keys of %q, want %q", text, got, want)
		}
	}
}
