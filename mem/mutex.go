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
	memory racelab.Memory
	free   sync.Mutex

	taken  bool
	holder racelab.SessionID
}

// NewMutex makes an unlocked mutex. A nil memory is free running.
func NewMutex(memory racelab.Memory) *Mutex { return &Mutex{memory: memory} }

// Lock waits until the mutex is free and takes it.
func (m *Mutex) Lock() {
	if m.memory == nil {
		m.free.Lock()
		return
	}
	op := racelab.Op{Kind: racelab.Acquire, Text: "lock the mutex", Obstacles: m.holders}
	m.memory.Pass(op, func(s racelab.SessionID) { m.taken, m.holder = true, s })
}

// Unlock frees the mutex. It panics if the mutex is not locked.
func (m *Mutex) Unlock() {
	if m.memory == nil {
		m.free.Unlock()
		return
	}
	m.memory.Pass(racelab.Op{Kind: racelab.Release, Text: "unlock the mutex"}, func(racelab.SessionID) {
		if !m.taken {
			panic("mem: unlock of an unlocked mutex")
		}
		m.taken, m.holder = false, ""
	})
}

func (m *Mutex) holders() []racelab.SessionID {
	if m.taken {
		return []racelab.SessionID{m.holder}
	}
	return nil
}
