//go:build unix

package throwaway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type account struct {
	name     string
	uid, gid uint32
}

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
			return &account{name, uint32(uid), uint32(gid)}, nil
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

// Mkdir makes a folder in the folder that belongs to the same user.
func (f *Folder) Mkdir(name string) (path string, err error) {
	path = filepath.Join(f.Path, name)
	err = os.Mkdir(path, 0o700)
	if err == nil && f.as != nil {
		err = os.Lchown(path, int(f.as.uid), int(f.as.gid))
	}
	return path, err
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

// runGrace is how long a program may take to end when it is asked to.
const runGrace = 5 * time.Second

// Run runs a program to its end, as Command prepares it. An error holds the
// last lines of what it printed. When ctx or this process ends, it asks the program alone to end: one
// that runs servers of its own, as initdb does, then sees to it that they leave
// nothing in the system. After a time of grace it kills them all.
func (f *Folder) Run(ctx context.Context, program string, args ...string) error {
	// A pipe would have us wait for whoever else holds it.
	out, err := os.CreateTemp(f.Path, "output-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd := f.Command(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = runGrace
	dieWithParent(cmd.SysProcAttr)
	defer lockThread()()
	if err := f.begin(cmd); err != nil {
		return err
	}
	err = cmd.Wait()
	if ctx.Err() != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whom it left behind
	}
	if printed := lastLines(out.Name()); err != nil && printed != "" {
		err = fmt.Errorf("%w: %s", err, printed)
	}
	return err
}

// begin starts cmd and says what to do if its user cannot get to the folder.
func (f *Folder) begin(cmd *exec.Cmd) error {
	err := cmd.Start()
	if err == nil {
		return nil
	}
	err = fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	if f.as != nil && errors.Is(err, fs.ErrPermission) {
		if closed := f.as.barrier(f.Path); closed != "" {
			return fmt.Errorf("%w: it runs as the user %s, who cannot enter %s: set TMPDIR to a folder that every user can enter, such as /tmp", err, f.as.name, closed)
		}
	}
	return err
}

// barrier returns the outermost folder above path that the user cannot enter,
// "" if there is none. It goes by the modes alone.
func (a *account) barrier(path string) (closed string) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	for path != filepath.Dir(path) {
		path = filepath.Dir(path)
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		may := fs.FileMode(0o001)
		switch {
		case ok && owner.Uid == a.uid:
			may = 0o100
		case ok && owner.Gid == a.gid:
			may = 0o010
		}
		if info.Mode()&may == 0 {
			closed = path
		}
	}
	return closed
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
		err := f.begin(cmd)
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
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
func (p *Process) Log() string { return lastLines(p.log) }

func lastLines(path string) string {
	b, _ := os.ReadFile(path)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}

// deathDelay is how much later than its connections a server may be seen to end.
const deathDelay = 100 * time.Millisecond

// Explain returns err, and if the server has ended, says so first: what err
// itself says is then only how somebody noticed. It wraps err. A nil Process is
// a server that is not ours.
func (p *Process) Explain(err error) error {
	if p == nil || err == nil {
		return err
	}
	var wait time.Duration
	if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		wait = deathDelay
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		select {
		case <-p.done:
		default:
			return err
		}
	}
	if log := p.Log(); log != "" {
		return fmt.Errorf("the private server ended: %w\nits log ends:\n%s", err, log)
	}
	return fmt.Errorf("the private server ended: %w", err)
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
func stopLeftover(folder string, deadline time.Time) error {
	pid, err := readPid(filepath.Join(folder, pidFile))
	if err != nil || pid <= 1 {
		return nil // no server was started
	}
	if !strings.Contains(commandLine(pid), folder) {
		return nil
	}
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	// A process that ended but that init has yet to reap still takes signals;
	// its command line is gone.
	for strings.Contains(commandLine(pid), folder) {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d does not end", pid)
		}
		time.Sleep(10 * time.Millisecond) // it is no child of ours: there is nothing to wait on
	}
	return nil
}

// readPid reads a regular file only: to open another one may take for ever.
func readPid(path string) (int, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return 0, errors.Join(err, errors.New("not a regular file"))
	}
	b, err := io.ReadAll(io.LimitReader(file, 32))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}
