package mem

import (
	"slices"

	"github.com/racelab/racelab"
)

// A Semaphore is a number of permits, of which each session may take some. Who
// waits for many does not keep those out who want few. It must not be copied.
type Semaphore struct {
	object
	free monitor

	takes, releases []racelab.Touch
	size, available int
	held            map[racelab.SessionID]int
}

// NewSemaphore makes a semaphore of so many permits. It panics if that is less
// than 0, and so do the operations on less than 0 permits.
func NewSemaphore(m *racelab.Memory, name string, permits int) *Semaphore {
	notNegative(permits)
	s := &Semaphore{size: permits, available: permits, held: map[racelab.SessionID]int{}}
	s.free.init()
	s.init(m, name)
	s.takes, s.releases = s.touch(takes), s.touch(releases)
	return s
}

func notNegative(permits int) {
	if permits < 0 {
		panic("mem: less than no permits")
	}
}

// Acquire waits until n permits are there and takes them.
func (s *Semaphore) Acquire(n int) {
	notNegative(n)
	if s.gate == nil {
		s.free.when(func() bool { return n <= s.available }, func() { s.available -= n })
		return
	}
	id := s.pass(racelab.Acquire, "acquire "+s.some(n), &claim{s, n}, s.takes)
	s.take(id, n)
	s.gate.Done(ok)
}

// TryAcquire takes n permits if they are there, and reports whether it has.
func (s *Semaphore) TryAcquire(n int) (taken bool) {
	notNegative(n)
	if s.gate == nil {
		s.free.mu.Lock()
		defer s.free.mu.Unlock()
		if taken = n <= s.available; taken {
			s.available -= n
		}
		return taken
	}
	id := s.pass(racelab.Try, "try to acquire "+s.some(n), nil, s.takes)
	if taken = n <= s.available; taken {
		s.take(id, n)
	}
	s.gate.Done(saw(taken))
	return taken
}

// Release gives n permits back, whoever has taken them. To give back more than
// are taken panics, and under control ends the session.
func (s *Semaphore) Release(n int) {
	notNegative(n)
	const misuse = "semaphore: released more than held"
	if s.gate == nil {
		s.free.now(func() {
			if s.available+n > s.size {
				panic(misuse)
			}
			s.available += n
		})
		return
	}
	id := s.pass(racelab.Release, "release "+s.some(n), nil, s.releases)
	if s.available+n > s.size {
		s.gate.Misused(misuse)
	}
	s.available += n
	for _, whose := range append([]racelab.SessionID{id}, holding(s.held)...) {
		back := min(n, s.held[whose])
		s.held[whose] -= back
		n -= back
	}
	s.gate.Done(ok)
}

func (s *Semaphore) take(id racelab.SessionID, n int) {
	s.available -= n
	s.held[id] += n
}

// some says how many permits of the semaphore.
func (s *Semaphore) some(n int) string {
	if n == 1 {
		return s.name
	}
	return textOf(n) + " of " + s.name
}

// A claim is to permits of a semaphore.
type claim struct {
	of *Semaphore
	n  int
}

// Open implements racelab.Latch.
func (c *claim) Open(racelab.SessionID) bool { return c.n <= c.of.available }

// Holders implements racelab.Latch.
func (c *claim) Holders(id racelab.SessionID) []racelab.SessionID {
	all := holding(c.of.held)
	if len(all) > 1 { // what it has itself is not what it waits for
		all = slices.DeleteFunc(all, func(h racelab.SessionID) bool { return h == id })
	}
	return all
}
