package enginetest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// IsolationTester finds PostgreSQL's own program for isolation tests, of the
// newest version, in the folder for those who build extensions: "" if it is not
// there. Debian and its relatives ship it with the clients.
func IsolationTester() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/lib/pgxs/src/test/isolation/isolationtester")
	slices.Sort(found)
	if config, err := exec.Command("pg_config", "--pgxs").Output(); err == nil {
		here := filepath.Join(filepath.Dir(string(bytes.TrimSpace(config))), "../test/isolation/isolationtester")
		if _, err := os.Stat(here); err == nil {
			found = append(found, here)
		}
	}
	if len(found) == 0 {
		return ""
	}
	return found[len(found)-1]
}

// RequireIsolationTester is Require for IsolationTester.
func RequireIsolationTester(tb testing.TB) string {
	tb.Helper()
	program := IsolationTester()
	switch {
	case program != "":
	case os.Getenv("RACELAB_TEST_REQUIRE") != "":
		tb.Fatal("isolationtester was not found, and RACELAB_TEST_REQUIRE is set: it comes with PostgreSQL's clients (Debian: apt install postgresql-client)")
	default:
		tb.Skip("skipped, because isolationtester was not found: it comes with PostgreSQL's clients (Debian: apt install postgresql-client)")
	}
	return program
}
