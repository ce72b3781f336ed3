//go:build unix

package throwaway

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type account struct{ uid, gid uint32 }

// unprivileged finds whom a server may run as when we are root, which database
// servers refuse.
func unprivileged() (*account, error) {
	for _, name := range []string{"postgres", "mysql", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil && uid != 0 {
			return &account{uint32(uid), uint32(gid)}, nil
		}
	}
	return nil, errors.New("database servers do not run as root, and there is no user postgres, mysql or nobody to run one as")
}

// NewServerFolder is NewFolder for a database server to live in. As root, which
// servers refuse to run as, it gives the folder to an unprivileged user.
func NewServerFolder() (*Folder, error) {
	f, err := NewFolder()
	if err != nil || os.Geteuid() != 0 {
		return f, err
	}
	if f.as, err = unprivileged(); err == nil {
		err = os.Chown(f.Path, int(f.as.uid), int(f.as.gid))
	}
	if err != nil {
		return nil, errors.Join(err, f.Remove())
	}
	return f, nil
}

// Command prepares a program that works in the folder: as the user the folder
// was given to, in a process group of its own so that Ctrl-C reaches it only
// through us, and without our environment's secrets.
func (f *Folder) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = f.Path
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + f.Path, "TMPDIR=" + f.Path, "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if f.as != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: f.as.uid, Gid: f.as.gid}
	}
	return cmd
}

// A Process is a server that runs in a folder.
type Process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// Start runs cmd as the folder's one server, its output in the folder's
// server.log. When this process dies it gets SIGQUIT at once where the system
// can do that; otherwise the next NewFolder kills it.
func (f *Folder) Start(cmd *exec.Cmd) (*Process, error) {
	logPath := filepath.Join(f.Path, "server.log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	dieWithParent(cmd.SysProcAttr)
	started := make(chan error)
	p := &Process{cmd: cmd, log: logPath, done: make(chan struct{})}
	go func() {
		// The parent that a death signal watches is a thread: keep it.
		unlock := lockThread()
		defer unlock()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	if err := os.WriteFile(filepath.Join(f.Path, pidFile), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		p.Stop(syscall.SIGKILL, 0)
		return nil, err
	}
	return p, nil
}

// Pid returns the server's process number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the server has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Log returns the last lines of what the server printed, for an error.
func (p *Process) Log() string {
	b, _ := os.ReadFile(p.log)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}

// Stop sends sig, waits for the server's end, and after grace kills it.
func (p *Process) Stop(sig syscall.Signal, grace time.Duration) {
	_ = p.cmd.Process.Signal(sig)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return
	case <-timer.C:
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// stopLeftover kills the server that lives in a folder whose owner is gone. It
// makes sure that the process under the recorded number is still that server:
// one whose command line names the folder.
func stopLeftover(folder string) error {
	b, err := os.ReadFile(filepath.Join(folder, pidFile))
	if err != nil {
		return nil // no server was started
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 1 {
		return nil
	}
	if !strings.Contains(commandLine(pid), folder) {
		return nil
	}
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	for range 500 { // 5 s, on a machine that is busy
		// A process that ended but that init has yet to reap still takes
		// signals; its command line is gone.
		if !strings.Contains(commandLine(pid), folder) {
			return nil
		}
		time.Sleep(10 * time.Millisecond) // it is no child of ours: there is nothing to wait on
	}
	return fmt.Errorf("process %d does not end", pid)
}
