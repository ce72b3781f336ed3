package sqlgate

import (
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// position returns file:line of the session's code that called database/sql.
// The file's folder is left out: a history names no place of one machine.
func position() string {
	var pcs [8]uintptr // few at a time: the session's code is near
	for skip := 3; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		for _, pc := range pcs[:n] {
			if where := placeOf(pc); where != between {
				return where
			}
		}
		if n < len(pcs) {
			return ""
		}
	}
}

// between is the place of code between the session's and the gate.
const between = "-"

var places sync.Map // by program counter: a program has few that come here

// placeOf returns where a caller is: between, or in the session's code, or ""
// if it is the runtime, where a goroutine of database/sql's own begins: a
// context has ended.
func placeOf(pc uintptr) string {
	if where, ok := places.Load(pc); ok {
		return where.(string)
	}
	where := between
	frames := runtime.CallersFrames([]uintptr{pc})
	for more := true; more && where == between; { // inlined calls are more than one
		var f runtime.Frame
		f, more = frames.Next()
		switch {
		case strings.HasPrefix(f.Function, "database/sql."), strings.Contains(f.Function, "internal/intake/sqlgate."):
		case strings.HasPrefix(f.Function, "runtime."):
			where = ""
		default:
			where = filepath.Base(f.File) + ":" + strconv.Itoa(f.Line)
		}
	}
	places.Store(pc, where)
	return where
}
