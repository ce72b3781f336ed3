package mysql

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
