package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/control"
)

const (
	readyLimit = 30 * time.Second // for a worker to start
	leaveLimit = 5 * time.Second  // for an idle worker to end by itself
	mostAnswer = 1 << 20          // bytes of a worker's answer
)

// A process is a worker as the front sees it.
type process struct {
	orders orders
	cmd    *exec.Cmd
	input  io.Closer // the worker lives until this is closed
	client *http.Client
	said   *tail
	log    *slog.Logger
	done   chan struct{} // closed when it has ended and its last record is on the tape

	mu      sync.Mutex
	more    sync.Cond // records or ended has changed
	records int
	conns   map[racelab.ConnID]bool // that it used
	ended   bool
}

// errUndelivered says that the worker never got the request.
var errUndelivered = errors.New("the worker does not answer the door")

// startProcess starts a worker and waits until it serves.
func startProcess(ctx context.Context, o orders, tape *control.Tape, log *slog.Logger) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the program to start workers with: %w", err)
	}
	message, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "worker")
	// Its own group: Ctrl-C in a terminal is for the front, which drains.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	said := &tail{}
	cmd.Stderr = said
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.ExtraFiles = []*os.File{theirs}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		output.Close()
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	p := &process{orders: o, cmd: cmd, input: input, said: said, log: log, done: make(chan struct{}), conns: map[racelab.ConnID]bool{}}
	p.more.L = &p.mu
	p.client = &http.Client{Transport: &http.Transport{
		// One connection a request: net/http then has no reason to ever send one twice.
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "unix", o.Socket)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errUndelivered, err)
			}
			return c, nil
		},
	}}
	ready := make(chan error, 1)
	go func() {
		p.read(output, tape, ready)
		output.Close()
		_ = cmd.Wait() // how it ended, the operating system tells below
		close(p.done)
	}()
	_, err = input.Write(append(message, '\n'))
	if err == nil {
		timer := time.NewTimer(readyLimit)
		defer timer.Stop()
		select {
		case err = <-ready:
		case <-timer.C:
			err = fmt.Errorf("it was not ready after %s", readyLimit)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		p.kill()
		return nil, fmt.Errorf("start worker %s: %w%s", o.Session, err, said.text())
	}
	return p, nil
}

// read puts the worker's records on the tape until it ends.
func (p *process) read(output io.Reader, tape *control.Tape, ready chan<- error) {
	lines := bufio.NewReader(output)
	ready <- greet(lines)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break // what is left of a record that a kill cut off is none
		}
		r, err := control.Decode(line)
		if err != nil {
			p.log.Error("a worker's record cannot be read", "session", p.orders.Session, "error", err)
		} else {
			tape.Add(r)
		}
		p.mu.Lock()
		p.records++
		if r.Conn != "" {
			p.conns[r.Conn] = true
		}
		p.more.Broadcast()
		p.mu.Unlock()
	}
	p.mu.Lock()
	p.ended = true
	p.more.Broadcast()
	p.mu.Unlock()
}

func greet(lines *bufio.Reader) error {
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return errors.New("it ended before it was ready")
	}
	var g greeting
	if err := json.Unmarshal(line, &g); err != nil {
		return fmt.Errorf("its greeting: %w", err)
	}
	if g.Error != "" {
		return errors.New(g.Error)
	}
	return nil
}

// await returns when n records have come.
func (p *process) await(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.records < n && !p.ended {
		p.more.Wait()
	}
}

// connections lists those that the worker has used: it recorded each before a
// statement went to the server.
func (p *process) connections() []racelab.ConnID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.conns))
}

// ask gives a request to the worker. After any error but errUndelivered nobody
// knows what became of it.
func (p *process) ask(ctx context.Context, r request) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, "http://worker"+r.route.path, bytes.NewReader(r.body))
	if err != nil {
		return answer{}, err
	}
	req.Header = r.header
	resp, err := p.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil {
		return answer{}, err
	}
	// What the answer follows is on the tape before anybody sees the answer.
	n, err := strconv.Atoi(resp.Header.Get(recordsHeader))
	if err != nil {
		return answer{}, fmt.Errorf("the answer says nothing of its records: %w", err)
	}
	p.await(n)
	return answer{resp.StatusCode, resp.Header, body}, nil
}

// leave lets an idle worker end by itself, and returns when it has ended.
func (p *process) leave() {
	_ = p.input.Close()
	timer := time.NewTimer(leaveLimit)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.kill()
	}
}

// kill ends the worker, also a stopped one, and returns when it has ended.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// end says how the worker ended, after done is closed.
func (p *process) end() string {
	return p.cmd.ProcessState.String() + p.said.text()
}

// tail keeps the end of what a worker printed, which is a crash's only trace.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const mostTail = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if over := len(t.b) - mostTail; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(b), nil
}

// text returns it as the rest of a sentence; "" if nothing was printed.
func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := strings.TrimSpace(string(t.b)); s != "" {
		return "; it printed: " + s
	}
	return ""
}
