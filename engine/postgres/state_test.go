package postgres_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/tables"
)

// A state is compared with what sessions read, who do so through database/sql.
func TestAStateHasTheValuesThatSessionsRead(t *testing.T) {
	server := private(t)
	values := []string{
		"true", "1::smallint", "-2::integer", "9223372036854775807::bigint", "7::oid", "'8'::xid", "'9'::cid",
		"0.1::real", "'NaN'::real", "0.1::double precision", "'-Infinity'::double precision", "1.50::numeric", "'NaN'::numeric", "12.30::money",
		"'text'::text", "'c'::char(3)", "'v'::varchar", "'n'::name", "'x'::\"char\"", "'big'::size", "'\\x00ff'::bytea",
		"'2026-01-02'::date", "'infinity'::date", "'2026-01-02 03:04:05.678901'::timestamp", "'0044-03-15 12:00 BC'::timestamp",
		"'2026-01-02 03:04:05+06'::timestamptz", "'-infinity'::timestamptz", "'03:04:05'::time", "'03:04:05+06'::timetz", "'1 day 02:03'::interval",
		"'{\"a\": 1}'::json", "'{\"a\":  1}'::jsonb", "'00000000-0000-0000-0000-000000000001'::uuid", "'10.0.0.1/8'::inet",
		"'{1,2}'::integer[]", "'{a,NULL}'::text[]", "'[1,5)'::int4range", "'(1,2)'::point", "B'101'",
	}
	columns := make([]string, len(values))
	for i, v := range values {
		columns[i] = v + " AS c" + string(rune('a'+i/26)) + string(rune('a'+i%26))
	}
	w, err := server.Open(t.Context(), racelab.Config{State: []string{"everything"}, Setup: []string{
		"CREATE TYPE size AS ENUM ('small', 'big')",
		"CREATE TABLE everything AS SELECT " + strings.Join(columns, ", "),
		"INSERT INTO everything DEFAULT VALUES", // NULLs
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	state, err := w.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	db, err := sql.Open("pgx", w.Address()+"&timezone=UTC")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT * FROM everything")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	want, err := tables.Scan(rows)
	if err != nil {
		t.Fatal(err)
	}
	want.Name = "everything"
	tables.Sort(want.Rows)
	if diff := cmp.Diff(racelab.State{want}, state, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("state (-database/sql +got):\n%s", diff)
	}
}
