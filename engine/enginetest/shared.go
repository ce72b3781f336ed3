package enginetest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/racelab/racelab"
)

// Servers are private servers that the tests of a binary share, each in worlds
// of its own: to start one takes longer than most tests. Run, in TestMain, ends
// them.
type Servers struct {
	mu      sync.Mutex
	started map[string]racelab.Server // by engine
}

// Of gives the engine's server, and starts it for whoever asks first. Where the
// engine is not on the machine it does as Require.
func (s *Servers) Of(tb testing.TB, e racelab.Engine) racelab.Server {
	tb.Helper()
	Require(tb, e)
	s.mu.Lock()
	defer s.mu.Unlock()
	if server := s.started[e.Name]; server != nil {
		return server
	}
	server, err := e.Start(context.WithoutCancel(tb.Context()), "") // it outlives the test
	if err != nil {
		tb.Fatal(err)
	}
	if s.started == nil {
		s.started = map[string]racelab.Server{}
	}
	s.started[e.Name] = server
	return server
}

// Run runs the tests, ends the servers, and returns what to exit with.
func (s *Servers) Run(m *testing.M) (code int) {
	code = m.Run()
	for name, server := range s.started {
		if err := server.Close(); err != nil {
			fmt.Fprintf(os.Stderr, "end the server of %s: %v\n", name, err)
			code = max(code, 1)
		}
	}
	return code
}
