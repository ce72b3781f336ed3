package control

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/racelab/racelab"
)

// A state is what a session is doing.
type state uint8

const (
	ownCode  state = iota
	parked         // before an operation
	inEngine       // its operation runs
	waiting        // its operation waits for another session
	held           // its operation is done, and it may not see the result yet
	done
)

type seat struct {
	script Script
	state  state
	op     racelab.Op     // parked, in the engine or held
	result racelab.Result // held
	turn   int            // waiting: how many had begun to before
	at     int            // where the history has that the operation went in

	gate  sync.Mutex      // one operation of the session at a time
	step  int             // guarded by gate
	ctx   context.Context // of the session, or of the operation
	baton bool            // guarded by gate: the session has it
	enter chan racelab.Op // lets in, as the operation is to be done
	leave chan struct{}   // lets the result be seen
	// pass is open while the session may see its result without asking.
	pass   atomic.Bool
	player *player

	call     racelab.CallID // written in the session's own code
	parent   *seat          // that has started it; nil is of the cast
	children int            // started so far
	root     racelab.CallID // of the parent: the call that it belongs to
	started  chan struct{}  // closed when a session that another has started first comes to the gate
	parkedAt int            // how many decisions there had been
	misused  string         // what has ended it
	passed   racelab.Op     // of shared memory: that is being done
	trail    trail          // of shared memory alone: where in its code it is
	why      string         // what came of it, if it broke

	began map[racelab.ConnID]bool   // connections in a transaction
	holds map[racelab.ConnID][]Held // what may hold locks, by connection
	keeps bool                      // locks that no transaction's end frees
	freed bool                      // the operation may have freed locks
}

func (s *seat) descends(from *seat) bool {
	for ; s != nil; s = s.parent {
		if s.parent == from {
			return true
		}
	}
	return false
}

// rootCall is the call of the cast that the session's next operation belongs
// to.
func (s *seat) rootCall() racelab.CallID {
	if s.parent != nil {
		return s.root
	}
	return s.call
}

// isOpen reports whether nothing of shared memory keeps a parked operation out.
func (s *seat) isOpen() bool { return s.op.Latch == nil || s.op.Latch.Open(s.script.Session) }

// obstacles are the sessions that stand in the way of a parked operation: who
// made what is shared is none.
func (s *seat) obstacles() []racelab.SessionID {
	if s.op.Latch == nil {
		return nil
	}
	return slices.DeleteFunc(s.op.Latch.Holders(s.script.Session), func(id racelab.SessionID) bool { return id == "" })
}
