package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/engine/postgres"
)

// childVariable makes this test program a racelab that waits to be killed.
const childVariable = "RACELAB_TEST_POSTGRES_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	if _, err := postgres.Engine.Start(context.Background(), ""); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	<-make(chan struct{}) // the parent kills us; a deadlock report would only be another end
}

// ownTemp gives the test a short folder for temporary files that the server's
// user can enter.
func ownTemp(t *testing.T) string {
	t.Helper()
	tmp, err := os.MkdirTemp("", "rt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(tmp) })
	if err := os.Chmod(tmp, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", tmp)
	return tmp
}

// private is a server of the test's own.
func private(t *testing.T) racelab.Server {
	t.Helper()
	ownTemp(t)
	return enginetest.Start(t, postgres.Engine)
}

func leftIn(t *testing.T, folder string) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(folder, "racelab-*"))
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func TestStartAndCloseTimes(t *testing.T) {
	enginetest.Require(t, postgres.Engine)
	tmp := ownTemp(t)
	begin := time.Now()
	s, err := postgres.Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("ready after %v", time.Since(begin).Round(time.Millisecond))
	if p := s.Product(); p.Name != "PostgreSQL" || p.Version == "" || p.Settings["deadlock_timeout"] == "" {
		t.Errorf("product %+v", p)
	}
	begin = time.Now()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("gone after %v", time.Since(begin).Round(time.Millisecond))
	if left := leftIn(t, tmp); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed a second time: %v", err)
	}
}

func TestKilledRacelabIsSweptByTheNextStart(t *testing.T) {
	enginetest.Require(t, postgres.Engine)
	tmp := ownTemp(t)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	_ = child.Process.Kill()
	_ = child.Wait()
	if line != "ready\n" {
		t.Fatalf("the child says %q", line)
	}
	left := leftIn(t, tmp)
	if len(left) != 1 {
		t.Fatalf("the killed child leaves %v, want one folder", left)
	}
	pid, err := os.ReadFile(filepath.Join(left[0], "server.pid"))
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(string(pid))
	if err != nil || number <= 1 {
		t.Fatalf("process number %q", pid)
	}
	s, err := postgres.Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left[0]); !os.IsNotExist(err) {
		t.Errorf("the killed child's folder is still there: %v", err)
	}
	if commandLine, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", number)); strings.Contains(string(commandLine), left[0]) {
		t.Error("the killed child's server still runs")
		_ = syscall.Kill(number, syscall.SIGKILL)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left := leftIn(t, tmp); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A start that fails says why and leaves nothing.
