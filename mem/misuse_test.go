package mem_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

// misuses are what must not be. Each is done by one session, and ends a Go
// program, or panics in it.
var misuses = map[string]struct {
	do    func(m *racelab.Memory)
	fatal bool // and cannot be recovered from
}{
	"unlock a mutex":        {func(m *racelab.Memory) { mem.NewMutex(m, "m").Unlock() }, true},
	"unlock an rw mutex":    {func(m *racelab.Memory) { mem.NewRWMutex(m, "m").Unlock() }, true},
	"unlock what is read":   {func(m *racelab.Memory) { rw := mem.NewRWMutex(m, "m"); rw.RLock(); rw.Unlock() }, true},
	"read-unlock":           {func(m *racelab.Memory) { mem.NewRWMutex(m, "m").RUnlock() }, true},
	"wait without the lock": {func(m *racelab.Memory) { mem.NewCond(m, "c", mem.NewMutex(m, "m")).Wait() }, true},
	"count below 0":         {func(m *racelab.Memory) { mem.NewWaitGroup(m, "g").Done() }, false},
	"close twice":           {func(m *racelab.Memory) { c := mem.NewChan[int](m, "c", 0); c.Close(); c.Close() }, false},
	"send on closed":        {func(m *racelab.Memory) { c := mem.NewChan[int](m, "c", 0); c.Close(); c.Send(1) }, false},
	"try to send on closed": {func(m *racelab.Memory) { c := mem.NewChan[int](m, "c", 1); c.Close(); c.TrySend(1) }, false},
	"select a send on closed": {func(m *racelab.Memory) {
		c := mem.NewChan[int](m, "c", 1)
		c.Close()
		mem.Select(m, c.Sending(1))
	}, false},
	"release too much": {func(m *racelab.Memory) { mem.NewSemaphore(m, "s", 1).Release(1) }, false},
	"unlock another's": {func(m *racelab.Memory) { r := mem.NewReentrantMutex(m, "r"); r.Lock("a"); r.Unlock("b") }, false},
}

// misuseInChild does what ends a program, if this is a process that is to end.
func misuseInChild() {
	if c, ok := misuses[os.Getenv("MEM_TEST_MISUSE")]; ok {
		c.do(nil)
		os.Exit(0)
	}
}

func TestMisuseSaysWhatGoSays(t *testing.T) {
	for name, c := range misuses {
		t.Run(name, func(t *testing.T) {
			events := play(t, "", func(m *racelab.Memory) program { return program{func() { c.do(m) }} })
			last := events[len(events)-1]
			what, misused := strings.CutPrefix(last.What, "misuse: ")
			if last.Result.Class != racelab.Misuse || !misused {
				t.Fatalf("under control: %s\n%+v", told(events), last)
			}
			if says := inGo(t, name, c.do, c.fatal); says != what {
				t.Errorf("under control it is %q, and Go says %q", what, says)
			}
		})
	}
}

// inGo is what Go says of misuse.
func inGo(t *testing.T, name string, do func(*racelab.Memory), fatal bool) (says string) {
	if !fatal {
		defer func() { says = fmt.Sprint(recover()) }()
		do(nil)
		return ""
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "MEM_TEST_MISUSE="+name)
	var stderr bytes.Buffer
	child.Stderr = &stderr
	if err := child.Run(); !errors.As(err, new(*exec.ExitError)) {
		t.Fatalf("it was to end the program: %v", err)
	}
	line, _, _ := strings.Cut(stderr.String(), "\n")
	return strings.TrimPrefix(line, "fatal error: ")
}

// A waiter that is woken to find the count at another number is what Go finds
// only by chance.
func TestAGroupThatIsReusedTooEarlyIsMisuse(t *testing.T) {
	events := play(t, "A1 A2 B1 B2 A3", func(m *racelab.Memory) program {
		g := mem.NewWaitGroup(m, "g")
		return program{func() { g.Add(1); g.Wait() }, func() { g.Done(); g.Add(1) }}
	})
	want := "A3 wait for g: go on: sync: WaitGroup is reused before previous Wait has returned"
	if got := told(events); !strings.Contains(got, want) {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestASenderThatWaitsIsEndedByClose(t *testing.T) {
	for name, send := range map[string]func(*racelab.Memory, *mem.Chan[int]){
		"send":   func(_ *racelab.Memory, c *mem.Chan[int]) { c.Send(1) },
		"select": func(m *racelab.Memory, c *mem.Chan[int]) { mem.Select(m, c.Sending(1)) },
	} {
		events := play(t, "A1 B1", func(m *racelab.Memory) program {
			c := mem.NewChan[int](m, "c", 0)
			return program{func() { send(m, c) }, c.Close}
		})
		if got := told(events); !strings.Contains(got, "go on: send on closed channel") {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}

// What the Go runtime does at the end of the program, a misused session does
// at its end: nothing more.
func TestAfterMisuseASessionDoesNothing(t *testing.T) {
	events := play(t, "", func(m *racelab.Memory) program {
		mu, n := mem.NewMutex(m, "m"), mem.NewVar(m, "n", 0)
		return program{func() {
			defer n.Store(1)
			mu.Unlock()
		}}
	})
	if got, want := told(events), "A1 unlock m: sync: unlock of unlocked mutex\n"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestMisuseIsNotRecoveredFrom(t *testing.T) {
	events := play(t, "", func(m *racelab.Memory) program {
		mu := mem.NewMutex(m, "m")
		return program{func() {
			defer func() { recover() }()
			mu.Unlock()
		}}
	})
	if last := events[len(events)-1]; last.Result.Class != racelab.Misuse || last.What != "misuse: sync: unlock of unlocked mutex" {
		t.Errorf("the call ended with %v, %q", last.Result, last.What)
	}
}

func TestNilChannels(t *testing.T) {
	var c *mem.Chan[int]
	if _, _, done := c.TryRecv(); done || c.TrySend(1) || c.Len() != 0 || c.Cap() != 0 {
		t.Error("a nil channel did something")
	}
	defer func() {
		if says := fmt.Sprint(recover()); says != "close of nil channel" {
			t.Error(says)
		}
	}()
	c.Close()
}

// What is deferred is called by the runtime when its function panics. The line
// that is said is the one that panics.
func TestADeferredOperationIsWhereItsFunctionPanics(t *testing.T) {
	_, _, here, _ := runtime.Caller(0)
	for name, c := range map[string]struct {
		body func(*mem.Mutex)
		line int
	}{
		"a panic":         {func(l *mem.Mutex) { defer l.Unlock(); panic("no") }, here + 5},
		"a runtime error": {func(l *mem.Mutex) { defer l.Unlock(); var p *int; *p = 1 }, here + 6},
	} {
		events := play(t, "", func(m *racelab.Memory) program {
			l := mem.NewMutex(m, "l")
			return program{func() { l.Lock(); c.body(l) }}
		})
		want := "misuse_test.go:" + strconv.Itoa(c.line)
		for _, e := range events {
			if e.Kind == racelab.Entered && e.Op.Kind == racelab.Release && e.Op.Pos != want {
				t.Errorf("%s: it is at %s, and not at %s", name, e.Op.Pos, want)
			}
		}
		if !strings.Contains(told(events), "unlock l") {
			t.Errorf("%s: %s", name, told(events))
		}
	}
}
