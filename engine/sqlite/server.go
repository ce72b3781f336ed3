package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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

func start(ctx context.Context, dsn string) (racelab.Server, error) {
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
	// Before the lock, for that makes a file: beside what is not racelab's it
	// leaves nothing.
	if err := claim(ctx, path, false); err != nil {
		return nil, err
	}
	lock, err := throwaway.TakeLock(path + lockSuffix)
	if errors.Is(err, throwaway.ErrLocked) {
		return nil, fmt.Errorf("%s is in use by another racelab", path)
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &server{path: path, lock: lock}, nil
}

func (s *server) Product() racelab.Product {
	return racelab.Product{Name: "SQLite", Version: lib.SQLITE_VERSION, Settings: map[string]string{
		"journal_mode": "wal", "synchronous": "off", "foreign_keys": "on",
	}}
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
		return openWorld(ctx, path, c)
	}
	path := s.next()
	if err := claim(ctx, path, true); err != nil {
		return nil, err
	}
	return openWorld(ctx, path, c)
}

// claim refuses a path that racelab may not fill: it must be new, or empty, or
// one that racelab has made, which it empties.
func claim(ctx context.Context, path string, empty bool) error {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	refused := fmt.Errorf("%s exists and was not made by racelab: name a new file", path)
	if !info.Mode().IsRegular() {
		return refused
	}
	if info.Size() > 0 {
		db, err := sql.Open("sqlite", "file:"+escape(path)+"?mode=ro")
		if err != nil {
			return err
		}
		defer db.Close()
		var id int64
		if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil || id != applicationID {
			return refused
		}
	}
	if !empty {
		return nil
	}
	return removeFiles(path)
}

func removeFiles(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
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
	// The lock's file goes while the lock is held: nobody waits for it.
	errs := []error{os.Remove(s.path + lockSuffix), s.lock.Close()}
	for _, path := range s.own {
		errs = append(errs, removeFiles(path))
	}
	return errors.Join(errs...)
}
