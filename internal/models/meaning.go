package models

import "strings"

const (
	faster = 1.3  // a speed-up that is one, and no accident
	small  = 1000 // microseconds that a small task takes
)

// meaning is what a row comes to: whether its workers compute at the same time,
// which follows from their processors, and, as the talk has it, what the model
// is best for. How much faster they are is measured, and stands beside it: on a
// machine that is busy with something else that may be nothing.
func (r Row) meaning(processors int) (execution, best string) {
	execution = "concurrent"
	if processors > 1 {
		execution = "parallel"
	}
	size := "larger tasks" // that are worth a start and the way there and back
	if r.StartUS+r.ThereUS < small/10 {
		size = "small tasks"
	}
	var bound []string
	if processors > 1 {
		bound = append(bound, "CPU-bound")
	}
	if r.Wait >= faster {
		bound = append(bound, "IO-bound")
	}
	if bound == nil {
		return execution, "nothing here: several are not faster than one"
	}
	share := "what they share needs a lock"
	if r.Exchange != "pointer" {
		share = "they share nothing, and send what they exchange"
	}
	return execution, size + ", " + strings.Join(bound, " or ") + "; " + share
}
