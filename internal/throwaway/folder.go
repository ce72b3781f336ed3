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
	lockFile = "lock"
	pidFile  = "server.pid"
)

// A Folder is a temporary folder that this process owns.
type Folder struct {
	Path string
	lock *os.File
	as   *account // whom servers run as; nil: ourselves
}

// NewFolder makes a folder in the system's place for temporary files, and
// first removes those whose owner is gone.
func NewFolder() (*Folder, error) {
	parent := os.TempDir()
	sweep(parent)
	path, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return nil, fmt.Errorf("make a temporary folder (set TMPDIR to a folder that can be written): %w", err)
	}
	lock, err := takeLock(filepath.Join(path, lockFile), os.O_CREATE)
	if err != nil {
		os.RemoveAll(path)
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	f := &Folder{Path: path, lock: lock}
	if os.Geteuid() == 0 {
		if f.as, err = unprivileged(); err == nil {
			err = os.Chown(path, int(f.as.uid), int(f.as.gid))
		}
		if err != nil {
			f.Remove()
			return nil, err
		}
	}
	return f, nil
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

func takeLock(path string, flag int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|flag, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// sweep removes the folders in parent whose owner is gone. What it may not
// touch it leaves: another user's folders, and those it cannot read.
func sweep(parent string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		path := filepath.Join(parent, e.Name())
		if !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		info, err := os.Lstat(path)
		if err != nil {
			continue
		}
		lock, err := takeLock(filepath.Join(path, lockFile), 0)
		switch {
		case err == nil:
			if stopLeftover(path) == nil {
				removeLeftover(path)
			}
			lock.Close()
		case errors.Is(err, os.ErrNotExist) && time.Since(info.ModTime()) > time.Minute:
			// Its maker died before it could take the lock, or has yet to.
			os.Remove(path) // only if empty
		}
	}
}

// removeLeftover tries again when a child of the dead server, which notices
// its parent's end a moment later, adds a file to a folder being removed.
func removeLeftover(path string) {
	for range 100 {
		if os.RemoveAll(path) == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
