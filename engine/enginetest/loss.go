package enginetest

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/racelab/racelab"
)

// loss kills a private server beneath its world.
func (s *suite) loss(t *testing.T) {
	tmp := ownTemp(t)
	server, err := s.engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	pids, err := filepath.Glob(filepath.Join(tmp, "*", "server.pid"))
	if err != nil {
		t.Fatal(err)
	}
	if len(pids) == 0 {
		t.Fatalf("%s runs in no process of its own", s.engine.Name)
	}
	w, err := server.Open(t.Context(), racelab.Config{Setup: schema(s.engine.Dialect), State: schemaTables})
	if err != nil {
		t.Fatal(err)
	}
	a, b, c := s.connect(t, w), s.connect(t, w), s.connect(t, w)
	a.exec(t, "BEGIN", addOne)
	waiting := b.start(t, addOne)
	busy := c.start(t, s.dialect.Busy)
	untilBlocked(t, w, []*session{a, b, c}, b)

	text, err := os.ReadFile(pids[0])
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		t.Fatalf("process number %q", text)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s.expect(t, waiting.end(), racelab.ConnectionLost)
	s.expect(t, busy.end(), racelab.ConnectionLost)
	s.expect(t, a.try(ctx, "COMMIT"), racelab.ConnectionLost)
	if _, err := w.Blocked(ctx, connIDs([]*session{a, b, c})); err == nil {
		t.Error("the dead server says who is blocked")
	}
	if conn, err := w.Connect(ctx); err == nil {
		conn.Close()
		t.Error("the dead server accepts a connection")
	}
	w.Close() // may report that there was nothing left to drop
	if err := server.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if left, _ := os.ReadDir(tmp); len(left) != 0 {
		t.Errorf("left behind: %s", left[0].Name())
	}
	if ctx.Err() != nil {
		t.Error("closing took as long as patience lasts")
	}
}
