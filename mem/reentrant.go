package mem

import "github.com/racelab/racelab"

// A ReentrantMutex can be locked again by whoever has it: Python's RLock. It
// must not be copied.
//
// Go does not tell goroutines apart, so who locks says who it is, with any
// value that can be compared and that is its own: a body of a scenario has its
// Env. Two goroutines that call themselves the same are the same.
type ReentrantMutex struct {
	object
	free monitor

	lock, try, unlock string // texts
	takes, releases   []racelab.Touch
	owner             any
	count             int // how many times the owner has locked it
	holder            racelab.SessionID
}

// NewReentrantMutex makes an unlocked mutex.
func NewReentrantMutex(m *racelab.Memory, name string) *ReentrantMutex {
	r := &ReentrantMutex{}
	r.free.init()
	r.init(m, name)
	r.lock, r.try, r.unlock = "lock "+r.name, "try to lock "+r.name, "unlock "+r.name
	r.takes, r.releases = r.touch(takes), r.touch(releases)
	return r
}

// Lock waits until nobody but the owner has the mutex, and takes it once more.
func (r *ReentrantMutex) Lock(owner any) {
	if r.gate == nil {
		r.free.when(func() bool { return r.isFor(owner) }, func() { r.take(owner, "") })
		return
	}
	s := r.pass(racelab.Acquire, r.lock, &reentry{r, owner}, r.takes)
	r.take(owner, s)
	r.gate.Done(ok)
}

// TryLock takes the mutex if nobody else has it, and reports whether it has.
func (r *ReentrantMutex) TryLock(owner any) (taken bool) {
	if r.gate == nil {
		r.free.mu.Lock()
		defer r.free.mu.Unlock()
		if taken = r.isFor(owner); taken {
			r.take(owner, "")
		}
		return taken
	}
	s := r.pass(racelab.Try, r.try, nil, r.takes)
	if taken = r.isFor(owner); taken {
		r.take(owner, s)
	}
	r.gate.Done(saw(taken))
	return taken
}

// Unlock gives the mutex up as many times as it is called. For anybody but its
// owner that panics, and under control ends the session.
func (r *ReentrantMutex) Unlock(owner any) {
	const misuse = "mem: unlock of a reentrant mutex that is not its owner's"
	if r.gate == nil {
		r.free.now(func() {
			if r.count == 0 || r.owner != owner {
				panic(misuse)
			}
			r.give()
		})
		return
	}
	r.pass(racelab.Release, r.unlock, nil, r.releases)
	if r.count == 0 || r.owner != owner {
		r.gate.Misused(misuse)
	}
	r.give()
	r.gate.Done(ok)
}

func (r *ReentrantMutex) isFor(owner any) bool { return r.count == 0 || r.owner == owner }

func (r *ReentrantMutex) take(owner any, s racelab.SessionID) {
	if r.count == 0 {
		r.owner, r.holder = owner, s
	}
	r.count++
}

func (r *ReentrantMutex) give() {
	if r.count--; r.count == 0 {
		r.owner, r.holder = nil, ""
	}
}

// A reentry is an owner's way into a mutex.
type reentry struct {
	of    *ReentrantMutex
	owner any
}

// Open implements racelab.Latch.
func (r *reentry) Open(racelab.SessionID) bool { return r.of.isFor(r.owner) }

// Holders implements racelab.Latch.
func (r *reentry) Holders(racelab.SessionID) []racelab.SessionID {
	if r.of.isFor(r.owner) {
		return nil
	}
	return []racelab.SessionID{r.of.holder}
}
