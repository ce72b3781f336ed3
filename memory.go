package racelab

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Memory is what the sessions of one process share: the values of package
// mem are made in it. Nil is free running outside of any scenario.
type Memory struct {
	// Gate is what operations on the values pass; nil is free running, where
	// the values are Go's own and nothing is recorded.
	Gate MemoryGate
	// Process tells simulated processes apart, counted from 0.
	Process int

	started sync.WaitGroup // in free running

	mu      sync.Mutex // in free running, values may be made at the same time
	names   []string
	columns []string // the names of what is shared
	shared  []func() Value
	few     struct { // their first elements: a memory is made for each run
		names, columns [4]string
		shared         [4]func() Value
	}
}

// A MemoryGate lets operations on shared memory pass under control. One session
// runs its own code at a time, so an operation is that session's.
type MemoryGate interface {
	// Line is where the line of code that asks for the session's next operation
	// is kept: it points to "" if that has to be looked up, and is then to be
	// written there.
	Line() *string
	// Pass returns when op may be done, and says whose it is and which of its
	// cases is to be taken. It does not return if the run is over.
	Pass(op Op) (SessionID, int)
	// Done says what came of the operation that has passed. It returns when
	// the session may go on.
	Done(Result)
	// Misused ends the session at the operation that has passed, because what
	// it asks for must not be: to unlock what is not locked.
	Misused(message string)
	// Go starts a session beside the one that runs. It is a step of the latter.
	Go(op Op, body func())
	// Now is the virtual time since the run began. It passes only by a
	// schedule's ticks.
	Now() time.Duration
}

// Name makes the name of a new value: the one that is asked for if no other of
// the memory has it, and otherwise with a number behind it. In another
// simulated process the same value has another name. The numbers mean the same
// in each run only if the values are made in the same order: before the first
// session begins.
func (m *Memory) Name(name string) string {
	if m == nil {
		return name
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for base, n := name, 2; slices.Contains(m.names, name); n++ {
		name = base + " " + strconv.Itoa(n)
	}
	if m.names == nil {
		m.names = m.few.names[:0]
	}
	m.names = append(m.names, name)
	if m.Process > 0 {
		name += " of process " + strconv.Itoa(m.Process+1)
	}
	return name
}

// Share makes a value part of the run's final state, under its name.
func (m *Memory) Share(name string, value func() Value) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.shared == nil {
		m.columns, m.shared = m.few.columns[:0], m.few.shared[:0]
	}
	m.columns, m.shared = append(m.columns, name), append(m.shared, value)
}

// Go runs f beside the session that calls it, in free running.
func (m *Memory) Go(f func()) { m.started.Go(f) }

// Wait waits until what Go has started has ended. No session may be running.
func (m *Memory) Wait() { m.started.Wait() }

// State is what is shared as a table with one row, a column for each value in
// the order in which they were made; none if nothing is shared. No session may
// be running.
func (m *Memory) State() State {
	if m == nil || len(m.shared) == 0 {
		return nil
	}
	state := struct {
		tables [1]Table
		rows   [1][]Value
	}{}
	t := &state.tables[0]
	t.Name, t.Columns, t.Rows = "memory", slices.Clone(m.columns), state.rows[:]
	t.Rows[0] = make([]Value, len(m.shared))
	if m.Process > 0 {
		t.Name += " of process " + strconv.Itoa(m.Process+1)
	}
	for i, value := range m.shared {
		t.Rows[0][i] = value()
	}
	return state.tables[:]
}

// A Touch is what an operation does to a value of shared memory. Two
// operations may be exchanged if they touch nothing in common, or only read it.
type Touch struct {
	Object string // the value's name, or that of a part of it
	Mode   TouchMode
}

// PartOf names a part of a value that is touched by itself, such as a place in a
// channel's buffer. No program has a name for it: people are told the value's.
func PartOf(value, part string) string { return value + partOf + part }

const partOf = "\x00" // which stands in no name that somebody gives

// Value is the name of the value that is touched, wholly or in part.
func (t Touch) Value() string {
	value, _, _ := strings.Cut(t.Object, partOf)
	return value
}

// A TouchMode is a set of ways to touch a value.
type TouchMode uint8

const (
	Reads TouchMode = 1 << iota
	Writes
	// Acquires and Releases order what different sessions do: whoever acquires
	// comes after what was done before the value was released. An operation
	// with neither is plain, and two plain ones race if nothing orders them. A
	// Store that releases takes the place of what was released before it.
	Acquires
	Releases
)

// A Latch keeps an operation on shared memory out as long as it would have to
// wait. Its methods are called while no session runs.
type Latch interface {
	// Open reports whether the session's operation may be let in.
	Open(SessionID) bool
	// Holders are those who keep it out, as far as is known: nobody holds a
	// signal that has not been given.
	Holders(SessionID) []SessionID
}
