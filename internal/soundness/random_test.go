// Package soundness_test holds the reduced search against brute force: on random
// programs, and, for each rule of what may be exchanged, on one that needs it.
package soundness_test

import (
	"os"
	"testing"

	"pgregory.net/rapid"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/internal/dsn"
)

// programs is how many are compared on each engine. Those of SQLite cost least.
var programs = map[string]int{"sqlite": 1200, "postgres": 400, "mysql": 400}

func TestReducedFindsWhatBruteForceFindsInAnyProgram(t *testing.T) {
	onEngines(t, func(t *testing.T, e racelab.Engine, server racelab.Server) {
		c := newComparer(t, e, server)
		n := programs[e.Name]
		if os.Getenv("RACELAB_SOAK") != "" {
			n *= 50
		}
		generator := scripts(e)
		for c.compared < n { // rapid.Check takes a hundred, unless it is told otherwise
			rapid.Check(t, func(rt *rapid.T) {
				c.check(t.Context(), rt, generator.Draw(rt, "script"))
			})
		}
		t.Logf("compared %d programs, %d of them with a lost connection: %d of %d schedules; %d not the same each time", c.compared, c.faulty, c.reduced, c.all, len(c.odd))
		for _, p := range c.odd {
			t.Log(p)
		}
		if c.compared == 0 || len(c.odd)*20 > c.compared {
			t.Errorf("%d were compared, and %d are not the same each time", c.compared, len(c.odd))
		}
	})
}

// servers are those that the tests share.
var servers enginetest.Servers

func TestMain(m *testing.M) { os.Exit(servers.Run(m)) }

// onEngines runs a test on each engine, all at once.
func onEngines(t *testing.T, run func(t *testing.T, e racelab.Engine, server racelab.Server)) {
	for _, e := range dsn.SQL {
		t.Run(e.Name, func(t *testing.T) {
			t.Parallel()
			run(t, e, servers.Of(t, e))
		})
	}
}
