package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/throwaway"
	lib "modernc.org/sqlite/lib"
)

// applicationID marks a file as racelab's ("race" in ASCII), so that no other
// database is ever overwritten.
const applicationID = 0x72616365

const lockSuffix = "-racelab-lock"

// server is a place for world files: a throwaway folder, or beside a named path.
type server struct {
	folder *throwaway.Folder // nil if the path was named
	path   string            // the named path
	lock   *os.File          // beside it, so that no two commands fill the same file
	mu     sync.Mutex
	worlds int
	own    []string // files beside the named path that Close removes
}

func start(_ context.Context, dsn string) (racelab.Server, error) {
	if dsn == "" {
		folder, err := throwaway.NewFolder()
		if err != nil {
			return nil, err
		}
		return &server{folder: folder}, nil
	}
	path, ok := strings.CutPrefix(dsn, "sqlite:")
	if !ok || path == "" {
		return nil, fmt.Errorf("%q is not sqlite:PATH", dsn)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// Only to refuse early what is not racelab's: nothing is made yet.
	return &server{path: path}, claim(path, false)
}

// reserve keeps other commands from filling the named path while this one has
// it.
func (s *server) reserve() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.folder != nil || s.lock != nil {
		return nil
	}
	lock, err := throwaway.TakeLock(s.path + lockSuffix)
	if errors.Is(err, throwaway.ErrLocked) {
		return fmt.Errorf("%s is in use by another racelab", s.path)
	}
	s.lock = lock
	return err
}

func (s *server) Product() racelab.Product {
	return racelab.Product{Name: "SQLite", Version: lib.SQLITE_VERSION, Settings: map[string]string{
		"journal_mode": "wal", "synchronous": "off", "foreign_keys": "on",
	}}
}

// Named has nothing: a path is new, or racelab's own.
func (s *server) Named(context.Context) (racelab.NamedDatabase, error) {
	return racelab.NamedDatabase{}, nil
}

// next names the file of the next world. With a named path the first world has
// that path; more of them (an exploration's workers) lie beside it.
func (s *server) next() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worlds++
	switch {
	case s.folder != nil:
		return filepath.Join(s.folder.Path, fmt.Sprintf("world-%d.db", s.worlds))
	case s.worlds == 1:
		return s.path
	}
	path := fmt.Sprintf("%s-%d", s.path, s.worlds)
	s.own = append(s.own, path)
	return path
}

func (s *server) Open(ctx context.Context, c racelab.Config) (racelab.World, error) {
	if _, err := Engine.Dialect.Level(c.Level); err != nil {
		return nil, err
	}
	if c.Attach != "" {
		path, ok := strings.CutPrefix(c.Attach, "sqlite:")
		if !ok {
			return nil, fmt.Errorf("%q is not the address of a SQLite world", c.Attach)
		}
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("attach to a world: %w", err)
		}
		return openWorld(ctx, path, false, c)
	}
	if err := s.reserve(); err != nil {
		return nil, err
	}
	path := s.next()
	if err := claim(path, true); err != nil {
		return nil, err
	}
	return openWorld(ctx, path, path != s.path, c)
}

// claim refuses a path that racelab may not fill: it must be new, or empty, or
// one that racelab has made, which it empties.
func claim(path string, empty bool) error {
	refused := fmt.Errorf("%s was not made by racelab: name a new file", path)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return refused
	case info.Size() > 0:
		if id, err := idOf(path); err != nil || id != applicationID {
			return refused
		}
		if empty {
			return removeFiles(path)
		}
		return nil
	}
	// SQLite would take these for the new file's own.
	for _, suffix := range companions {
		if _, err := os.Lstat(path + suffix); err == nil {
			return fmt.Errorf("%s stands where a new database keeps its own: name another file", path+suffix)
		}
	}
	if empty {
		return removeFiles(path)
	}
	return nil
}

// idOf reads a database's application id where its format has it
// (https://www.sqlite.org/fileformat.html), without opening it as one.
func idOf(path string) (uint32, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	var header [72]byte
	if _, err := io.ReadFull(file, header[:]); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(header[68:]), nil
}

// companions are the files that SQLite keeps beside a database.
var companions = []string{"-wal", "-shm", "-journal"}

func removeFiles(path string) error {
	var errs []error
	for _, suffix := range append([]string{""}, companions...) {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *server) Close() error {
	if s.folder != nil {
		return s.folder.Remove()
	}
	if s.lock == nil {
		return nil
	}
	// The lock's file goes while the lock is held: nobody waits for it.
	errs := []error{os.Remove(s.path + lockSuffix), s.lock.Close()}
	for _, path := range s.own {
		errs = append(errs, removeFiles(path))
	}
	return errors.Join(errs...)
}
