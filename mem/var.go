package mem

import "github.com/racelab/racelab"

// A Var is a plain variable. Two sessions that use it at the same time, one of
// them to write, with nothing that orders them, race. It must not be copied.
type Var[T any] struct {
	object
	value         T
	both          [2]racelab.Touch
	load, store   string // texts
	reads, writes []racelab.Touch
}

// NewVar makes a variable. Its value is part of a run's final state. Of a
// pointer that is only its type: what it points to is compared if a call returns
// it, or if it is in a Var itself.
func NewVar[T any](m *racelab.Memory, name string, value T) *Var[T] {
	v := &Var[T]{value: value}
	v.init(m, name)
	v.load, v.store = "load "+v.name, "store "+v.name
	v.both = [2]racelab.Touch{{Object: v.name, Mode: racelab.Reads}, {Object: v.name, Mode: racelab.Writes}}
	v.reads, v.writes = v.both[:1], v.both[1:]
	m.Share(v.name, func() racelab.Value { return valueOf(v.value) })
	return v
}

// Load returns the value.
func (v *Var[T]) Load() T {
	if v.gate == nil {
		return v.value
	}
	v.pass(racelab.Load, v.load, nil, v.reads)
	x := v.value
	v.gate.Done(saw(x))
	return x
}

// Store replaces the value.
func (v *Var[T]) Store(x T) {
	if v.gate == nil {
		v.value = x
		return
	}
	v.pass(racelab.Store, v.store, nil, v.writes)
	v.value = x
	v.gate.Done(saw(x))
}
