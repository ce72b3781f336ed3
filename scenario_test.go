package racelab_test

import (
	"testing"

	"github.com/racelab/racelab"
)

func TestRolesAreDealtOutInTurn(t *testing.T) {
	cast := []racelab.Role{{Name: "x"}, {Name: "y"}, {Name: "z"}}
	for _, test := range []struct {
		usual, asked int
		want         string
	}{
		{0, 0, "xyz"}, {2, 0, "xy"}, {2, 3, "xyz"}, {2, 1, "x"}, {0, 5, "xyzxy"}, {5, 0, "xyzxy"},
	} {
		s := racelab.Scenario{Cast: cast, Sessions: test.usual}
		got := ""
		for _, role := range s.Dealt(test.asked) {
			got += role.Name
		}
		if got != test.want {
			t.Errorf("%d sessions, %d asked for: %s, want %s", test.usual, test.asked, got, test.want)
		}
	}
}
