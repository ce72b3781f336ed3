package mysql

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
)

// TestMain lets the test binary be a racelab that dies.
func TestMain(m *testing.M) {
	if os.Getenv("RACELAB_TEST_HOLD") == "" {
		os.Exit(m.Run())
	}
	s, err := Engine.Start(context.Background(), "")
	if err == nil {
		_, err = s.Open(context.Background(), racelab.Config{Setup: []string{"CREATE TABLE t (id INT)"}})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	p := s.(*server).private
	fmt.Println(p.process.Pid(), p.folder.Path)
	select {}
}

// A racelab that was killed leaves a folder, and perhaps a server. The next one
// removes them.
func TestNextStartSweepsAfterKill(t *testing.T) {
	enginetest.Require(t, Engine)
	tmp, err := os.MkdirTemp("", "rt")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", tmp)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "RACELAB_TEST_HOLD=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	var folder string
	if _, err := fmt.Sscan(line, &pid, &folder); err != nil || !strings.HasPrefix(folder, tmp) {
		t.Fatalf("the other racelab says %q", line)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if _, err := os.Stat(folder); err != nil {
		t.Fatalf("nothing to sweep: %v", err)
	}
	s, err := Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
	until(t, "the server ends", func() bool { return syscall.Kill(pid, 0) != nil || zombie(pid) })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(tmp); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// zombie: in a container nobody may collect a process whose parent has gone.
func zombie(pid int) bool {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, found := strings.Cut(string(b), ") ")
	return found && strings.HasPrefix(after, "Z")
}
