package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/engine/mysql"
	"github.com/racelab/racelab/engine/postgres"
)

// command runs racelab and returns what it wrote.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	out, said := create(t, filepath.Join(dir, "stdout")), create(t, filepath.Join(dir, "stderr"))
	code = run(args, out, said)
	return code, written(t, out), written(t, said)
}

func create(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func written(t *testing.T, f *os.File) string {
	t.Helper()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTheExamplesComeToWhatTheySay(t *testing.T) {
	for _, c := range []struct {
		engine racelab.Engine
		args   []string
		code   int
		says   string
	}{
		{postgres.Engine, []string{"../../examples/lost-update.spec"}, exitViolated, "violated: lost update"},
		{mysql.Engine, []string{"../../examples/lost-update.spec"}, exitViolated, "violated: lost update"},
		{postgres.Engine, []string{"../../examples/on-call.spec"}, exitViolated, "violated: somebody is on duty is false"},
		{postgres.Engine, []string{"../../examples/on-call.spec", "--level", "SERIALIZABLE"}, exitOK, "holds: all schedules"},
	} {
		t.Run(c.engine.Name+" "+strings.Join(c.args, " "), func(t *testing.T) {
			enginetest.Require(t, c.engine)
			code, out, said := command(t, append([]string{"explore", "--engine", c.engine.Name}, c.args...)...)
			if code != c.code || !strings.Contains(out, c.says) {
				t.Fatalf("exits with %d, want %d, and is to say %q:\n%s%s", code, c.code, c.says, out, said)
			}
			if c.code == exitOK {
				return
			}
			line := regexp.MustCompile(`(?m)^replay   racelab (run \S+) --engine (\S+) --schedule '(.*)'$`).FindStringSubmatch(out)
			if line == nil {
				t.Fatalf("no line replays it:\n%s", out)
			}
			code, out, said = command(t, append(strings.Fields(line[1]), "--engine", line[2], "--schedule", line[3])...)
			if code != exitViolated || !strings.Contains(out, "again    racelab "+line[1]) {
				t.Errorf("the replay exits with %d:\n%s%s", code, out, said)
			}
		})
	}
}

// emptyDatabase makes one, and returns its DSN and what runs statements in it.
func emptyDatabase(t *testing.T, e racelab.Engine) (dsn string, exec func(string)) {
	t.Helper()
	w, err := enginetest.Start(t, e).Open(t.Context(), racelab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	c, err := w.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return w.Address(), func(sql string) {
		t.Helper()
		if err := c.Text(context.Background(), sql, func(racelab.Answer) {}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestASpecFileIsKeptFromDataThatItCouldLose(t *testing.T) {
	dsn, exec := emptyDatabase(t, postgres.Engine)
	file := filepath.Join(t.TempDir(), "test.spec")
	src := `setup { CREATE TABLE t (n int); INSERT INTO t VALUES (1); }
teardown { DROP TABLE t; }
session s step a { UPDATE t SET n = n + 1; }
session u step b { UPDATE t SET n = n + 1; }`
	if err := os.WriteFile(file, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	judged := []string{"explore", file, "--dsn", dsn}
	asIs := append(judged, "--format", "isolationtester")
	for _, args := range [][]string{judged, asIs} {
		if code, out, said := command(t, args...); code != exitOK {
			t.Errorf("%v in an empty database exits with %d:\n%s%s", args[3:], code, out, said)
		}
	}
	for made, drop := range map[string]string{
		"CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)":        "DROP TABLE kept",
		"CREATE VIEW kept AS SELECT 7 AS n":                             "DROP VIEW kept",
		"CREATE SEQUENCE kept":                                          "DROP SEQUENCE kept",
		"CREATE TYPE kept AS ENUM ('x')":                                "DROP TYPE kept",
		"CREATE FUNCTION kept() RETURNS int LANGUAGE sql AS 'SELECT 7'": "DROP FUNCTION kept",
		"CREATE SCHEMA aside; CREATE TABLE aside.kept (n int)":          "DROP SCHEMA aside CASCADE",
	} {
		exec(made)
		for _, args := range [][]string{judged, asIs} {
			code, _, said := command(t, args...)
			if code != exitUsage || !strings.Contains(said, "kept") || !strings.Contains(said, "--allow-destructive") {
				t.Errorf("after %s, %v exits with %d: %s", made, args[3:], code, said)
			}
		}
		exec(drop)
	}

	// Allowed, both leave alone what they are not told to touch; only the one
	// that runs as it is runs there.
	exec("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
	for _, args := range [][]string{judged, asIs} {
		if code, out, said := command(t, append(args, "--allow-destructive")...); code != exitOK {
			t.Errorf("allowed, %v exits with %d:\n%s%s", args[3:], code, out, said)
		}
	}
	exec("DO $$ BEGIN ASSERT (SELECT array_agg(n) FROM kept) = ARRAY[7]; END $$")
	src = strings.Replace(src, "UPDATE t SET n = n + 1", "UPDATE kept SET n = n + 1", 2)
	if err := os.WriteFile(file, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, said := command(t, append(judged, "--allow-destructive")...); code != exitUsage || !strings.Contains(said, `"kept" does not exist`) {
		t.Errorf("judged, the file reaches what is in the named database: %d %s", code, said)
	}
	if code, out, _ := command(t, append(asIs, "--allow-destructive")...); code != exitOK {
		t.Errorf("as it is, the file does not reach what is in the named database: %d\n%s", code, out)
	}
	exec("DO $$ BEGIN ASSERT (SELECT array_agg(n) FROM kept) = ARRAY[11]; END $$") // two orders of two steps
	exec("DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM pg_class WHERE relname = 't' OR relname LIKE 'racelab%'); END $$")
}

func TestASpecFileIsKeptFromTheTablesOfMariaDB(t *testing.T) {
	dsn, exec := emptyDatabase(t, mysql.Engine)
	exec("CREATE TABLE kept (n int)")
	code, _, said := command(t, "explore", "../../examples/on-call.spec", "--dsn", dsn)
	if code != exitUsage || !strings.Contains(said, "kept") || !strings.Contains(said, "--allow-destructive") {
		t.Errorf("it exits with %d: %s", code, said)
	}
	if code, out, said := command(t, "explore", "../../examples/on-call.spec", "--dsn", dsn, "--allow-destructive"); code != exitViolated {
		t.Errorf("allowed, it exits with %d:\n%s%s", code, out, said)
	}
}

// A server that is still there is not lost.
func TestASessionThatEndsItsOwnConnectionIsToldSo(t *testing.T) {
	for _, c := range []struct {
		engine racelab.Engine
		ends   string
	}{
		{postgres.Engine, "SELECT pg_terminate_backend(pg_backend_pid())"},
		{mysql.Engine, "KILL CONNECTION_ID()"},
	} {
		t.Run(c.engine.Name, func(t *testing.T) {
			enginetest.Require(t, c.engine)
			file := filepath.Join(t.TempDir(), "test.spec")
			if err := os.WriteFile(file, []byte("setup { CREATE TABLE t (n int); } session s step a { "+c.ends+"; } session u step b { SELECT n FROM t; }"), 0o600); err != nil {
				t.Fatal(err)
			}
			code, out, said := command(t, "explore", file, "--engine", c.engine.Name)
			if code != exitUnreachable || !strings.Contains(said, "ended the connection of session A at A1 ("+c.ends+")") || strings.Contains(said, "the server was lost") {
				t.Errorf("it exits with %d:\n%s%s", code, out, said)
			}
		})
	}
}
