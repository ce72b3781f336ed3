package mem

import (
	"maps"
	"slices"
	"sync"

	"github.com/racelab/racelab"
)

// An RWMutex lets many sessions read or one write, those of its own process and
// nobody else. In free running it is a sync.RWMutex. As there, a writer that
// waits keeps new readers out: a session that takes the read lock a second time
// can wait for itself, with a writer in between. It must not be copied.
//
// Under control each method is one step. Only a Lock that finds readers is two:
// it keeps new readers out, and goes on when those before it have gone.
type RWMutex struct {
	object
	free sync.RWMutex

	lock, try, unlock, rlock, tryR, runlock string // texts
	locks, unlocks                          []racelab.Touch
	readersName                             string

	writing bool // a writer holds it, or waits for the readers to go
	locked  bool // it holds it
	writer  racelab.SessionID
	readers int
	// own counts the read locks of each session that it has not given up
	// itself. In Go anybody may do that for it, and then mixed is true: from
	// then on it matters in which order readers come and go.
	own   map[racelab.SessionID]int
	mixed bool
}

// NewRWMutex makes an unlocked mutex.
func NewRWMutex(m *racelab.Memory, name string) *RWMutex {
	rw := &RWMutex{own: map[racelab.SessionID]int{}}
	rw.init(m, name)
	rw.lock, rw.try, rw.unlock = "lock "+rw.name, "try to lock "+rw.name, "unlock "+rw.name
	rw.rlock, rw.tryR, rw.runlock = "read-lock "+rw.name, "try to read-lock "+rw.name, "read-unlock "+rw.name
	// A reader comes after the writers before it, and not after other readers.
	rw.readersName = racelab.PartOf(rw.name, "readers")
	rw.locks = append(rw.touch(takes), racelab.Touch{Object: rw.readersName, Mode: racelab.Acquires})
	rw.unlocks = rw.touch(releases)
	return rw
}

// Lock waits until nobody reads or writes, and takes the mutex to write.
func (rw *RWMutex) Lock() {
	if rw.gate == nil {
		rw.free.Lock()
		return
	}
	line := caller(rw.gate)
	s := rw.passAt(line, racelab.Acquire, rw.lock, (*unwritten)(rw), rw.locks)
	rw.writing, rw.writer = true, s
	if rw.readers > 0 {
		rw.gate.Done(ok)
		rw.passAt(line, racelab.Acquire, rw.lock+goOn, (*unread)(rw), rw.locks)
	}
	rw.locked = true
	rw.gate.Done(ok)
}

// TryLock takes the mutex to write if nobody has it, and reports whether it has.
func (rw *RWMutex) TryLock() bool {
	if rw.gate == nil {
		return rw.free.TryLock()
	}
	s := rw.pass(racelab.Try, rw.try, nil, rw.locks)
	taken := !rw.writing && rw.readers == 0
	if taken {
		rw.writing, rw.locked, rw.writer = true, true, s
	}
	rw.gate.Done(saw(taken))
	return taken
}

// Unlock ends writing, whoever has begun it. To unlock what is not locked ends
// the program, and under control the session.
func (rw *RWMutex) Unlock() {
	if rw.gate == nil {
		rw.free.Unlock()
		return
	}
	rw.pass(racelab.Release, rw.unlock, nil, rw.unlocks)
	if !rw.locked {
		rw.gate.Misused("sync: Unlock of unlocked RWMutex")
	}
	rw.writing, rw.locked, rw.writer = false, false, ""
	rw.gate.Done(ok)
}

// RLock waits until nobody writes or waits to write, and takes the mutex to
// read.
func (rw *RWMutex) RLock() {
	if rw.gate == nil {
		rw.free.RLock()
		return
	}
	touches := rw.touch(reads)
	s := rw.pass(racelab.Acquire, rw.rlock, (*unwritten)(rw), touches)
	rw.enter(s, touches)
	rw.gate.Done(ok)
}

// TryRLock takes the mutex to read if nobody writes or waits to write, and
// reports whether it has.
func (rw *RWMutex) TryRLock() bool {
	if rw.gate == nil {
		return rw.free.TryRLock()
	}
	touches := rw.touch(reads)
	s := rw.pass(racelab.Try, rw.tryR, nil, touches)
	taken := !rw.writing
	if taken {
		rw.enter(s, touches)
	}
	rw.gate.Done(saw(taken))
	return taken
}

// enter counts a reader.
func (rw *RWMutex) enter(s racelab.SessionID, touches []racelab.Touch) {
	rw.readers++
	rw.own[s]++
	if rw.mixed {
		touches[0].Mode = takes
	}
}

// RUnlock ends reading. To do that when nobody reads ends the program, and
// under control the session.
func (rw *RWMutex) RUnlock() {
	if rw.gate == nil {
		rw.free.RUnlock()
		return
	}
	touches := []racelab.Touch{{Object: rw.name, Mode: reads}, {Object: rw.readersName, Mode: racelab.Releases}}
	s := rw.pass(racelab.Release, rw.runlock, nil, touches)
	rw.mixed = rw.mixed || rw.own[s] == 0
	if rw.mixed {
		touches[0].Mode = takes
	}
	rw.own[s] = max(rw.own[s]-1, 0)
	if rw.readers == 0 {
		rw.gate.Misused("sync: RUnlock of unlocked RWMutex")
	}
	rw.readers--
	rw.gate.Done(ok)
}

// unwritten is open while nobody writes or waits to.
type unwritten RWMutex

// Open implements racelab.Latch.
func (rw *unwritten) Open(racelab.SessionID) bool { return !rw.writing }

// Holders implements racelab.Latch.
func (rw *unwritten) Holders(racelab.SessionID) []racelab.SessionID {
	if rw.writing {
		return []racelab.SessionID{rw.writer}
	}
	return nil
}

// unread is open while nobody reads.
type unread RWMutex

// Open implements racelab.Latch.
func (rw *unread) Open(racelab.SessionID) bool { return rw.readers == 0 }

// Holders implements racelab.Latch.
func (rw *unread) Holders(racelab.SessionID) []racelab.SessionID { return holding(rw.own) }

// holding lists the sessions that have some of what is counted, in order.
func holding(own map[racelab.SessionID]int) []racelab.SessionID {
	var ids []racelab.SessionID
	for _, id := range slices.Sorted(maps.Keys(own)) {
		if own[id] > 0 {
			ids = append(ids, id)
		}
	}
	return ids
}
