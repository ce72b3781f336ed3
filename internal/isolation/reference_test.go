package isolation_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/engine/postgres"
	"github.com/racelab/racelab/internal/isolation"
	"github.com/racelab/racelab/internal/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts a private server.
func start(t testing.TB) racelab.Server {
	t.Helper()
	return enginetest.Start(t, postgres.Engine)
}

// inWorld lends an empty world.
func inWorld(t testing.TB, server racelab.Server, use func(racelab.World)) {
	t.Helper()
	w, err := server.Open(t.Context(), racelab.Config{OwnSettings: true})
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
	took time.Duration
}

// ignoreTime compares outputs.
var ignoreTime = cmpopts.IgnoreUnexported(output{})

const (
	patience    = 5 * time.Minute  // much longer than any test takes on a slow machine
	giveUp      = 20 * time.Second // how long the reference program lets a step wait
	application = "isolation/test"
)

func theirs(ctx context.Context, t rapid.TB, program, src string, w racelab.World) output {
	t.Helper()
	return theirsWithin(ctx, t, program, src, w, giveUp)
}

func theirsWithin(ctx context.Context, t rapid.TB, program, src string, w racelab.World, limit time.Duration) output {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, w.Address())
	cmd.Env = append(os.Environ(), "PGAPPNAME="+application, fmt.Sprint("PGISOLATIONTIMEOUT=", int(limit.Seconds())))
	cmd.Stdin = bytes.NewReader([]byte(src))
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	started := time.Now()
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return output{both.String(), err == nil, time.Since(started)}
}

func parse(t rapid.TB, src string) *spec.Spec {
	t.Helper()
	s, err := spec.Parse("x.spec", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ours(ctx context.Context, t rapid.TB, src string, w racelab.World) output {
	t.Helper()
	return oursWithin(ctx, t, src, w, 0)
}

func oursWithin(ctx context.Context, t rapid.TB, src string, w racelab.World, limit time.Duration) output {
	t.Helper()
	s := parse(t, src)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var both bytes.Buffer
	started := time.Now()
	err := isolation.Run(ctx, s, w, isolation.Options{Out: &both, Err: &both, Application: application, Timeout: limit})
	if err != nil && !errors.Is(err, isolation.ErrFailed) {
		t.Errorf("%v, after\n%s", err, &both)
	}
	return output{both.String(), err == nil, time.Since(started)}
}

// PostgreSQL's own tests are in its source, in src/test/isolation/specs, and
// not here: RACELAB_TEST_SPECS names the folder.
func TestFilesPrintWhatTheReferenceProgramPrints(t *testing.T) {
	program := enginetest.RequireIsolationTester(t)
	server, another := start(t), start(t) // roles and prepared transactions outlive a database
	folders := []string{"testdata"}
	if more := os.Getenv("RACELAB_TEST_SPECS"); more != "" {
		folders = append(folders, more)
	}
	var all []string
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.spec"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no test files in %s: %v", folder, err)
		}
		all = append(all, files...)
	}
	for _, file := range all {
		t.Run(filepath.Base(file), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want, got output
			inWorld(t, server, func(w racelab.World) { want = theirs(t.Context(), t, program, string(src), w) })
			renewed := 0
			inWorld(t, another, func(w racelab.World) {
				got = ours(t.Context(), t, string(src), watched{w, func(sql string) {
					if again(sql) {
						renewed++
					}
				}})
			})
			if diff := cmp.Diff(want, got, ignoreTime); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if strings.HasPrefix(filepath.Base(file), "again-") && renewed == 0 {
				t.Error("its tables were not used again")
			}
			t.Logf("%v, and racelab %v; tables were brought back %d times", want.took, got.took, renewed)
		})
	}
}
