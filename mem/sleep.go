package mem

import (
	"time"

	"github.com/racelab/racelab"
)

// Sleep lets d pass. Under control the time is virtual: it passes only when a
// schedule says so, or when nobody can do anything else. A nil memory is free
// running.
func Sleep(memory racelab.Memory, d time.Duration) {
	if memory == nil {
		time.Sleep(d)
		return
	}
	op := racelab.Op{Kind: racelab.Sleep, Text: "sleep " + d.String(), Wakes: memory.Now() + d}
	memory.Pass(op, func(racelab.SessionID) {})
}
