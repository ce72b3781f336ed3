package mem

import "sync"

// A Mutex is a sync.Mutex: it excludes the goroutines of its own process, and
// nobody else. The zero value is unlocked. It must not be copied.
type Mutex struct{ mu sync.Mutex }

// Lock waits until the mutex is free and takes it.
func (m *Mutex) Lock() { m.mu.Lock() }

// Unlock frees the mutex. It is a run-time error if it is not locked.
func (m *Mutex) Unlock() { m.mu.Unlock() }
