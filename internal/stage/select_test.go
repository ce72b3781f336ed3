package stage_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/mem"
)

// choosing is a session that receives twice from whichever of two channels has
// something, and another one that puts more into the first.
func choosing() *racelab.Scenario {
	type channels struct {
		memory *racelab.Memory
		a, b   *mem.Chan[int]
	}
	return &racelab.Scenario{
		Name: "choosing",
		Cast: []racelab.Role{{Name: "receiver", Calls: []racelab.Args{{}}}, {Name: "sender", Calls: []racelab.Args{{}}}},
		Strategies: []racelab.Strategy{{
			Name: "select",
			Process: func(m *racelab.Memory) any {
				return channels{m, mem.NewChan(m, "a", 2, 1), mem.NewChan(m, "b", 1, 2)}
			},
			Body: map[string]racelab.Body{
				"receiver": func(_ context.Context, env *racelab.Env) (racelab.Value, error) {
					c := env.Process.(channels)
					first, second := 0, 0
					mem.Select(c.memory, c.a.Receiving(&first, nil), c.b.Receiving(&first, nil))
					mem.Select(c.memory, c.a.Receiving(&second, nil), c.b.Receiving(&second, nil))
					return fmt.Sprint(first, second), nil
				},
				"sender": func(_ context.Context, env *racelab.Env) (racelab.Value, error) {
					env.Process.(channels).a.Send(3)
					return nil, nil
				},
			},
		}},
	}
}

// Which of several cases a select takes is a choice, in serial runs too: what
// only the second case gives is neither missed nor a violation.
func TestASelectTakesAnyOfItsCases(t *testing.T) {
	sel, server := selectedInMemory(t, choosing())
	for _, reduced := range []bool{false, true} {
		x, err := sel.Explore(t.Context(), server, stage.Exploration{Reduced: reduced})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range x.Outcomes {
			got = append(got, o.Results)
			if !o.Serial {
				t.Errorf("reduced %v: %s is not serial", reduced, o.Results)
			}
		}
		slices.Sort(got)
		want := []string{"A.1 ok ('1 2'), B.1 ok", "A.1 ok ('1 3'), B.1 ok", "A.1 ok ('2 1'), B.1 ok"}
		if !slices.Equal(got, want) || !x.Complete || x.Violations > 0 {
			t.Errorf("reduced %v: %q, complete %v, %d violations", reduced, got, x.Complete, x.Violations)
		}
	}
}

func TestACaseIsReplayed(t *testing.T) {
	sel, server := selectedInMemory(t, choosing())
	cell := open(t, sel, server)
	for text, fits := range map[string]bool{"A1(case 2) B1 A2": true, "A1(case 2) A2(case 2)": false, "B1(case 2)": false} {
		schedule, err := racelab.ParseSchedule(text)
		if err != nil {
			t.Fatal(err)
		}
		h, err := cell.Run(t.Context(), explore.Plan{Schedule: schedule})
		if (err == nil) != fits {
			t.Errorf("%s: %v", text, err)
		}
		if got := explore.ScheduleOf(h).String(); fits && got != text {
			t.Errorf("%s ran as %s", text, got)
		}
	}
}
