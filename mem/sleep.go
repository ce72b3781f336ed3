package mem

import (
	"runtime"
	"time"

	"github.com/racelab/racelab"
)

// Sleep lets d pass. Under control the time is virtual: it passes only when a
// schedule says so, or when nobody can do anything else.
func Sleep(m *racelab.Memory, d time.Duration) {
	if m == nil || m.Gate == nil {
		time.Sleep(d)
		return
	}
	m.Gate.Pass(racelab.Op{Kind: racelab.Sleep, Text: "sleep " + d.String(), Wakes: m.Gate.Now() + d, Pos: caller(m.Gate)})
	m.Gate.Done(ok)
}

// Gosched lets another session go first, if one can. A loop that waits for what
// another session does has to call it: under control nobody interrupts it.
func Gosched(m *racelab.Memory) {
	if m == nil || m.Gate == nil {
		runtime.Gosched()
		return
	}
	m.Gate.Pass(racelab.Op{Kind: racelab.Yield, Text: "yield", Pos: caller(m.Gate)})
	m.Gate.Done(ok)
}

// Go runs f beside the session that calls it. Under control it is a session of
// its own: Aa is the first that A starts. A panic ends it and is a finding,
// where in free running it ends the program.
func Go(m *racelab.Memory, f func()) {
	switch {
	case m == nil:
		go f()
	case m.Gate == nil:
		m.Go(f)
	default:
		m.Gate.Go(racelab.Op{Kind: racelab.Spawn, Text: "go", Pos: caller(m.Gate)}, f)
	}
}
