package postgres_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/racelab/racelab"
)

func TestTextAnswersInOrderAndAtOnce(t *testing.T) {
	server := private(t)
	w, err := server.Open(t.Context(), racelab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	c, err := w.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	table := func(column string, rows ...[]racelab.Value) racelab.Answer {
		return racelab.Answer{Table: &racelab.Table{Columns: []string{column}, Rows: rows}}
	}
	notice := func(n racelab.Notice) racelab.Answer { return racelab.Answer{Notice: &n} }
	tests := []struct {
		name, sql string
		want      []racelab.Answer
		said      racelab.Notice
	}{
		{"no statement", " ; -- nothing", nil, racelab.Notice{}},
		{"statements with and without rows", "SELECT 1 AS a WHERE false; BEGIN; SELECT 2 AS b; COMMIT",
			[]racelab.Answer{table("a"), {Table: &racelab.Table{}}, table("b", []racelab.Value{"2"}), {Table: &racelab.Table{}}}, racelab.Notice{}},
		{"a notice between tables", "SELECT 1 AS a; DO $$BEGIN RAISE WARNING 'x' USING DETAIL = 'd', HINT = 'h'; END$$; SELECT NULL AS b",
			[]racelab.Answer{table("a", []racelab.Value{"1"}),
				notice(racelab.Notice{Severity: "WARNING", Message: "x", Detail: "d", Hint: "h", Context: "PL/pgSQL function inline_code_block line 1 at RAISE"}),
				{Table: &racelab.Table{}}, table("b", []racelab.Value{nil})}, racelab.Notice{}},
		{"a notification", "LISTEN l; NOTIFY l, 'p'",
			[]racelab.Answer{{Table: &racelab.Table{}}, {Table: &racelab.Table{}}, {Notification: &racelab.Notification{Channel: "l", Payload: "p", From: c.ID()}}},
			racelab.Notice{}},
		{"an error", "SELECT 1 AS a; SELECT 1 / (n - 2) AS b FROM generate_series(1, 2) n", []racelab.Answer{table("a", []racelab.Value{"1"})},
			racelab.Notice{Severity: "ERROR", Message: "division by zero"}},
		{"an error at a place", "SELECT é", nil, racelab.Notice{Severity: "ERROR", Message: `column "é" does not exist`, Position: 8}},
		{"an error in a statement within", "DO $$BEGIN EXECUTE 'SELECT x'; END$$", nil,
			racelab.Notice{Severity: "ERROR", Message: `column "x" does not exist`, Position: 8, Query: "SELECT x",
				Context: "PL/pgSQL function inline_code_block line 1 at EXECUTE"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []racelab.Answer
			err := c.Text(t.Context(), test.sql, func(a racelab.Answer) { got = append(got, a) })
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			var said *racelab.ServerError
			if !errors.As(err, &said) {
				said = &racelab.ServerError{}
			}
			if diff := cmp.Diff(test.said, said.Notice); diff != "" {
				t.Errorf("of %v (-want +got):\n%s", err, diff)
			}
		})
	}

	// The statement ends only because what it says is heard before.
	other, err := w.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	lock := func(c racelab.Conn, sql string, heard func(racelab.Answer)) {
		if err := c.Text(t.Context(), sql, heard); err != nil {
			t.Error(err)
		}
	}
	lock(other, "SELECT pg_advisory_lock(1)", func(racelab.Answer) {})
	lock(c, "DO $$BEGIN RAISE NOTICE 'now'; PERFORM pg_advisory_lock(1); END$$", func(a racelab.Answer) {
		if a.Notice != nil {
			lock(other, "SELECT pg_advisory_unlock(1)", func(racelab.Answer) {})
		}
	})
}
