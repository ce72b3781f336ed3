package enginetest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/racelab/racelab"
)

func (s *suite) state(t *testing.T) {
	w := s.world(t, "")
	c := s.connect(t, w)
	initial := state(t, w)

	t.Run("is what the set-up made", func(t *testing.T) {
		want := racelab.State{
			{Name: "account", Columns: []string{"id", "balance", "name"}, Rows: [][]racelab.Value{{int64(1), int64(100), "one"}, {int64(2), int64(200), nil}}},
			{Name: "entry", Columns: []string{"id", "account_id", "amount"}, Rows: [][]racelab.Value{{int64(1), int64(1), int64(10)}, {int64(2), int64(2), int64(20)}}},
			{Name: "note", Columns: []string{"id", "words"}},
		}
		if diff := cmp.Diff(want, initial); diff != "" {
			t.Errorf("state (-want +got):\n%s", diff)
		}
	})
	s.only(t, s.has(racelab.Concurrent), "shows what was committed, and nothing else", func(t *testing.T) {
		c.exec(t, "BEGIN", addOne)
		if diff := cmp.Diff(initial, state(t, w)); diff != "" {
			t.Errorf("an open transaction shows (-before +during):\n%s", diff)
		}
		c.exec(t, "COMMIT")
		if cmp.Equal(initial, state(t, w)) {
			t.Error("a commit does not show")
		}
	})
	t.Run("is of one moment", func(t *testing.T) {
		moved := s.world(t, "")
		writer := s.connect(t, moved)
		stop := make(chan struct{})
		var writing sync.WaitGroup
		writing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				// Both tables change in one transaction, so every state has
				// the one in step with the other.
				for _, q := range []string{"BEGIN", addOne, "INSERT INTO entry (account_id, amount) VALUES (1, 1)", "COMMIT"} {
					if err := writer.try(context.Background(), q); err != nil {
						t.Errorf("%s: %v", q, err)
						return
					}
				}
			}
		})
		defer writing.Wait()
		defer close(stop)
		for range 200 {
			now := state(t, moved)
			balance, err := now[0].Int(0, "balance")
			if err != nil {
				t.Fatal(err)
			}
			if added := int64(len(now[1].Rows) - 2); balance != 100+added {
				t.Fatalf("balance %d beside %d entries that were added", balance, added)
			}
		}
	})
	t.Run("is the same after a reset", func(t *testing.T) {
		c.exec(t,
			"INSERT INTO account (id, balance) VALUES (3, 1)",
			"INSERT INTO entry (account_id, amount) VALUES (3, 1)",
			"INSERT INTO note (id, words) VALUES (1, 'x')",
			"UPDATE account SET balance = 0, name = 'x'",
			"DELETE FROM entry WHERE account_id < 3",
			"DELETE FROM account WHERE id < 3")
		if len(state(t, w)[0].Rows) != 1 {
			t.Fatal("the statements changed nothing")
		}
		if err := w.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(initial, state(t, w)); diff != "" {
			t.Errorf("state (-initial +reset):\n%s", diff)
		}
	})
	t.Run("is the same after a reset, whatever was done", rapid.MakeCheck(func(rt *rapid.T) {
		for range rapid.IntRange(1, 4).Draw(rt, "transactions") {
			c.exec(t, "BEGIN")
			for _, q := range rapid.SliceOfN(statement, 1, 4).Draw(rt, "statements") {
				if s.engine.Dialect.Classify(c.try(context.Background(), q)) != racelab.OK {
					break // a constraint; some engines then refuse the rest of the transaction
				}
			}
			c.exec(t, rapid.SampledFrom([]string{"COMMIT", "ROLLBACK"}).Draw(rt, "end"))
		}
		if err := w.Reset(context.Background()); err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(initial, state(t, w)); diff != "" {
			rt.Fatalf("state (-initial +reset):\n%s", diff)
		}
	}))
	t.Run("a reset does not take keys back from a generator that gave them out", func(t *testing.T) {
		c.exec(t, "INSERT INTO entry (account_id, amount) VALUES (1, 1)", "INSERT INTO entry (account_id, amount) VALUES (1, 2)")
		if err := w.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.exec(t, "INSERT INTO entry (account_id, amount) VALUES (1, 3)")
	})
	t.Run("that cannot be read is an error, and nothing stays open", func(t *testing.T) {
		w := open(t, s.server, racelab.Config{Setup: schema(s.engine.Dialect), State: append(slices.Clone(schemaTables), "nowhere")})
		c := s.connect(t, w)
		for range 2 {
			if got, err := w.State(t.Context()); err == nil {
				t.Errorf("state %v of a table that is not there", got)
			}
			if err := w.Reset(t.Context()); err != nil {
				t.Errorf("reset: %v", err)
			}
		}
		if _, err := w.State(t.Context()); err == nil {
			t.Error("no error")
		}
		c.exec(t, "DROP TABLE note") // waits if a transaction has read it
	})
	t.Run("of a world without tables", func(t *testing.T) {
		w := open(t, s.server, racelab.Config{})
		if err := w.Reset(t.Context()); err != nil {
			t.Errorf("reset: %v", err)
		}
		if got := state(t, w); len(got) != 0 {
			t.Errorf("state %v", got)
		}
	})
	t.Run("a set-up that fails is an error and leaves nothing", func(t *testing.T) {
		before := s.databases(t, w)
		w2, err := s.server.Open(t.Context(), racelab.Config{Setup: []string{"CREATE TABLE x (id integer)", "SELEKT"}})
		if err == nil {
			w2.Close()
			t.Fatal("no error")
		}
		if diff := cmp.Diff(before, s.databases(t, w)); diff != "" {
			t.Errorf("databases (-before +after):\n%s", diff)
		}
	})
}

// statement draws from statements that insert, update and delete, some of them
// against a constraint.
var statement = rapid.SampledFrom([]string{
	"INSERT INTO account (id, balance) VALUES (3, 5)",
	"INSERT INTO account (id, balance) VALUES (1, 5)",
	"INSERT INTO entry (account_id, amount) VALUES (1, 5)",
	"INSERT INTO entry (account_id, amount) VALUES (3, 5)",
	"INSERT INTO note (id, words) VALUES (1, 'it''s')",
	"UPDATE account SET balance = balance * 2",
	"UPDATE account SET name = 'ü' WHERE id = 2",
	"UPDATE account SET id = 4 WHERE id = 3",
	"UPDATE entry SET account_id = 2",
	"DELETE FROM entry",
	"DELETE FROM entry WHERE account_id = 2",
	"DELETE FROM account WHERE id = 2",
	"DELETE FROM note",
})

func state(t *testing.T, w racelab.World) racelab.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got, err := w.State(ctx)
	if err != nil {
		t.Fatalf("read the state: %v", err)
	}
	return got
}
