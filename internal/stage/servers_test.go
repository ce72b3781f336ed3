package stage_test

import (
	"os"
	"slices"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/internal/dsn"
)

// servers are those that the tests share.
var servers enginetest.Servers

func TestMain(m *testing.M) { os.Exit(servers.Run(m)) }

// onAll runs a test on each engine, shared memory among them, all at once, and
// skips those that are not there.
func onAll(t *testing.T, run func(t *testing.T, e racelab.Engine, server racelab.Server)) {
	on(t, dsn.Engines, func(t *testing.T, e racelab.Engine) {
		t.Parallel()
		run(t, e, servers.Of(t, e))
	})
}

// onEngines leaves shared memory out.
func onEngines(t *testing.T, run func(t *testing.T, e racelab.Engine, server racelab.Server)) {
	onEnginesThat(t, anyEngine, run)
}

// onEnginesThat leaves out those that do not fit.
func onEnginesThat(t *testing.T, fit func(racelab.Engine) bool, run func(t *testing.T, e racelab.Engine, server racelab.Server)) {
	on(t, sqlEngines(fit), func(t *testing.T, e racelab.Engine) {
		t.Parallel()
		run(t, e, servers.Of(t, e))
	})
}

// inTurn runs a test on one engine after another, because it looks at what the
// whole process does.
func inTurn(t *testing.T, fit func(racelab.Engine) bool, run func(t *testing.T, e racelab.Engine, server racelab.Server)) {
	on(t, sqlEngines(fit), func(t *testing.T, e racelab.Engine) { run(t, e, servers.Of(t, e)) })
}

func on(t *testing.T, engines []racelab.Engine, run func(t *testing.T, e racelab.Engine)) {
	for _, e := range engines {
		t.Run(e.Name, func(t *testing.T) { run(t, e) })
	}
}

func sqlEngines(fit func(racelab.Engine) bool) []racelab.Engine {
	return slices.DeleteFunc(slices.Clone(dsn.SQL), func(e racelab.Engine) bool { return !fit(e) })
}

func anyEngine(racelab.Engine) bool     { return true }
func isPostgres(e racelab.Engine) bool  { return e.Name == "postgres" }
func isMySQL(e racelab.Engine) bool     { return e.Name == "mysql" }
func hasRowLocks(e racelab.Engine) bool { return e.Dialect.Features&racelab.RowLocks != 0 }
func hasServer(e racelab.Engine) bool   { return e.Dialect.Features&racelab.Concurrent != 0 }
