package mem

import (
	"strings"
	"sync"

	"github.com/racelab/racelab"
)

// An Output is where sessions print: each write is done at once, and between
// two writes of the same message others may print theirs. It must not be
// copied.
type Output struct {
	object
	free sync.Mutex
	text strings.Builder

	read         string // text
	writes, sees []racelab.Touch
}

// NewOutput makes an output that is empty. What is printed is part of a run's
// final state.
func NewOutput(m *racelab.Memory, name string) *Output {
	o := &Output{}
	o.init(m, name)
	o.read = "read " + o.name
	o.writes, o.sees = o.touch(releases), o.touch(reads)
	m.Share(o.name, func() racelab.Value { return o.text.String() })
	return o
}

// Print writes a message in parts, each of which is a step: Python's print
// writes what it is given and then the end of the line.
func (o *Output) Print(parts ...string) {
	line := caller(o.gate)
	for _, part := range parts {
		o.write(line, part)
	}
}

// Write writes p at once, as one step. It returns len(p) and no error.
func (o *Output) Write(p []byte) (int, error) {
	line := caller(o.gate)
	o.write(line, string(p))
	return len(p), nil
}

func (o *Output) write(line, part string) {
	if o.gate == nil {
		o.free.Lock()
		defer o.free.Unlock()
		o.text.WriteString(part)
		return
	}
	o.passAt(line, racelab.Store, "write "+textOf(part)+" to "+o.name, nil, o.writes)
	o.text.WriteString(part)
	o.gate.Done(ok)
}

// String returns what has been printed. It is a step, too.
func (o *Output) String() string {
	if o.gate == nil {
		o.free.Lock()
		defer o.free.Unlock()
		return o.text.String()
	}
	o.pass(racelab.Load, o.read, nil, o.sees)
	s := o.text.String()
	o.gate.Done(saw(s))
	return s
}
