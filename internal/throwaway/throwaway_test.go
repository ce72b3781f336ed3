//go:build unix

package throwaway

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// temp makes a folder for temporary files that servers of another user reach.
func temp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "throwaway")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
	return dir
}

func newFolder(t *testing.T) *Folder {
	t.Helper()
	f, err := NewFolder()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func newServerFolder(t *testing.T) *Folder {
	t.Helper()
	f, err := NewServerFolder()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestAFolderWhoseOwnerIsGoneIsRemovedByTheNext(t *testing.T) {
	temp(t)
	owned, gone := newFolder(t), newFolder(t)
	defer owned.Remove()
	gone.lock.Close() // as when its process ends
	next := newFolder(t)
	defer next.Remove()
	if exists(gone.Path) {
		t.Errorf("%s is still there", gone.Path)
	}
	if !exists(owned.Path) {
		t.Errorf("%s is gone, and has an owner", owned.Path)
	}
}

func TestWhatIsNotRacelabsIsLeft(t *testing.T) {
	dir := temp(t)
	for _, name := range []string{"racelab-precious", "other"} {
		if err := os.MkdirAll(filepath.Join(dir, name, "inside"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "racelab-file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "racelab-precious"), old, old); err != nil {
		t.Fatal(err)
	}
	f := newFolder(t)
	defer f.Remove()
	for _, path := range []string{"racelab-precious/inside", "other/inside", "racelab-file"} {
		if !exists(filepath.Join(dir, path)) {
			t.Errorf("%s was removed", path)
		}
	}
}

// Many start at once: none may take another's folder for one that is left.
func TestFoldersMadeAtTheSameTimeLeaveEachOtherAlone(t *testing.T) {
	temp(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				f, err := NewFolder()
				if err != nil {
					t.Error(err)
					return
				}
				if !exists(filepath.Join(f.Path, lockFile)) {
					t.Errorf("%s was taken", f.Path)
				}
				if err := f.Remove(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestALeftoverServerIsKilledWithItsFolder(t *testing.T) {
	temp(t)
	f := newServerFolder(t)
	p, err := f.Start(f.Command(t.Context(), "sh", "-c", "while :; do sleep 1; done", f.Path))
	if err != nil {
		t.Fatal(err)
	}
	f.lock.Close()
	next := newFolder(t)
	defer next.Remove()
	<-p.Done()
	if exists(f.Path) {
		t.Errorf("%s is still there", f.Path)
	}
}

func TestStopKillsAServerThatDoesNotListen(t *testing.T) {
	temp(t)
	f := newServerFolder(t)
	defer f.Remove()
	p, err := f.Start(f.Command(t.Context(), "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"))
	if err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(p.Log(), "ready") {
		time.Sleep(time.Millisecond)
	}
	p.Stop(syscall.SIGTERM, 10*time.Millisecond)
	select {
	case <-p.Done():
	default:
		t.Error("it still runs")
	}
}

func TestASocketsPathMustFit(t *testing.T) {
	temp(t)
	f := newFolder(t)
	defer f.Remove()
	if _, err := f.Socket("s"); err != nil {
		t.Error(err)
	}
	if _, err := f.Socket(strings.Repeat("s", 100)); err == nil || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("a long path gives %v, want what to do", err)
	}
}

func TestNoPlaceForTemporaryFilesIsSaid(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "nowhere"))
	if _, err := NewFolder(); err == nil || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("NewFolder says %v, want what to do", err)
	}
}
