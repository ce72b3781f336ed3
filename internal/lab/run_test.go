package lab

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// aloneProcess is a laboratory in a process of its own, so that it can get
// signals.
type aloneProcess struct {
	*client
	cmd   *exec.Cmd
	ready Ready
	tmp   string
	said  *strings.Builder
}

func alone(t *testing.T, args ...string) *aloneProcess {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tmp := shortTemp(t)
	cmd := exec.Command(program, append([]string{"serve"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	said := &strings.Builder{}
	cmd.Stderr = said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		http.DefaultClient.CloseIdleConnections()
	})
	p := &aloneProcess{cmd: cmd, tmp: tmp, said: said}
	if err := json.NewDecoder(out).Decode(&p.ready); err != nil {
		t.Fatalf("%v %s", err, said)
	}
	p.client = &client{t: t, url: p.ready.URL}
	return p
}

// gone waits for the laboratory's end, and says what it left.
func (p *aloneProcess) gone(code int) {
	p.t.Helper()
	_ = p.cmd.Wait()
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("it ended with %s, %s", p.cmd.ProcessState, p.said)
	}
	for _, pid := range p.ready.Pids {
		if alive(pid) {
			p.t.Errorf("worker %d is left", pid)
		}
	}
	isEmpty(p.t, p.tmp)
}

// refuses waits until nobody listens any more.
func (p *aloneProcess) refuses() {
	p.t.Helper()
	until(p.t, "it has stopped listening", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
}

func TestSignalLetsRequestsEnd(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := alone(t, "-window", "1s")
		answer := p.paying("/demo/atomic_long_delay/", "account=1&amount=5", requestHeader, "last")
		p.inWindow("last")
		send(t, p.cmd.Process.Pid, s)
		p.refuses()
		if r := <-answer; r.status != http.StatusOK || r.body != "200" {
			t.Errorf("%v: %d %s", s, r.status, r.body)
		}
		p.gone(0)
	}
}

// As systemd does it, and whoever ends a process group.
func TestSignalToTheWorkersTooLetsRequestsEnd(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := alone(t, "-window", "1s")
		answer := p.paying("/demo/atomic_long_delay/", "account=1&amount=5", requestHeader, "last")
		p.inWindow("last")
		for _, pid := range append(p.ready.Pids, p.cmd.Process.Pid) {
			send(t, pid, s)
		}
		if r := <-answer; r.status != http.StatusOK || r.body != "200" {
			t.Errorf("%v: %d %s", s, r.status, r.body)
		}
		p.gone(0)
	}
}

func TestRequestsThatDoNotEndInTimeAreCutAndCounted(t *testing.T) {
	p := alone(t, "-window", "1h", "-front-timeout", "500ms")
	running := p.paying("/demo/atomic_long_delay/", "account=1&amount=5", requestHeader, "running")
	p.inWindow("running")
	queued := p.paying("/demo/atomic_long_delay/", "account=1&amount=5")
	until(t, "both are in flight", func() bool { return p.settings().InFlight == 2 })
	send(t, p.cmd.Process.Pid, syscall.SIGTERM)
	<-running
	<-queued
	p.gone(1)
	if said := p.said.String(); !strings.Contains(said, ErrLate.Error()) || !strings.Contains(said, "cut off: 2") {
		t.Errorf("it said %q", said)
	}
}

func TestReadyLineDescribesTheLab(t *testing.T) {
	p := alone(t, "-window", "20ms")
	if r := p.ready; r.Schema != "racelab.serve/1" || r.Level != "SERIALIZABLE" || r.Window != "20ms" || r.Workers != 1 || len(r.Pids) != 1 || r.Pid != p.cmd.Process.Pid {
		t.Errorf("%+v", r)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := alone(t, "-window", "1h")
	answer := p.paying("/demo/atomic_long_delay/", "account=1&amount=5", requestHeader, "last")
	p.inWindow("last")
	send(t, p.cmd.Process.Pid, syscall.SIGTERM)
	p.refuses()
	send(t, p.cmd.Process.Pid, syscall.SIGTERM)
	if r := <-answer; r.status != http.StatusBadGateway || r.class() != "unknown" {
		t.Errorf("%d %s", r.status, r.body)
	}
	p.gone(1)
	if !strings.Contains(p.said.String(), ErrCut.Error()) {
		t.Errorf("it said %q", p.said)
	}
}

// A front that is killed can tidy nothing, but its workers notice; the next
// laboratory on the machine removes its folders.
func TestWorkersDoNotOutliveTheFront(t *testing.T) {
	p := alone(t, "-window", "1h")
	answer := p.paying("/demo/atomic_long_delay/", "account=1&amount=5", requestHeader, "last")
	p.inWindow("last")
	send(t, p.cmd.Process.Pid, syscall.SIGKILL)
	<-answer
	_ = p.cmd.Wait()
	for _, pid := range p.ready.Pids {
		until(t, "the workers are gone", func() bool { return !alive(pid) })
	}
}
