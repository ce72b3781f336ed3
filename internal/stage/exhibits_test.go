package stage_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab/engine/memory"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
)

// What is small enough to run all of is run both ways.
func TestReducedFindsWhatBruteForceFindsInTheExhibitsOfMemory(t *testing.T) {
	t.Parallel()
	server, err := memory.Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	compared := 0
	for _, row := range rowsOf(scenario.All...) {
		if !row.Scenario.Fits(memory.Engine) {
			continue
		}
		sel, err := stage.Select(row.Scenario, row.Strategy, memory.Engine, "")
		if err != nil {
			t.Fatal(err)
		}
		var outcomes [2][]string
		var x stage.Explored
		for i := range outcomes {
			if x, err = sel.Explore(t.Context(), server, stage.Exploration{Reduced: i == 1, Budget: 3000}); err != nil {
				t.Fatal(err)
			}
			if !x.Complete {
				break
			}
			for _, o := range x.Outcomes {
				outcomes[i] = append(outcomes[i], fmt.Sprint(o.Results, " | ", o.State, " ", o.Serial, o.Broken))
			}
			outcomes[i] = append(outcomes[i], fmt.Sprint("a data race: ", x.Raced > 0))
			slices.Sort(outcomes[i])
		}
		if !x.Complete {
			continue
		}
		compared++
		if diff := cmp.Diff(outcomes[0], outcomes[1]); diff != "" {
			t.Errorf("%s (-all +reduced):\n%s", sel.Name(), diff)
		}
	}
	t.Logf("compared %d strategies", compared)
	if compared < 30 {
		t.Errorf("only %d strategies were compared", compared)
	}
}
