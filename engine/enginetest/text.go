package enginetest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
)

// Text collects what a connection answers to sql: the tables of what gives rows,
// and the notices. On an error it gives what came before.
func Text(ctx context.Context, c racelab.Conn, sql string) (tables []racelab.Table, notices []racelab.Notice, err error) {
	err = c.Text(ctx, sql, func(a racelab.Answer) {
		switch {
		case a.Table != nil && len(a.Table.Columns) > 0:
			tables = append(tables, *a.Table)
		case a.Notice != nil:
			notices = append(notices, *a.Notice)
		}
	})
	return tables, notices, err
}

func (s *suite) text(t *testing.T) {
	w := s.world(t, "")
	c := s.connect(t, w)
	text := func(t *testing.T, sql string) ([]racelab.Table, []racelab.Notice, error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return Text(ctx, c, sql)
	}

	t.Run("every result comes in the server's own words", func(t *testing.T) {
		got, _, err := text(t, "SELECT id, name FROM account ORDER BY id; SELECT 1.50 AS n; SELECT words FROM note")
		if err != nil {
			t.Fatal(err)
		}
		want := []racelab.Table{
			{Columns: []string{"id", "name"}, Rows: [][]racelab.Value{{"1", "one"}, {"2", nil}}},
			{Columns: []string{"n"}, Rows: [][]racelab.Value{{got[1].Rows[0][0]}}},
			{Columns: []string{"words"}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("tables (-want +got):\n%s", diff)
		}
		if n, ok := got[1].Rows[0][0].(string); !ok || !strings.HasPrefix(n, "1.5") {
			t.Errorf("1.50 came as %#v, want text", got[1].Rows[0][0])
		}
	})
	t.Run("a statement without rows gives no table", func(t *testing.T) {
		got, _, err := text(t, "UPDATE account SET balance = 7 WHERE id = 1; SELECT balance FROM account WHERE id = 1")
		if err != nil {
			t.Fatal(err)
		}
		want := []racelab.Table{{Columns: []string{"balance"}, Rows: [][]racelab.Value{{"7"}}}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("tables (-want +got):\n%s", diff)
		}
	})
	t.Run("an error comes after what was before it", func(t *testing.T) {
		got, _, err := text(t, "SELECT 1 AS one; SELECT * FROM nowhere")
		if err == nil || len(got) != 1 || len(got[0].Rows) != 1 {
			t.Errorf("tables %v and error %v, want one table and an error", got, err)
		}
		var said *racelab.ServerError
		if !errors.As(err, &said) || said.Severity != "ERROR" || !strings.Contains(said.Message, "nowhere") {
			t.Errorf("the server said %#v, want an error in its own words, and none that ends the connection", err)
		}
	})
	t.Run("it shares the session's transaction", func(t *testing.T) {
		if _, _, err := text(t, "BEGIN"); err != nil {
			t.Fatal(err)
		}
		c.exec(t, "UPDATE account SET balance = 8 WHERE id = 1")
		if _, _, err := text(t, "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		if got := c.number(t, readOne); got != 7 {
			t.Errorf("balance %d after the rollback, want 7", got)
		}
	})
	s.only(t, s.dialect.Notice != "", "notices come with it, once", func(t *testing.T) {
		_, notices, err := text(t, s.dialect.Notice)
		if err != nil {
			t.Fatal(err)
		}
		if len(notices) != 1 || !strings.Contains(notices[0].Message, "careful") || notices[0].Severity == "" {
			t.Errorf("notices %+v, want one that says careful", notices)
		}
		if _, notices, _ = text(t, "SELECT 1"); len(notices) != 0 {
			t.Errorf("the next statement repeats %+v", notices)
		}
	})
}