func TestFailedStart(t *testing.T) {
	// program writes a shell script in the place of one of the server's.
	program := func(t *testing.T, folder, name, script string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	fake := func(t *testing.T, initdb, server string) {
		t.Helper()
		folder := filepath.Join(os.TempDir(), "bin")
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		program(t, folder, "initdb", initdb)
		program(t, folder, "postgres", server)
		t.Setenv("PATH", folder+string(filepath.ListSeparator)+os.Getenv("PATH"))
	}
	tests := []struct {
		name    string
		prepare func(*testing.T) context.Context
		want    string
	}{
		{"no cluster", func(t *testing.T) context.Context {
			fake(t, "echo no room; exit 1", "exit 1")
			return t.Context()
		}, "no room"},
		{"no server", func(t *testing.T) context.Context {
			fake(t, "exit 0", "echo no memory; exit 1")
			return t.Context()
		}, "no memory"},
		{"canceled while the cluster is made", func(t *testing.T) context.Context {
			fake(t, "sleep 60", "exit 1")
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			t.Cleanup(cancel)
			return ctx
		}, "make a cluster: context deadline exceeded"},
		{"canceled before the server answers", func(t *testing.T) context.Context {
			fake(t, "exit 0", "exec sleep 60")
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			t.Cleanup(cancel)
			return ctx
		}, "does not answer"},
		{"a path too long for a socket", func(t *testing.T) context.Context {
			enginetest.Require(t, postgres.Engine)
			long := filepath.Join(os.TempDir(), strings.Repeat("long", 25))
			if err := os.Mkdir(long, 0o777); err != nil {
				t.Fatal(err)
			}
			t.Setenv("TMPDIR", long)
			return t.Context()
		}, "set TMPDIR"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tmp := ownTemp(t)
			s, err := postgres.Engine.Start(test.prepare(t), "")
			if err == nil {
				s.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q, want one that says %q", err, test.want)
			}
			if left := append(leftIn(t, tmp), leftIn(t, os.TempDir())...); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// No error quotes a DSN: what cannot be read may be a password.
func TestUnreadableDSN(t *testing.T) {
	for _, dsn := range []string{
		"postgres://u:hunter2@host:port/db",
		"postgres://u:hunter2@[::1/db",
		"postgres://u:hunter2@host/db?sslmode=hunter2",
		"postgres://u:hun%zzter2@host/db",
		"host=localhost password=hunter2",
		"mysql://u:hunter2@host/db",
		"postgres://u:pass/hunter2@host/db",
	} {
		s, err := postgres.Engine.Start(t.Context(), dsn)
		if err == nil {
			s.Close()
			t.Errorf("%s: no error", dsn)
		} else if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "ter2") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

// Whatever a folder may be called, the server starts there or says at once why
// it does not.
func TestOddFoldersForTemporaryFiles(t *testing.T) {
	enginetest.Require(t, postgres.Engine)
	for _, name := range []string{"a b", "a%20b", "a+b&c=d", "a?b#c", `a'b"c$d`, "a:b@c"} {
		t.Run(name, func(t *testing.T) {
			tmp := filepath.Join(ownTemp(t), name)
			if err := os.Mkdir(tmp, 0o777); err != nil {
				t.Fatal(err)
			}
			t.Setenv("TMPDIR", tmp)
			s, err := postgres.Engine.Start(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			w, err := s.Open(t.Context(), racelab.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			attached, err := s.Open(t.Context(), racelab.Config{Attach: w.Address()})
			if err != nil {
				t.Fatal(err)
			}
			attached.Close()
		})
	}
	t.Run("a,b", func(t *testing.T) {
		tmp := filepath.Join(ownTemp(t), "a,b")
		if err := os.Mkdir(tmp, 0o777); err != nil {
			t.Fatal(err)
		}
		t.Setenv("TMPDIR", tmp)
		if s, err := postgres.Engine.Start(t.Context(), ""); err == nil {
			s.Close()
			t.Error("it started: say nothing about commas")
		} else if !strings.Contains(err.Error(), "comma") || !strings.Contains(err.Error(), "TMPDIR") {
			t.Errorf("error %q", err)
		}
	})
}

func TestAServersEndIsSaidFirst(t *testing.T) {
	enginetest.Require(t, postgres.Engine)
	tmp := ownTemp(t)
	s, err := postgres.Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w, err := s.Open(t.Context(), racelab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	pid, err := os.ReadFile(filepath.Join(leftIn(t, tmp)[0], "server.pid"))
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(string(pid))
	if err != nil || number <= 1 {
		t.Fatalf("process number %q", pid)
	}
	if err := syscall.Kill(number, syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	for syscall.Kill(number, 0) == nil {
		time.Sleep(time.Millisecond)
	}
	_, openErr := s.Open(t.Context(), racelab.Config{})
	_, stateErr := w.State(t.Context())
	_, schemaErr := w.Schema(t.Context())
	for _, err := range []error{stateErr, schemaErr, openErr, w.Close()} {
		if err == nil || !strings.HasPrefix(err.Error(), "the private server ended: ") || !strings.Contains(err.Error(), "immediate shutdown") {
			t.Errorf("error %v, want first that the server ended, and its log", err)
		}
	}
}

// The kernel keeps System V shared memory that nobody removes.
func TestCanceledStartLeavesNoSharedMemory(t *testing.T) {
	enginetest.Require(t, postgres.Engine)
	// orphans returns the segments that no process is attached to.
	orphans := func() []string {
		b, err := os.ReadFile("/proc/sysvipc/shm")
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel may have none
			t.Fatal(err)
		}
		var ids []string
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 6 && f[6] == "0" {
				ids = append(ids, f[1])
			}
		}
		return ids
	}
	tmp := ownTemp(t)
	before := orphans()
	for limit := 50 * time.Millisecond; limit < 500*time.Millisecond; limit += 50 * time.Millisecond {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		begin := time.Now()
		s, err := postgres.Engine.Start(ctx, "")
		cancel()
		if err == nil {
			s.Close()
		}
		t.Logf("after %v: gone %v later", limit, (time.Since(begin) - limit).Round(time.Millisecond))
		if left := leftIn(t, tmp); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	}
	left := slices.DeleteFunc(orphans(), func(id string) bool { return slices.Contains(before, id) })
	time.Sleep(100 * time.Millisecond) // a segment is no orphan while its maker is about to attach to it
	after := orphans()
	for _, id := range left {
		if slices.Contains(after, id) {
			t.Errorf("segment %s of shared memory is left behind", id)
		}
	}
}

// A DSN's parameters reach the worlds as they were given.
func TestParametersOfADSNAreKept(t *testing.T) {
	enginetest.Require(t, postgres.Engine)
	ownTemp(t)
	private, err := postgres.Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer private.Close()
	let, err := private.Open(t.Context(), racelab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer let.Close()
	named, err := postgres.Engine.Start(t.Context(), let.Address()+"&options=-c%20geqo%3Doff&dbname=postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer named.Close()
	w, err := named.Open(t.Context(), racelab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	c, err := w.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, _, err := enginetest.Text(t.Context(), c, "SHOW geqo; SELECT current_database() <> 'postgres'")
	if err != nil || len(got) != 2 || fmt.Sprint(got[0].Rows, got[1].Rows) != "[[off]] [[t]]" {
		t.Errorf("%v, error %v: want off, and a database of its own", got, err)
	}
}
