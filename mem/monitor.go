package mem

import "sync"

// A monitor is what those primitives are built of in free running that Go does
// not have.
type monitor struct {
	mu      sync.Mutex
	changed sync.Cond
}

func (m *monitor) init() { m.changed.L = &m.mu }

// when waits until open reports true, and then does what may be done.
func (m *monitor) when(open func() bool, do func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for !open() {
		m.changed.Wait()
	}
	do()
}

// now does something that those who wait may have waited for.
func (m *monitor) now(do func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	do()
	m.changed.Broadcast()
}
