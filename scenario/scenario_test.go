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
