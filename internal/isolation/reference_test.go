package isolation_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/engine/postgres"
	"github.com/racelab/racelab/internal/isolation"
	"github.com/racelab/racelab/internal/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reference finds PostgreSQL's own program, in the folder for those who build
// extensions. It comes with the clients of Debian and its relatives.
func reference(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/lib/pgxs/src/test/isolation/isolationtester")
	if config, err := exec.Command("pg_config", "--pgxs").Output(); err == nil {
		here := filepath.Join(filepath.Dir(string(bytes.TrimSpace(config))), "../test/isolation/isolationtester")
		if _, err := os.Stat(here); err == nil {
			found = append(found, here)
		}
	}
	switch {
	case len(found) > 0:
		slices.Sort(found)
		return found[len(found)-1]
	case os.Getenv("RACELAB_TEST_REQUIRE") != "":
		t.Fatal("isolationtester was not found, and RACELAB_TEST_REQUIRE is set: it comes with PostgreSQL's clients")
	default:
		t.Skip("skipped, because isolationtester was not found: it comes with PostgreSQL's clients")
	}
	return ""
}

// start starts a private server.
func start(t *testing.T) racelab.Server {
	t.Helper()
	enginetest.Require(t, postgres.Engine)
	server, err := postgres.Engine.Start(t.Context(), "")
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

// inWorld lends an empty world.
func inWorld(t testing.TB, server racelab.Server, use func(racelab.World)) {
	t.Helper()
	w, err := server.Open(t.Context(), racelab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	use(w)
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

// output is what a program prints, and whether it ends with success.
type output struct {
	Text string
	OK   bool
}

func theirs(ctx context.Context, t rapid.TB, program, src string, w racelab.World) output {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, w.Address())
	cmd.Env = append(os.Environ(), "PGTZ=UTC", "PGISOLATIONTIMEOUT=15")
	cmd.Stdin = bytes.NewReader([]byte(src))
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return output{both.String(), err == nil}
}

func ours(ctx context.Context, t rapid.TB, src string, w racelab.World) output {
	t.Helper()
	s, err := spec.Parse("x.spec", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var both bytes.Buffer
	err = isolation.Run(ctx, s, w, isolation.Options{Out: &both, Err: &both})
	if err != nil && !errors.Is(err, isolation.ErrFailed) {
		t.Errorf("%v, after\n%s", err, &both)
	}
	return output{both.String(), err == nil}
}

func TestRunPrintsWhatTheReferenceProgramPrints(t *testing.T) {
	program := reference(t)
	server := start(t)
	files, err := filepath.Glob("testdata/*.spec")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want, got output
			inWorld(t, server, func(w racelab.World) { want = theirs(t.Context(), t, program, string(src), w) })
			inWorld(t, server, func(w racelab.World) { got = ours(t.Context(), t, string(src), w) })
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
