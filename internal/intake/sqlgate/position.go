package sqlgate

import (
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// position returns file:line of the session's code that called database/sql.
// The file's folder is left out: a history names no place of one machine.
func position() string {
	var pcs [24]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		f, more := frames.Next()
		switch {
		case strings.HasPrefix(f.Function, "database/sql."), strings.Contains(f.Function, "internal/intake/sqlgate."):
		case strings.HasPrefix(f.Function, "runtime."):
			return "" // database/sql's own goroutine: a context ended
		default:
			return filepath.Base(f.File) + ":" + strconv.Itoa(f.Line)
		}
		if !more {
			return ""
		}
	}
}
