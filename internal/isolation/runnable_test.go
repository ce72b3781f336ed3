package isolation_test

import (
	"strings"

	"github.com/racelab/racelab/internal/spec"
)

// runnable returns the test with those of its permutations that came to an end,
// named one by one, and the others, given what racelab printed for all.
func runnable(s *spec.Spec, printed string) (runnable, stuck *spec.Spec) {
	with := func(permutations []spec.Permutation) *spec.Spec {
		c := *s
		c.Permutations = permutations
		return &c
	}
	var can, cannot []spec.Permutation
	for i, part := range strings.Split(printed, "\nstarting permutation: ")[1:] {
		var p spec.Permutation
		if len(s.Permutations) > 0 {
			p = s.Permutations[i]
		} else {
			head, _, _ := strings.Cut(part, "\n")
			for _, name := range strings.Fields(head) {
				p = append(p, spec.Scheduled{Step: name})
			}
		}
		if strings.Contains(part, "\nracelab: ") {
			cannot = append(cannot, p)
		} else {
			can = append(can, p)
		}
	}
	return with(can), with(cannot)
}
