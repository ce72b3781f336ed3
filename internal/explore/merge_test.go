package explore

import (
	"testing"

	"github.com/racelab/racelab"
)

// part is a finished part of a search.
func part(name string) Frontier {
	return Frontier{Schema: frontierSchema, Method: "brute", Part: name, Begun: true, Items: []savedItem{}}
}

// What is missing must not be merged away: the search would hold without it.
func TestPartsAreMergedOnlyIfTheyAreAllOfOneDivision(t *testing.T) {
	late := part("2/2")
	late.Begun = false
	for _, parts := range [][]Frontier{
		{part("1/3"), part("1/2")},
		{part("1/2"), part("1/2")},
		{part("1/2")},
		{part("1/2"), late},
		{part("0/2"), part("3/2")},
	} {
		if m, err := Merge(parts); err == nil {
			t.Errorf("%v are merged: %+v", parts, m)
		}
	}
	one, two := part("1/2"), part("2/2")
	two.Report.Classes = map[racelab.Class]int{racelab.Deadlock: 1} // and one has no map
	if m, err := Merge([]Frontier{two, one}); err != nil || m.Report.Classes[racelab.Deadlock] != 1 {
		t.Errorf("got %+v, %v", m, err)
	}
}

// What one part has run without a dependency that another has seen is done again.
func TestPartsThatKnewDifferentDependenciesBeginAgain(t *testing.T) {
	one, two := part("1/2"), part("2/2")
	two.Facts = []string{"ledger"}
	if m, err := Merge([]Frontier{one, two}); err != nil || m.Begun {
		t.Errorf("got %+v, %v", m, err)
	}
}
