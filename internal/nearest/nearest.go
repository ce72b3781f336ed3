// Package nearest says what somebody may have meant.
package nearest

import (
	"fmt"
	"strings"
)

// Unknown is the error for a name that is not among those known: it suggests
// the nearest, or lists them.
func Unknown(what, name string, known []string) error {
	best, distance := "", len(name)/2+1
	for _, k := range known {
		if d := levenshtein(strings.ToLower(name), strings.ToLower(k)); d < distance {
			best, distance = k, d
		}
	}
	if best != "" {
		return fmt.Errorf("unknown %s %q: did you mean %s?", what, name, best)
	}
	return fmt.Errorf("unknown %s %q: there is %s", what, name, strings.Join(known, ", "))
}

// levenshtein counts the edits between two strings, by the algorithm of
// Wagner and Fischer (1974) with one row kept.
func levenshtein(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
