//go:build unix

package throwaway

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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

func TestAFoldersPathIsAbsolute(t *testing.T) {
	t.Chdir(temp(t))
	if err := os.Mkdir("inside", 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", "inside")
	f := newFolder(t)
	defer f.Remove()
	if !filepath.IsAbs(f.Path) || !exists(f.Path) {
		t.Errorf("the folder is %s", f.Path)
	}
}

func TestAFolderThatTheServersUserCannotEnterIsNamed(t *testing.T) {
	closed := filepath.Join(temp(t), "closed")
	if err := os.MkdirAll(filepath.Join(closed, "open"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", filepath.Join(closed, "open"))
	f := newServerFolder(t)
	defer f.Remove()
	err := f.Run(t.Context(), "true")
	p, startErr := f.Start(f.Command(t.Context(), "true"))
	if os.Geteuid() != 0 { // servers run as ourselves, and enter what we can
		if err := errors.Join(err, startErr); err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		return
	}
	for _, err := range []error{err, startErr} {
		if err == nil || !strings.Contains(err.Error(), "cannot enter "+closed+":") || !strings.Contains(err.Error(), "TMPDIR") {
			t.Errorf("error %v, want which folder is closed and what to do", err)
		}
	}
}

func TestRunsErrorHoldsWhatWasPrinted(t *testing.T) {
	temp(t)
	f := newServerFolder(t)
	defer f.Remove()
	err := f.Run(t.Context(), "sh", "-c", "echo one; echo two >&2; exit 3")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.HasSuffix(err.Error(), ": one\ntwo") {
		t.Errorf("error %v", err)
	}
	if err := f.Run(t.Context(), "echo", "fine"); err != nil {
		t.Error(err)
	}
}

// A program may clear up before it ends, and what it leaves behind is killed.
func TestACanceledProgramEndsInItsOwnWay(t *testing.T) {
	temp(t)
	f := newServerFolder(t)
	defer f.Remove()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for !exists(filepath.Join(f.Path, "ready")) {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	begin := time.Now()
	err := f.Run(ctx, "sh", "-c", `sleep 1000 & echo $! >child; trap 'echo cleared; exit 1' TERM; >ready; while :; do sleep 0.01; done`)
	if err == nil || !strings.HasSuffix(err.Error(), ": cleared") {
		t.Errorf("error %v", err)
	}
	if took := time.Since(begin); took > runGrace {
		t.Errorf("it took %v", took)
	}
	child, err := readPid(filepath.Join(f.Path, "child"))
	if err != nil {
		t.Fatal(err)
	}
	for range 500 {
		if !strings.Contains(commandLine(child), "sleep") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("its child still runs")
}

func TestAServersEndIsSaidFirst(t *testing.T) {
	temp(t)
	f := newServerFolder(t)
	defer f.Remove()
	p, err := f.Start(f.Command(t.Context(), "sh", "-c", "echo out of memory; read line", f.Path))
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	cause := errors.New("broken pipe")
	got := p.Explain(cause)
	if !errors.Is(got, cause) || !strings.HasPrefix(got.Error(), "the private server ended: broken pipe") || !strings.Contains(got.Error(), "out of memory") {
		t.Errorf("error %q", got)
	}
	if err := p.Explain(nil); err != nil {
		t.Errorf("no error becomes %v", err)
	}
	running, err := f.Start(f.Command(t.Context(), "sleep", "1000"))
	if err != nil {
		t.Fatal(err)
	}
	defer running.Stop(syscall.SIGKILL, time.Second)
	for _, err := range []error{cause, context.Canceled} {
		if got := running.Explain(err); got != err {
			t.Errorf("of a running server: %v", got)
		}
	}
	if got := (*Process)(nil).Explain(cause); got != cause {
		t.Errorf("of a server that is not ours: %v", got)
	}
}

func TestAFifoDoesNotHoldUpTheNext(t *testing.T) {
	temp(t)
	gone := newFolder(t)
	if err := syscall.Mkfifo(filepath.Join(gone.Path, pidFile), 0o600); err != nil {
		t.Fatal(err)
	}
	gone.lock.Close()
	next := newFolder(t)
	defer next.Remove()
	if exists(gone.Path) {
		t.Errorf("%s is still there", gone.Path)
	}
}

// Folders that cannot be removed cost no more when there are many.
func TestSweepIsBounded(t *testing.T) {
	temp(t)
	deadline := time.Now().Add(-time.Second)
	f := newServerFolder(t)
	defer f.Remove()
	// It has the folder's name in its command line, and is of no group that we could kill.
	cmd := exec.Command("sh", "-c", "while :; do sleep 0.1; done", f.Path)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if err := os.WriteFile(filepath.Join(f.Path, pidFile), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(commandLine(cmd.Process.Pid), f.Path) {
		time.Sleep(time.Millisecond)
	}
	begin := time.Now()
	if err := stopLeftover(f.Path, deadline); err == nil {
		t.Error("the process has not ended, and no error says so")
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("it took %v, and the time was up", took)
	}
}
