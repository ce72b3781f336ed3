//go:build unix

// Package throwaway keeps what must not outlive a run: short temporary folders
// with a lock file, and the servers that live in them.
//
// A folder belongs to the process that holds the lock on its lock file. The
// lock goes away with the process, however that ends, so whoever can take it
// knows that the owner is gone and may remove the folder. Nothing is ever
// removed or killed because of its name alone.
package throwaway

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	prefix   = "racelab-"
	unnamed  = ".racelab-" // in the making
	lockFile = "racelab.lock"
	pidFile  = "server.pid"
)

// A Folder is a temporary folder that this process owns.
type Folder struct {
	Path string
	lock *os.File
	as   *account // whom its server runs as; nil: ourselves
}

// NewFolder makes a folder in the system's place for temporary files, and
// first removes those whose owner is gone.
func NewFolder() (*Folder, error) {
	// The folder is where its server works: a path from here would be another there.
	parent, err := filepath.Abs(os.TempDir())
	if err != nil {
		return nil, fmt.Errorf("make a temporary folder: %w", err)
	}
	sweep(parent)
	// It gets its name when it has its lock: to others, who may be sweeping,
	// a folder of that name without one has lost its owner.
	path, err := os.MkdirTemp(parent, unnamed)
	if err != nil {
		return nil, fmt.Errorf("make a temporary folder (set TMPDIR to a folder that can be written): %w", err)
	}
	f := &Folder{Path: path}
	if err := f.own(parent); err != nil {
		os.RemoveAll(f.Path)
		if f.lock != nil {
			f.lock.Close()
		}
		return nil, fmt.Errorf("make a temporary folder: %w", err)
	}
	return f, nil
}

func (f *Folder) own(parent string) (err error) {
	if f.lock, err = TakeLock(filepath.Join(f.Path, lockFile)); err != nil {
		return err
	}
	named := filepath.Join(parent, prefix+strings.TrimPrefix(filepath.Base(f.Path), unnamed))
	if err := os.Rename(f.Path, named); err != nil {
		return err
	}
	f.Path = named
	return nil
}

// Socket returns the path of a unix socket of that name in the folder, or an
// error if the system cannot take a path that long.
func (f *Folder) Socket(name string) (string, error) {
	const most = 103 // macOS; Linux takes 107
	path := filepath.Join(f.Path, name)
	if len(path) > most {
		return "", fmt.Errorf("the socket path %s has %d bytes and may have %d: set TMPDIR to a shorter folder, such as /tmp", path, len(path), most)
	}
	return path, nil
}

// Remove deletes the folder and gives up the lock.
func (f *Folder) Remove() error {
	err := os.RemoveAll(f.Path)
	return errors.Join(err, f.lock.Close())
}

// ErrLocked says that another process holds a lock.
var ErrLocked = errors.New("in use by another process")

// TakeLock makes the file if need be and locks it, or fails with ErrLocked.
// Closing the file, as the end of the process does, gives the lock up.
func TakeLock(path string) (*os.File, error) { return takeLock(path, os.O_CREATE) }

func takeLock(path string, flag int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|flag, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, err
	}
	// Who had the lock before may have removed the file since we opened it.
	here, err := os.Stat(path)
	if held, _ := file.Stat(); err != nil || !os.SameFile(here, held) {
		file.Close()
		return nil, ErrLocked
	}
	return file, nil
}

// ours reports whether we made a folder: its owner is us or, for those we gave
// to a server, the user we run servers as.
func ours(info os.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	if int(owner.Uid) == os.Geteuid() {
		return true
	}
	as, err := unprivileged()
	return os.Geteuid() == 0 && err == nil && owner.Uid == as.uid
}

// sweepLimit bounds the waits of one sweep, for all its folders together. What
// is not gone by then is tried once, and left to the next sweep.
const sweepLimit = 3 * time.Second

// sweep removes the folders in parent whose owner is gone. What it may not
// touch it leaves: another user's folders, and those it cannot read.
func sweep(parent string) {
	deadline := time.Now().Add(sweepLimit)
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		path := filepath.Join(parent, e.Name())
		making := strings.HasPrefix(e.Name(), unnamed)
		if !e.IsDir() || !making && !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		info, err := e.Info()
		if err != nil || !ours(info) {
			continue
		}
		if making && time.Since(info.ModTime()) < time.Minute {
			continue // its maker is about to lock it
		}
		lock, err := takeLock(filepath.Join(path, lockFile), 0)
		if making && errors.Is(err, os.ErrNotExist) {
			os.Remove(path) // its maker never came to lock it; only if empty
		}
		if err != nil {
			continue
		}
		if stopLeftover(path, deadline) == nil {
			removeLeftover(path, deadline)
		}
		lock.Close()
	}
}

// removeLeftover tries again when a child of the dead server, which notices
// its parent's end a moment later, adds a file to a folder being removed.
func removeLeftover(path string, deadline time.Time) {
	for os.RemoveAll(path) != nil && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
}
