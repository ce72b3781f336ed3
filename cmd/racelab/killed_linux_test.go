package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/internal/dsn"
)

// A private server that is killed in the middle of an exploration is said, with
// exit code 4, and neither a process of it nor a folder stays behind.
func TestACommandWhoseServerIsKilledSaysSoAndCleansUp(t *testing.T) {
	for _, e := range dsn.SQL {
		if e.Dialect.Features&racelab.Concurrent == 0 {
			continue // it has no server
		}
		t.Run(e.Name, func(t *testing.T) {
			enginetest.Require(t, e)
			tmp, err := os.MkdirTemp("", "kill")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(tmp)
			if err := os.Chmod(tmp, 0o755); err != nil {
				t.Fatal(err)
			}
			stdout, stderr, code := killServer(t, tmp, "explore", "deposit/transaction", "--engine", e.Name, "--sessions", "3", "--brute", "--budget", "all", "--workers", "2", "--json")
			var said struct{ Schema, Code, Message, Remedy string }
			if err := json.Unmarshal(stdout, &said); err != nil || said.Schema != "racelab.error/1" || said.Code != "engine" {
				t.Errorf("it says %s, and %s: %v", stdout, stderr, err)
			}
			if !strings.HasPrefix(said.Message, "deposit/transaction on "+e.Name+": ") || !strings.Contains(said.Message, "the private server ended") {
				t.Errorf("the message is\n%s", said.Message)
			}
			if code != exitUnreachable {
				t.Errorf("it exits with %d", code)
			}
			if left, _ := os.ReadDir(tmp); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			if left := processesIn(tmp); len(left) > 0 {
				t.Errorf("still there: %v", left)
			}
		})
	}
}

// killServer runs racelab on a terminal, and kills its server when it has run a
// hundred schedules.
func killServer(t *testing.T, tmp string, args ...string) (stdout, stderr []byte, code int) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := terminal(t)
	defer ours.Close()
	var out bytes.Buffer
	cmd := exec.Command(program)
	cmd.Args = append([]string{"racelab"}, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "TERM=xterm")
	cmd.Stdout, cmd.Stderr = &out, theirs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	progress := regexp.MustCompile(`schedule (\d+) of`)
	killed := false
	for buffer := make([]byte, 4096); ; {
		n, err := ours.Read(buffer)
		stderr = append(stderr, buffer[:n]...)
		if err != nil {
			break // nobody writes any more
		}
		for _, run := range progress.FindAllSubmatch(buffer[:n], -1) {
			if n, _ := strconv.Atoi(string(run[1])); n >= 100 && !killed {
				killed = true
				kill(t, tmp)
			}
		}
	}
	_ = cmd.Wait()
	if !killed {
		t.Errorf("it ended before its server was killed: %s", stderr)
	}
	return out.Bytes(), stderr, cmd.ProcessState.ExitCode()
}

// terminal opens a terminal: our side of it and the other.
func terminal(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

// kill kills the server that has its folder there.
func kill(t *testing.T, tmp string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(tmp, "*", "server.pid"))
	for _, file := range files {
		b, _ := os.ReadFile(file)
		pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil || syscall.Kill(pid, syscall.SIGKILL) != nil {
			t.Errorf("could not kill the server of %s", file)
		}
	}
	if len(files) != 1 {
		t.Errorf("%d servers", len(files))
	}
}

// processesIn lists the processes that work in a folder, also if it is gone.
func processesIn(folder string) (names []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range all {
		if cwd, err := os.Readlink(link); err == nil && strings.HasPrefix(cwd, folder+"/") {
			name, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline"))
			names = append(names, string(name))
		}
	}
	return names
}
