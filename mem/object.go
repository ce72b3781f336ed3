package mem

import (
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/racelab/racelab"
)

// An object is what all values of shared memory have: a name and a gate.
type object struct {
	_    noCopy
	gate racelab.MemoryGate // nil is free running
	name string
}

// init gives the object its name and gate.
func (o *object) init(m *racelab.Memory, name string) {
	o.name = m.Name(name)
	if m != nil {
		o.gate = m.Gate
	}
}

// noCopy is what go vet looks for where a value must not be copied.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// pass returns when an operation may be done, and says whose it is. It is
// called by what a session calls.
//
// What some operations touch depends on what they find. They change their
// touches when they have passed: nobody reads them before the run is over.
// That is sound as long as what they find is itself among what they touch.
func (o *object) pass(kind racelab.OpKind, text string, latch racelab.Latch, touches []racelab.Touch) racelab.SessionID {
	return o.passAt(line(o.gate, 2), kind, text, latch, touches)
}

// passAt is pass for what was called at a line that is known already.
func (o *object) passAt(at string, kind racelab.OpKind, text string, latch racelab.Latch, touches []racelab.Touch) racelab.SessionID {
	s, _ := o.gate.Pass(racelab.Op{Kind: kind, Text: text, Latch: latch, Touches: touches, Pos: at})
	return s
}

// touch is what an operation with one object touches.
func (o *object) touch(mode racelab.TouchMode) []racelab.Touch {
	return []racelab.Touch{{Object: o.name, Mode: mode}}
}

// The ways to touch what synchronises. What nobody releases can be acquired
// without coming after anybody: that is how an object's own state is touched
// where what orders the sessions is another one.
const (
	reads    = racelab.Reads | racelab.Acquires
	takes    = racelab.Writes | racelab.Acquires
	releases = racelab.Writes | racelab.Releases
	updates  = racelab.Writes | racelab.Acquires | racelab.Releases
)

// goOn is what an operation's second step adds to the text of the first.
const goOn = ": go on"

// numbered is the name of the n-th thing that belongs to an object.
func (o *object) numbered(n int) string { return racelab.PartOf(o.name, strconv.Itoa(n)) }

// ok is the result of an operation that returns nothing.
var ok = racelab.Result{Class: racelab.OK}

// saw is the result of one that returns a value.
func saw(v any) racelab.Result { return racelab.Result{Class: racelab.OK, Value: valueOf(v)} }

// valueOf brings a value to what a history holds. Of a pointer that is its
// type, wherever it stands in the value: where it points to is another place in
// each run.
func valueOf(v any) racelab.Value {
	switch v.(type) {
	case nil, bool, int, int64, string, float64, []byte, time.Time, racelab.Key:
		return racelab.ValueOf(v)
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Chan, reflect.UnsafePointer, reflect.Map:
		if r.IsNil() {
			return nil
		}
		return r.Type().String()
	case reflect.Struct, reflect.Slice, reflect.Array:
		var b strings.Builder
		write(&b, r)
		return b.String()
	}
	return racelab.ValueOf(v)
}

// write prints as fmt does, but for what valueOf says.
func write(b *strings.Builder, v reflect.Value) {
	list := func(begin string, n int, at func(int) reflect.Value, end string) {
		b.WriteString(begin)
		for i := range n {
			if i > 0 {
				b.WriteByte(' ')
			}
			write(b, at(i))
		}
		b.WriteString(end)
	}
	switch kind := v.Kind(); kind {
	case reflect.Pointer, reflect.Func, reflect.Chan, reflect.UnsafePointer, reflect.Map, reflect.Interface:
		switch {
		case v.IsNil():
			b.WriteString("<nil>")
		case kind == reflect.Interface:
			write(b, v.Elem())
		default:
			b.WriteString(v.Type().String())
		}
		return
	}
	if v.CanInterface() {
		switch v := v.Interface().(type) {
		case fmt.Stringer, error:
			fmt.Fprint(b, v)
			return
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		list("{", v.NumField(), v.Field, "}")
	case reflect.Slice, reflect.Array:
		list("[", v.Len(), v.Index, "]")
	default:
		fmt.Fprint(b, v)
	}
}

// textOf is a value as it stands in an operation's text.
func textOf(v any) string {
	switch v := valueOf(v).(type) {
	case nil:
		return "nil"
	case int64:
		return strconv.FormatInt(v, 10)
	case string:
		return strconv.Quote(v)
	default:
		return fmt.Sprint(v)
	}
}

// places are the lines of code that operations were called at, by address: a
// map that is replaced when there is another one.
var places atomic.Pointer[map[uintptr]string]

// caller is the line of code that called the operation that asks; "" in free
// running.
func caller(gate racelab.MemoryGate) string {
	if gate == nil {
		return ""
	}
	return line(gate, 2)
}

// line is the line of code so many calls above the one that asks. An operation
// of several steps asks once: when it is done, the session has come to the same
// place as one that needed a single step.
func line(gate racelab.MemoryGate, above int) string {
	known := gate.Line()
	if *known == "" {
		var pcs [1]uintptr
		runtime.Callers(2+above, pcs[:])
		*known = lineOf(pcs[0])
	}
	return *known
}

// lineOf is a line of code by its address.
func lineOf(pc uintptr) string {
	known := places.Load()
	if known != nil {
		if place, ok := (*known)[pc]; ok {
			return place
		}
	}
	f, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	if strings.HasPrefix(f.Function, "runtime.") {
		return placeOf(beyond(f)) // it is deferred, and called by a panic
	}
	place := placeOf(f)
	more := map[uintptr]string{pc: place}
	if known != nil {
		maps.Copy(more, *known)
	}
	places.Store(&more) // what another goroutine has added meanwhile is found again
	return place
}

func placeOf(f runtime.Frame) string { return filepath.Base(f.File) + ":" + strconv.Itoa(f.Line) }

// beyond is the first frame above that one of the runtime which is not of the
// runtime, too: the code that panics.
func beyond(f runtime.Frame) runtime.Frame {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs[:])])
	found := false
	for {
		above, more := frames.Next()
		found = found || above.PC == f.PC
		switch {
		case found && !strings.HasPrefix(above.Function, "runtime."):
			return above
		case !more:
			return f
		}
	}
}
