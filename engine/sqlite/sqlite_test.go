package sqlite

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
)

var suite = enginetest.Dialect{
	Level:  "SELECT 'SERIALIZABLE'",
	Allows: map[racelab.Level][]enginetest.Phenomenon{},
	Stale:  map[racelab.Level]racelab.Class{racelab.Serializable: racelab.Busy},
	Busy:   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
	Open:   func(address string) (*sql.DB, error) { return sql.Open("sqlite", address[len("sqlite:"):]) },
}

func TestEmbedded(t *testing.T) { enginetest.Run(t, Engine, "", suite) }

func TestNamedFile(t *testing.T) {
	enginetest.Run(t, Engine, "sqlite:"+filepath.Join(t.TempDir(), "lab.db"), suite)
}

func BenchmarkReset(b *testing.B)   { enginetest.BenchmarkReset(b, Engine, "") }
func BenchmarkBlocked(b *testing.B) { enginetest.BenchmarkBlocked(b, Engine, "") }
func BenchmarkState(b *testing.B)   { enginetest.BenchmarkState(b, Engine, "") }

func TestForeignFileIsRefusedAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "precious.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE precious (n INTEGER); INSERT INTO precious VALUES (42)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	notes := filepath.Join(filepath.Dir(path), "notes.txt")
	if err := os.WriteFile(notes, []byte("no database at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, notes, filepath.Dir(path)} {
		if s, err := Engine.Start(t.Context(), "sqlite:"+p); err == nil {
			s.Close()
			t.Errorf("%s was taken", p)
		}
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 2 {
		t.Errorf("the folder holds %v (%v)", left, err)
	}
	if after, err := os.ReadFile(path); err != nil || !slices.Equal(before, after) {
		t.Errorf("the file changed (%v)", err)
	}
}

func TestAFilesNeighboursAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new.db")
	for _, suffix := range companions {
		if err := os.WriteFile(path+suffix, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := Engine.Start(t.Context(), "sqlite:"+path); err == nil {
			s.Close()
			t.Errorf("%s was taken for racelab's", suffix)
		}
		if b, err := os.ReadFile(path + suffix); err != nil || string(b) != "precious" {
			t.Errorf("%s holds %q (%v)", suffix, b, err)
		}
		if err := os.Remove(path + suffix); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFileHasOneUserAtATime(t *testing.T) {
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "lab.db")
	first, err := Engine.Start(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	w, err := first.Open(t.Context(), racelab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := Engine.Start(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	if w, err := second.Open(t.Context(), racelab.Config{}); err == nil {
		w.Close()
		t.Error("a second racelab took the file")
	}
	attached, err := second.Open(t.Context(), racelab.Config{Attach: w.Address()})
	if err != nil {
		t.Fatalf("one that attaches is refused: %v", err)
	}
	if err := attached.Close(); err != nil {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if w, err = second.Open(t.Context(), racelab.Config{}); err != nil {
		t.Fatalf("after the first has gone: %v", err)
	}
	if err := errors.Join(w.Close(), second.Close()); err != nil {
		t.Error(err)
	}
}
