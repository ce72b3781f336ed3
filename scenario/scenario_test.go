package scenario

import (
	"go/format"
	"os"
	"strings"
	"testing"

	"github.com/racelab/racelab"
)

func TestEveryStrategyHasItsSource(t *testing.T) {
	for _, s := range All {
		for _, st := range s.Strategies {
			for _, role := range s.Cast {
				body, ok := st.Body[role.Name]
				if !ok {
					t.Errorf("%s/%s has no body for role %s", s.Name, st.Name, role.Name)
					continue
				}
				listing, err := Source(body)
				if err != nil {
					t.Errorf("%s/%s: %v", s.Name, st.Name, err)
					continue
				}
				if len(listing.Doc) < 80 {
					t.Errorf("%s/%s explains itself in %d bytes: %q", s.Name, st.Name, len(listing.Doc), listing.Doc)
				}
				compiled, err := os.ReadFile(listing.File)
				if err != nil {
					t.Fatal(err)
				}
				first, _, _ := strings.Cut(listing.Code, "\n}\n")
				if !strings.Contains(string(compiled), first) {
					t.Errorf("%s/%s: the listing is not in %s", s.Name, st.Name, listing.File)
				}
				if _, err := format.Source([]byte(listing.Code)); err != nil {
					t.Errorf("%s/%s: the listing is no Go: %v", s.Name, st.Name, err)
				}
			}
		}
	}
}

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range All {
		for _, st := range s.Strategies {
			name := s.Name + "/" + st.Name
			if seen[name] {
				t.Errorf("%s stands twice", name)
			}
			seen[name] = true
		}
	}
}

func TestBalanceIsLedger(t *testing.T) {
	state := racelab.State{
		{Name: "account", Columns: []string{"id", "balance"}, Rows: [][]racelab.Value{{int64(1), int64(100)}}},
		{Name: "ledger", Columns: []string{"amount"}, Rows: [][]racelab.Value{{int64(100)}, {int64(100)}}},
	}
	expected, actual, err := balanceIsLedger(state)
	if err != nil || expected != 200 || actual != 100 {
		t.Errorf("expected %d, actual %d, %v; want 200, 100", expected, actual, err)
	}
	if _, _, err := balanceIsLedger(state[:1]); err == nil {
		t.Error("a state without a ledger was measured")
	}
}

func tableOf(name string, columns []string, rows ...[]racelab.Value) racelab.Table {
	return racelab.Table{Name: name, Columns: columns, Rows: rows}
}

func TestWhatTheInvariantsCount(t *testing.T) {
	storage, slugs := []string{"storage"}, []string{"slug", "storage"}
	computer := []racelab.Value{"computer", int64(50)}
	for _, test := range []struct {
		name             string
		measure          func(racelab.State) (int64, int64, error)
		state            racelab.State
		expected, actual int64
	}{
		{"the talk's bank", bankHolds300, racelab.State{
			tableOf("account", []string{"balance"}, []racelab.Value{int64(90)}, []racelab.Value{int64(90)}, []racelab.Value{int64(110)}),
		}, 300, 290},
		{"two sold, and one has left", soldHasLeft, racelab.State{
			tableOf("product", storage, []racelab.Value{int64(0)}), tableOf("plain", storage, []racelab.Value{int64(1)}),
			tableOf("sale", []string{"id"}, []racelab.Value{int64(1)}, []racelab.Value{int64(2)}),
		}, 2, 1},
		{"one below zero", belowZero, racelab.State{
			tableOf("product", storage, []racelab.Value{int64(0)}), tableOf("plain", storage, []racelab.Value{int64(-1)}),
		}, 0, 1},
		{"three of one slug", productsTwice, racelab.State{
			tableOf("product", slugs, computer), tableOf("plain", slugs, computer, computer, computer),
		}, 0, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			expected, actual, err := test.measure(test.state)
			if err != nil || expected != test.expected || actual != test.actual {
				t.Errorf("expected %d, actual %d, %v; want %d, %d", expected, actual, err, test.expected, test.actual)
			}
			for i := range test.state {
				if _, _, err := test.measure(test.state[:i]); err == nil {
					t.Errorf("a state of %d tables was measured", i)
				}
			}
		})
	}
}
