package racelab

import (
	"context"
	"time"
)

// A Gate is what every operation of every session passes. It has two halves,
// because an engine may finish several operations at once (one COMMIT frees
// three waiting sessions) while a schedule lets one session go on at a time.
type Gate interface {
	// Enter returns when op may be given to the engine, with what the gate
	// knows of it filled in: its call and its step number, the fault that is to
	// happen to it, and whether it is to lose a deadlock. An error ends the
	// operation unrun.
	Enter(ctx context.Context, op Op) (Op, error)
	// Leave returns when the session may see the result.
	Leave(ctx context.Context, op Op, r Result) error
}

// Memory is how shared memory reaches the gate under control: one session runs
// its own code at a time, so an operation is that session's.
type Memory interface {
	// Pass lets op pass the gate; do is what it does to the memory. It does
	// not return if the run is over.
	Pass(op Op, do func(SessionID))
	// Now is the virtual time since the run began. It passes only by a
	// schedule's ticks.
	Now() time.Duration
}
