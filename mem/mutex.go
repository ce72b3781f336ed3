package mem

import (
	"sync"

	"github.com/racelab/racelab"
)

// A Mutex excludes the sessions of its own process, and nobody else. In free
// running it is a sync.Mutex; under control Lock and Unlock are steps, and a
// session that wants a mutex that is taken cannot be let in. It must not be
// copied.
type Mutex struct {
	object
	free sync.Mutex

	lock, try, unlock string // texts
	takes, releases   []racelab.Touch
	taken             bool
	holder            racelab.SessionID
}

// NewMutex makes an unlocked mutex.
func NewMutex(m *racelab.Memory, name string) *Mutex {
	mu := &Mutex{}
	mu.init(m, name)
	mu.lock, mu.try, mu.unlock = "lock "+mu.name, "try to lock "+mu.name, "unlock "+mu.name
	mu.takes, mu.releases = mu.touch(takes), mu.touch(releases)
	return mu
}

// Lock waits until the mutex is free and takes it.
func (m *Mutex) Lock() {
	if m.gate == nil {
		m.free.Lock()
		return
	}
	s := m.pass(racelab.Acquire, m.lock, m, m.takes)
	m.taken, m.holder = true, s
	m.gate.Done(ok)
}

// TryLock takes the mutex if it is free, and reports whether it has.
func (m *Mutex) TryLock() bool {
	if m.gate == nil {
		return m.free.TryLock()
	}
	s := m.pass(racelab.Try, m.try, nil, m.takes)
	taken := !m.taken
	if taken {
		m.taken, m.holder = true, s
	}
	m.gate.Done(saw(taken))
	return taken
}

// Unlock frees the mutex, whoever has taken it. To unlock what is not locked
// ends the program, and under control the session.
func (m *Mutex) Unlock() {
	if m.gate == nil {
		m.free.Unlock()
		return
	}
	m.pass(racelab.Release, m.unlock, nil, m.releases)
	if !m.taken {
		m.gate.Misused("sync: unlock of unlocked mutex")
	}
	m.taken, m.holder = false, ""
	m.gate.Done(ok)
}

// Open implements racelab.Latch.
func (m *Mutex) Open(racelab.SessionID) bool { return !m.taken }

// Holders implements racelab.Latch.
func (m *Mutex) Holders(racelab.SessionID) []racelab.SessionID {
	if m.taken {
		return []racelab.SessionID{m.holder}
	}
	return nil
}
