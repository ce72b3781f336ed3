package mem

import (
	"maps"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"sync/atomic"

	"github.com/racelab/racelab"
)

// An object is what all values of shared memory have: a name and a gate.
type object struct {
	gate racelab.MemoryGate // nil is free running
	name string
	pcs  [1]uintptr // of the operation's caller
}

// init gives the object its name and gate.
func (o *object) init(m *racelab.Memory, name string) {
	o.name = name
	if m == nil || m.Gate == nil {
		return
	}
	o.gate, o.name = m.Gate, m.Name(name)
}

// pass returns when an operation may be done, and says whose it is. It is
// called by what a session calls.
func (o *object) pass(kind racelab.OpKind, text string, latch racelab.Latch, touches ...racelab.Touch) racelab.SessionID {
	return o.gate.Pass(racelab.Op{Kind: kind, Text: text, Latch: latch, Touches: touches, Pos: caller(&o.pcs)})
}

// ok is the result of an operation that returns nothing.
var ok = racelab.Result{Class: racelab.OK}

// saw is the result of one that returns a value.
func saw(v any) racelab.Result { return racelab.Result{Class: racelab.OK, Value: valueOf(v)} }

// valueOf brings a value to what a history holds. Of a pointer that is its
// type: where it points to is another place in each run.
func valueOf(v any) racelab.Value {
	switch v.(type) {
	case nil, bool, int, int64, string, float64:
		return racelab.ValueOf(v)
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Chan, reflect.UnsafePointer, reflect.Map:
		if r.IsNil() {
			return nil
		}
		return r.Type().String()
	}
	return racelab.ValueOf(v)
}

// places are the lines of code that operations were called at, by address: a
// map that is replaced when there is another one.
var places atomic.Pointer[map[uintptr]string]

// caller is the line of code that called the operation of a value: the first
// above this package.
func caller(pcs *[1]uintptr) string {
	runtime.Callers(4, pcs[:])
	known := places.Load()
	if known != nil {
		if place, ok := (*known)[pcs[0]]; ok {
			return place
		}
	}
	f, _ := runtime.CallersFrames(pcs[:]).Next()
	place := filepath.Base(f.File) + ":" + strconv.Itoa(f.Line)
	more := map[uintptr]string{pcs[0]: place}
	if known != nil {
		maps.Copy(more, *known)
	}
	places.Store(&more) // what another goroutine has added meanwhile is found again
	return place
}
