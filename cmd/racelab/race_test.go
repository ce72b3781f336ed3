//go:build race

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/racelab/racelab/scenario"
)

// Go's race detector looks at the same functions, running freely on Go's own
// primitives: it finds a data race in an exhibit if and only if the exploration
// does. It sees no race whose accesses luck has put into order by a lock that
// both happen to take; a run is therefore repeated.
func TestTheRaceDetectorAgrees(t *testing.T) {
	for _, s := range scenario.All {
		if s.Setup != nil {
			continue
		}
		for _, st := range s.Strategies {
			name := s.Name + "/" + st.Name
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				explored := struct {
					Raced int `json:"raced_schedules"`
				}{}
				out, _ := self(t, "explore", name, "--json").Output()
				if err := json.Unmarshal(out, &explored); err != nil {
					t.Fatalf("%v in %s", err, out)
				}
				logs := filepath.Join(t.TempDir(), "race")
				free := self(t, "run", name, "-n", "50", "--timeout", "2s", "--window", "0", "--json")
				free.Env = append(free.Env, "GORACE=exitcode=0 atexit_sleep_ms=0 log_path="+logs)
				said, _ := free.CombinedOutput()
				found, err := filepath.Glob(logs + ".*")
				if err != nil {
					t.Fatal(err)
				}
				if (len(found) > 0) != (explored.Raced > 0) {
					report := ""
					if len(found) > 0 {
						b, _ := os.ReadFile(found[0])
						report = string(b)
					}
					t.Errorf("the exploration has %d schedules with a data race, and the race detector says %q\n%s", explored.Raced, report, said)
				}
			})
		}
	}
}

// self is racelab, as it was built for this test.
func self(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	program, err := exec.LookPath("racelab")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "GORACE=") && !strings.HasPrefix(e, "RACELAB_DSN=") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	return cmd
}
