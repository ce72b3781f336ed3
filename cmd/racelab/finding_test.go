package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheTemporaryFolderIsTriedOut(t *testing.T) {
	short, err := os.MkdirTemp("/tmp", "")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(short)
	if f := checkTemporary(short); !f.OK || f.Remedy != "" {
		t.Errorf("%+v", f)
	}
	long := filepath.Join(short, strings.Repeat("x", 80))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	if f := checkTemporary(long); f.OK || !strings.Contains(f.Detail, "too long") || !strings.Contains(f.Remedy, "TMPDIR") {
		t.Errorf("%+v", f)
	}
	if f := checkTemporary(filepath.Join(short, "nowhere")); f.OK || !strings.Contains(f.Remedy, "TMPDIR") {
		t.Errorf("%+v", f)
	}
	for _, folder := range []string{short, long} {
		if left, _ := filepath.Glob(filepath.Join(folder, "racelab-*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}
