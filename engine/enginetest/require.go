package enginetest

import (
	"os"
	"testing"

	"github.com/racelab/racelab"
)

// Require skips the test if the engine's product is not on this machine. With
// RACELAB_TEST_REQUIRE set it fails it instead: who says that everything is
// there, as `make test` does once it has looked, must not get a silent skip.
func Require(tb testing.TB, e racelab.Engine) {
	tb.Helper()
	found := e.Find(tb.Context())
	switch {
	case found.Found:
	case os.Getenv("RACELAB_TEST_REQUIRE") != "":
		tb.Fatalf("%s was not found, and RACELAB_TEST_REQUIRE is set: %s", e.Name, found.Remedy)
	default:
		tb.Skipf("skipped, because %s was not found: %s", e.Name, found.Remedy)
	}
}

// Start starts a server of the engine's own for the test, which is skipped or
// fails as Require says if there can be none.
func Start(tb testing.TB, e racelab.Engine) racelab.Server {
	tb.Helper()
	Require(tb, e)
	server, err := e.Start(tb.Context(), "")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := server.Close(); err != nil {
			tb.Error(err)
		}
	})
	return server
}
