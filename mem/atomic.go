package mem

import (
	"sync/atomic"

	"github.com/racelab/racelab"
)

// An Atomic is a variable whose operations are done at once, and order what
// different sessions do: whoever sees a value comes after whoever stored it. It
// must not be copied. In free running it is an atomic.Pointer.
type Atomic[T comparable] struct {
	object
	free  atomic.Pointer[T]
	value T

	load, store, swap, compare, add string // texts
	reads, writes, updates          []racelab.Touch
}

// An Integer is what Add adds to.
type Integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

// NewAtomic makes an atomic variable. Its value is part of a run's final state. Of a
// pointer that is only its type: what it points to is compared if a call returns
// it, or if it is in a Var itself.
func NewAtomic[T comparable](m *racelab.Memory, name string, value T) *Atomic[T] {
	a := &Atomic[T]{value: value}
	a.free.Store(&value)
	a.init(m, name)
	a.load, a.store, a.swap, a.compare, a.add = "load "+a.name, "store "+a.name, "swap "+a.name, "compare and swap "+a.name, "add to "+a.name
	a.reads, a.writes, a.updates = a.touch(reads), a.touch(releases), a.touch(updates)
	m.Share(a.name, func() racelab.Value {
		if a.gate == nil {
			return valueOf(*a.free.Load())
		}
		return valueOf(a.value)
	})
	return a
}

// Load returns the value.
func (a *Atomic[T]) Load() T {
	if a.gate == nil {
		return *a.free.Load()
	}
	a.pass(racelab.Load, a.load, nil, a.reads)
	x := a.value
	a.gate.Done(saw(x))
	return x
}

// Store replaces the value.
func (a *Atomic[T]) Store(x T) {
	if a.gate == nil {
		a.free.Store(&x)
		return
	}
	a.pass(racelab.Store, a.store, nil, a.writes)
	a.value = x
	a.gate.Done(saw(x))
}

// Swap replaces the value and returns the one before.
func (a *Atomic[T]) Swap(x T) (before T) {
	if a.gate == nil {
		return *a.free.Swap(&x)
	}
	a.pass(racelab.Update, a.swap, nil, a.updates)
	before, a.value = a.value, x
	a.gate.Done(saw(before))
	return before
}

// CompareAndSwap replaces the value if it is the old one, and reports whether
// it was.
func (a *Atomic[T]) CompareAndSwap(old, x T) (swapped bool) {
	if a.gate == nil {
		for {
			is := a.free.Load()
			if *is != old {
				return false
			}
			if a.free.CompareAndSwap(is, &x) {
				return true
			}
		}
	}
	touches := a.touch(updates)
	a.pass(racelab.Update, a.compare, nil, touches)
	if swapped = a.value == old; swapped {
		a.value = x
	} else {
		touches[0].Mode = reads // there is nothing of it that others could see
	}
	a.gate.Done(saw(swapped))
	return swapped
}

// Add adds to an atomic number and returns the sum. It is a function because a
// method could not ask for a number.
func Add[T Integer](a *Atomic[T], delta T) (sum T) {
	if a.gate == nil {
		for {
			is := a.free.Load()
			sum = *is + delta
			if a.free.CompareAndSwap(is, &sum) {
				return sum
			}
		}
	}
	a.pass(racelab.Update, a.add, nil, a.updates)
	a.value += delta
	sum = a.value
	a.gate.Done(saw(sum))
	return sum
}
