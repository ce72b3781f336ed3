package scenario

import (
	"context"
	"fmt"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

var library = racelab.Scenario{
	Name:    "library",
	Summary: "two threads write to one bytes.Buffer",
	Story: `The talk's warning: the code you are working with might not be designed for thread
safety, even library code. A call of a method looks like one step, and is as many as
the method has. Go's rule is the other way round from what many expect: a type may be
used by one goroutine at a time, unless its documentation says more. maps, slices,
bytes.Buffer and math/rand's Rand say no more; http.Client, sql.DB, regexp.Regexp and
log.Logger do.`,
	Sources: []string{"2-thread-safety-talk.txt"},
	Reading: []string{
		"Go source, bytes/buffer.go: tryGrowByReslice and Write, whose steps these are",
		"Package http, Client: \"Clients are safe for concurrent use by multiple goroutines\"",
		"Python FAQ, What kinds of global value mutation are thread-safe?",
	},
	Cast: []racelab.Role{
		{Name: "writer", Calls: []racelab.Args{{"text": "a"}}},
		{Name: "writer", Calls: []racelab.Args{{"text": "b"}}},
	},
	Strategies: []racelab.Strategy{
		{
			Name:    "shared",
			Summary: "both write to the buffer as it is",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "lost-update"}},
			Fix:     []string{"locked"},
			Process: newSharedBuffer,
			Body:    bufferWriter(libraryShared),
		},
		{
			Name:    "locked",
			Summary: "a mutex around each call of the library",
			Safe:    true,
			Process: newSharedBuffer,
			Body:    bufferWriter(libraryLocked),
		},
	},
}

func bufferWriter(b racelab.Body) map[string]racelab.Body {
	return map[string]racelab.Body{"writer": b}
}

// One call, and in it three steps: read the length, write the new one, copy to where
// the old one ended. Two writers that read the same length copy to the same place:
// one text is gone. Or the length says 2, and a reader finds a byte that nobody has
// written yet.
func libraryShared(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	s := env.Process.(*sharedBuffer)
	writeTo(&s.buffer, env.Args["text"].(string))
	return nil, nil
}

// The mutex belongs to whoever shares the buffer, since the buffer does not know
// that it is shared. It has to be around every call, the reads among them: Len, too,
// is a read of the length.
func libraryLocked(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	s := env.Process.(*sharedBuffer)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	writeTo(&s.buffer, env.Args["text"].(string))
	return nil, nil
}

// writeTo is what bytes.Buffer's Write does while there is place: make the slice
// longer (tryGrowByReslice), and copy to its new end.
func writeTo(b *buffer, text string) {
	end := b.length.Load()
	b.length.Store(end + int64(len(text)))
	for i, letter := range text {
		b.bytes[end+int64(i)].Store(string(letter))
	}
}

// A buffer is a bytes.Buffer with place for four bytes.
type buffer struct {
	length *mem.Var[int64]
	bytes  [4]*mem.Var[string]
}

type sharedBuffer struct {
	buffer buffer
	mutex  *mem.Mutex
}

func newSharedBuffer(m *racelab.Memory) any {
	s := &sharedBuffer{buffer: buffer{length: mem.NewVar(m, "length", int64(0))}, mutex: mem.NewMutex(m, "the mutex")}
	for i := range s.buffer.bytes {
		s.buffer.bytes[i] = mem.NewVar(m, fmt.Sprint("byte ", i), "")
	}
	return s
}
