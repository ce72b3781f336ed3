package control

import (
	"sync/atomic"
	"time"

	"github.com/racelab/racelab"
)

// An Engine is what a director asks of a world, and what it has learned of it
// in earlier runs. Close frees what it holds; the world is not its own.
type Engine struct {
	World   racelab.World
	Dialect racelab.Dialect
	Level   racelab.Level
	locking map[string]racelab.Locking // by text
	beat    *time.Ticker
	idle    []*player
	// Meets reports whether an operation may want a lock that one which is done
	// holds; nil is always. Where it is wrong, a wait is only noticed later.
	Meets func(op racelab.Op, held Held) bool
	// StepLimit is how long a step may take, in the engine or in a session's
	// own code, without anybody's being waited for: then control is lost.
	StepLimit time.Duration
	// Steps is how many a run may have: then it is taken to have no end.
	Steps    int
	loop     *loop         // of sessions that have nothing but shared memory
	together bool          // it is the loop that directs
	trail    trail         // at its beginning, for those sessions
	seats    []*seat       // of theirs, to be used again
	ran      bool          // it has directed a run
	stray    atomic.Bool   // a goroutine that is no session has come when its run was over
	choices  int           // the most that a run has had
	events   int           // the same
	patient  time.Duration // how long a session waits until it looks for a deadlock that it closes
}

// NewEngine prepares for directing runs in a world. One that has no SQL is never
// asked anything.
func NewEngine(w racelab.World, d racelab.Dialect, l racelab.Level) *Engine {
	return &Engine{World: w, Dialect: d, Level: l, locking: map[string]racelab.Locking{}, trail: newTrail(), beat: time.NewTicker(beat), patient: 2 * time.Millisecond, StepLimit: 30 * time.Second, Steps: MostSteps}
}

// inTurn reports whether sessions take turns in one goroutine: where they have
// nothing but shared memory, none of them waits outside the gate.
func (e *Engine) inTurn() bool { return e.Dialect.Features&racelab.SQL == 0 }

// MostSteps is how many steps a run may have if nobody says.
const MostSteps = 2000

// Wait makes sessions wait longer before they look for deadlocks, in this
// engine's runs from now on: after ErrLate.
func (e *Engine) Wait() { e.patient *= 4 }

// Forget says that the sessions' code is another one from now on.
func (e *Engine) Forget() { e.trail = newTrail() }

// Close frees the engine.
func (e *Engine) Close() {
	e.beat.Stop()
	if e.loop != nil {
		e.loop.close()
		e.loop.both.Wait()
	}
	for _, p := range e.idle {
		p.close()
	}
	e.idle = nil
}

// beat is when a director that hears nothing looks up. One ticker for all runs
// costs less than a timer for each wait. What is asked then decides, not the time.
const beat = 2 * time.Millisecond

// again is a director in the memory of the last one, if there was one.
func (e *Engine) again() *Director {
	if e.loop == nil || e.loop.last == nil {
		return &Director{engine: e}
	}
	d := e.loop.last
	e.loop.last = nil
	e.seats = append(e.seats, d.seats...)
	seats := d.seats[:0]
	*d = Director{engine: e, seats: seats}
	return d
}

// seat is a seat for a script, in the memory of one that is no longer used.
func (e *Engine) seat(script Script) *seat {
	n := len(e.seats)
	if n == 0 {
		return &seat{script: script}
	}
	s := e.seats[n-1]
	e.seats = e.seats[:n-1]
	*s = seat{script: script}
	return s
}
