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
func Start(t *testing.T, e racelab.Engine) racelab.Server {
	t.Helper()
	Require(t, e)
	server, err := e.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}
