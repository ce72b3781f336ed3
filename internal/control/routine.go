package control

import (
	"bytes"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// A routine is a goroutine's number, as the runtime prints it.
type routine string

// thisRoutine returns the number of the goroutine that asks.
func thisRoutine() routine {
	var b [64]byte
	fields := bytes.Fields(b[:runtime.Stack(b[:], false)]) // goroutine 7 [running]:
	return routine(fields[1])
}

// waitsOutside asks the runtime what the goroutine is doing. It is "" if it
// runs, could run, or opens a connection; otherwise what it waits for and where.
func (r routine) waitsOutside() string {
	doing, frames := r.look()
	switch {
	case !outside[doing]:
		return "" // it runs, could run, or waits for the runtime itself
	case strings.Contains(frames, "/internal/intake/sqlgate.") || strings.Contains(frames, "control.(*Director).Enter(") || strings.Contains(frames, "control.(*Director).Leave("):
		return "" // it opens or prepares something, or has come to the gate just now
	}
	text := words(doing)
	if strings.HasSuffix(doing, "Lock") {
		text += " that the gate does not know (use racelab's mem package)"
	}
	return text + place(frames)
}

// waits says what the goroutine waits for and where; "" if it does not wait.
func (r routine) waits() string {
	doing, frames := r.look()
	if !outside[doing] {
		return ""
	}
	return words(doing) + place(frames)
}

// look asks the runtime what the goroutine is doing, and where; "" if there is
// no such goroutine any more.
func (r routine) look() (doing, frames string) {
	stacks := make([]byte, 1<<16)
	for {
		n := runtime.Stack(stacks, true)
		if n < len(stacks) {
			stacks = stacks[:n]
			break
		}
		stacks = make([]byte, 2*len(stacks))
	}
	for _, stack := range strings.Split(string(stacks), "\n\n") {
		head, frames, _ := strings.Cut(stack, "\n")
		rest, ok := strings.CutPrefix(head, "goroutine "+string(r)+" [")
		if !ok {
			continue
		}
		doing, _, _ := strings.Cut(strings.TrimSuffix(rest, "]:"), ",")
		return doing, frames
	}
	return "", ""
}

// outside are the reasons for which a session's own code waits, as the runtime
// prints them. What it prints for waits of its own, the collector's among them,
// is not here.
var outside = map[string]bool{
	"sync.Mutex.Lock": true, "sync.RWMutex.Lock": true, "sync.RWMutex.RLock": true, "sync.Cond.Wait": true, "sync.WaitGroup.Wait": true,
	"chan receive": true, "chan receive (nil chan)": true, "chan send": true, "chan send (nil chan)": true,
	"select": true, "select (no cases)": true, "sleep": true, "IO wait": true,
}

// words says what a wait reason of the runtime means.
func words(reason string) string {
	switch reason {
	case "sync.Mutex.Lock", "sync.RWMutex.Lock", "sync.RWMutex.RLock":
		return "waits for a " + strings.TrimSuffix(strings.TrimSuffix(reason, ".Lock"), ".RLock")
	case "sleep":
		return "sleeps"
	case "IO wait":
		return "waits for a socket or file"
	case "chan receive", "chan send", "select":
		return "waits for a channel (" + reason + ")"
	}
	return "waits (" + reason + ")"
}

// frame is a function in a stack, and where it is.
var frame = regexp.MustCompile(`(?m)^(\S.*)\(.*\)\n\t(.*\.go):(\d+)`)

// beneath are the packages of the standard library, by their first word, that a
// session waits in, and ours between it and them.
var beneath = regexp.MustCompile(`^(bufio|context|crypto|database|encoding|internal|io|net|os|reflect|runtime|sync|syscall|time)[/.]|/internal/intake/|/racelab/mem\.`)

// place finds where in the session's code: the first frame above those.
func place(frames string) string {
	pool := ""
	if strings.Contains(frames, "database/sql.(*DB).conn(") {
		pool = ", for a free connection of its own pool"
	}
	for _, m := range frame.FindAllStringSubmatch(frames, -1) {
		if !beneath.MatchString(m[1]) {
			return pool + " at " + filepath.Base(m[2]) + ":" + m[3]
		}
	}
	return pool
}
