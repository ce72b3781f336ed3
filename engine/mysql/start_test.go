package mysql

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
)

func TestFailedStartLeavesNothing(t *testing.T) {
	tmp := t.TempDir()
	if err := os.Chmod(tmp, 0o777); err != nil {
		t.Fatal(err)
	}
	// A program of the right name that ends at once.
	fake := filepath.Join(t.TempDir(), "mariadbd")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\ncase \"$*\" in *--version*) echo fake Ver 10-MariaDB;; *) echo no more today; exit 3;; esac\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(filepath.Dir(fake)), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", tmp)
	t.Setenv("PATH", filepath.Dir(fake)+string(filepath.ListSeparator)+os.Getenv("PATH"))
	s, err := Engine.Start(t.Context(), "")
	if err == nil {
		s.Close()
		t.Fatal("it started")
	}
	if !strings.Contains(err.Error(), "no more today") {
		t.Errorf("the error does not hold what the server said: %v", err)
	}
	if left, _ := os.ReadDir(tmp); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCanceledStartLeavesNothing(t *testing.T) {
	enginetest.Require(t, Engine)
	tmp, err := os.MkdirTemp("", "rt")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", tmp)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond) // in the middle of the server's own start
	defer cancel()
	if s, err := Engine.Start(ctx, ""); err == nil {
		s.Close()
		t.Log("the server was faster than the test")
	}
	if left, _ := os.ReadDir(tmp); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// openTemp gives the test a short folder for temporary files that the server's
// user can enter.
func openTemp(t *testing.T, name string) {
	t.Helper()
	tmp, err := os.MkdirTemp("", "rt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(tmp) })
	if err := os.Chmod(tmp, 0o777); err != nil {
		t.Fatal(err)
	}
	tmp = filepath.Join(tmp, name)
	if err := os.MkdirAll(tmp, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", tmp)
}

func TestOddFoldersForTemporaryFiles(t *testing.T) {
	enginetest.Require(t, Engine)
	for _, name := range []string{"a b", "a%20b", "a+b&c=d", "a?b#c", `a'b"c$d`, "a@b,c", "unix(x)"} {
		t.Run(name, func(t *testing.T) {
			openTemp(t, name)
			s, err := Engine.Start(t.Context(), "")
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
}

func TestStartWithoutAPath(t *testing.T) {
	enginetest.Require(t, Engine)
	t.Setenv("PATH", "")
	if binary() == "" {
		t.Skip("skipped, because the server is found by the PATH alone")
	}
	openTemp(t, "")
	s, err := Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestAServersEndIsSaidFirst(t *testing.T) {
	enginetest.Require(t, Engine)
	openTemp(t, "")
	s, err := Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w, err := s.Open(t.Context(), racelab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.(*server).private.process.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_, openErr := s.Open(t.Context(), racelab.Config{})
	_, stateErr := w.State(t.Context())
	_, schemaErr := w.Schema(t.Context())
	for _, err := range []error{stateErr, schemaErr, openErr, w.Close()} {
		if err == nil || !strings.HasPrefix(err.Error(), "the private server ended: ") {
			t.Errorf("error %v, want first that the server ended", err)
		}
	}
}
