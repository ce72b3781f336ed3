package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// exits runs a command and checks its exit code, which exec does not show:
// exits CODE racelab ARGS...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		got = failed.ExitCode()
	case err != nil:
		ts.Fatalf("run %s: %v", args[1], err)
	}
	if got != want {
		ts.Fatalf("%v exits with %d, want %d", args[1:], got, want)
	}
}

// again runs a line that the last command printed, as a shell does, and checks
// its exit code: again CODE fix.
func again(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: again CODE NAME")
	}
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if words, ok := strings.CutPrefix(line, args[1]+" "); ok {
			exits(ts, false, []string{args[0], "sh", "-c", strings.TrimSpace(words)})
			return
		}
	}
	ts.Fatalf("no line %q was printed", args[1])
}

// signaled runs a command, sends it a signal as soon as it has made its world,
// and checks its exit code; what it printed is then in FILE and FILE.err:
// signaled CODE SIGNAL FILE racelab ARGS...
func signaled(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 5 {
		ts.Fatalf("usage: signaled CODE SIGNAL FILE COMMAND ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	signals := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP}
	out, err := os.Create(ts.MkAbs(args[2]))
	ts.Check(err)
	defer out.Close()
	said, err := os.Create(ts.MkAbs(args[2] + ".err"))
	ts.Check(err)
	defer said.Close()
	cmd := exec.Command(program(ts), args[4:]...)
	cmd.Env = append(os.Environ(), "TMPDIR="+ts.Getenv("TMPDIR"))
	cmd.Stdout, cmd.Stderr = out, said
	ts.Check(cmd.Start())
	for range 1000 {
		if worlds, _ := filepath.Glob(filepath.Join(ts.Getenv("TMPDIR"), "racelab-*", "world-*")); len(worlds) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Check(cmd.Process.Signal(signals[args[1]]))
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("%v exits with %d after SIG%s, want %d", args[3:], got, args[1], want)
	}
}

// program is the racelab of the script: the first of its path.
func program(ts *testscript.TestScript) string {
	return filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "racelab")
}

// empty checks that nothing is in a folder: empty DIR.
func empty(ts *testscript.TestScript, neg bool, args []string) {
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	if (len(entries) == 0) == neg {
		ts.Fatalf("%s holds %v", args[0], entries)
	}
}

// openLab opens a laboratory for the rest of the script and sets RACELAB_LAB to
// its URL and ADDRESS to host and port: lab FLAGS... When the script ends it gets a SIGTERM, and must
// end well.
func openLab(ts *testscript.TestScript, neg bool, args []string) {
	cmd := exec.Command(program(ts), append([]string{"serve", "--listen", "127.0.0.1:0", "--json"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+ts.Getenv("TMPDIR"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			panic(fmt.Sprintf("the lab ends badly: %v", err)) // a deferred function cannot fail the script
		}
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	ts.Check(err)
	var ready struct {
		URL    string `json:"url"`
		Engine string `json:"engine"`
	}
	ts.Check(json.Unmarshal(line, &ready))
	if ready.URL == "" {
		ts.Fatalf("no lab was opened: %s", line)
	}
	ts.Setenv("RACELAB_LAB", ready.URL)
	ts.Setenv("ADDRESS", strings.TrimPrefix(ready.URL, "http://"))
}
