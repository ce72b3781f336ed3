package lab

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/control"
)

func TestWorkerOverItsTimeIsKilledAndReplaced(t *testing.T) {
	c := open(t, func(c *Config) { c.Window, c.WorkerTimeout = never, 3*time.Second })
	before := c.settings().Pids
	r := c.pay("/demo/non_atomic_long_delay/", "account=1&amount=5")
	if r.status != http.StatusBadGateway || r.class() != "unknown" || r.header.Get(strategyHeader) != "read-modify-write" {
		t.Fatalf("%d %v %s", r.status, r.header, r.body)
	}
	if alive(before[0]) {
		t.Error("the worker lives on")
	}
	if r := c.pay("/demo/non_atomic_no_delay/", "account=1&amount=5"); r.status != http.StatusOK {
		t.Fatalf("its replacement: %d %s", r.status, r.body)
	}
	if after := c.settings().Pids; len(after) != 1 || after[0] == before[0] {
		t.Errorf("the workers were %v and are %v", before, after)
	}
	if a := c.account(); a.Balance != 5 || a.Rows != 1 {
		t.Errorf("the account is %+v", a)
	}
}

// A process that had a request has started well, however soon it was killed.
func TestManyTimeoutsInARowDoNotCloseTheLab(t *testing.T) {
	c := open(t, func(c *Config) { c.Window, c.WorkerTimeout, c.FrontTimeout = never, 50*time.Millisecond, time.Minute })
	for range 2 * mostFailures {
		if r := c.pay("/demo/non_atomic_long_delay/", "account=1&amount=5"); r.status != http.StatusBadGateway {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	select {
	case err := <-c.lab.Failed():
		t.Errorf("the laboratory failed: %v", err)
	default:
	}
}

// One worker's door is gone, and so is the way to start it again; the other one
// serves, and gets what the first one could not be given.
func TestARequestThatItsWorkerNeverGotGoesToAnother(t *testing.T) {
	c := open(t, nil)
	started := 0
	var first orders
	p := newPool(func(id racelab.SessionID, l racelab.Level) orders {
		c.lab.pool.mu.Lock() // any will do
		defer c.lab.pool.mu.Unlock()
		o := c.lab.pool.orders(id, l)
		if started++; started == 1 {
			first = o
		} else if started > 2 {
			o.Engine = "unheard-of"
		}
		return o
	}, c.lab.world, control.NewTape(100), time.Minute, testConfig().Log)
	defer p.close(ended())
	if err := p.resize(t.Context(), 2, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(first.Socket); err != nil {
		t.Fatal(err)
	}
	to, err := find(routes(c.lab.config.Engine, ""), demoPath, "non_atomic_no_delay")
	if err != nil {
		t.Fatal(err)
	}
	var answers []chan answer
	for range 2 {
		r := request{route: to, method: http.MethodPost, body: []byte("account=1&amount=5"), answer: make(chan answer, 1), header: http.Header{
			"Content-Type": {urlencodedType}, strategyHeader: {to.strategy.Name}, windowHeader: {"500ms"},
		}}
		answers = append(answers, r.answer)
		if err := p.submit(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for _, got := range answers {
		if a := <-got; a.status != http.StatusOK {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
}

func TestCrashedWorkerIsReplacedByAnotherSession(t *testing.T) {
	c := open(t, func(c *Config) { c.Window = never })
	pid := c.settings().Pids[0]
	answer := c.paying("/demo/non_atomic_long_delay/", "account=1&amount=5", requestHeader, "victim")
	c.inWindow("victim")
	send(t, pid, syscall.SIGKILL)
	if r := <-answer; r.status != http.StatusBadGateway || r.class() != "unknown" {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r := c.pay("/demo/non_atomic_no_delay/", "account=1&amount=5", requestHeader, "next"); r.status != http.StatusOK {
		t.Fatalf("its replacement: %d %s", r.status, r.body)
	}
	victim, next := c.history(url.Values{"request": {"victim"}}), c.history(url.Values{"request": {"next"}})
	if victim.Events[0].Op.Session != "A" || next.Events[0].Op.Session != "B" {
		t.Errorf("the sessions are %s and %s", victim.Events[0].Op.Session, next.Events[0].Op.Session)
	}
}

func TestIdleWorkersThatAreKilledAreReplaced(t *testing.T) {
	c := open(t, func(c *Config) { c.Workers = 3 })
	before := c.settings().Pids
	for _, pid := range before {
		send(t, pid, syscall.SIGKILL)
	}
	until(t, "there are three others", func() bool {
		now := c.settings().Pids
		return len(now) == 3 && !slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(before, pid) })
	})
	if r := c.pay("/demo/atomic_no_delay/", "account=1&amount=5"); r.status != http.StatusOK {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestFrontAnswersWhileEveryWorkerIsStopped(t *testing.T) {
	c := open(t, func(c *Config) { c.Workers = 2 })
	for _, pid := range c.settings().Pids {
		send(t, pid, syscall.SIGSTOP)
	}
	answer := c.paying("/demo/atomic_no_delay/", "account=1&amount=5")
	until(t, "the request is in flight", func() bool { return c.settings().InFlight == 1 })
	for _, path := range []string{"/static/style.css", "/", "/healthz", "/api/accounts", "/api/ledger?account=1", "/api/settings", "/api/history"} {
		if r := c.do(http.MethodGet, path, "", ""); r.status != http.StatusOK || r.body == "" {
			t.Errorf("%s: %d", path, r.status)
		}
	}
	for _, pid := range c.settings().Pids {
		send(t, pid, syscall.SIGCONT)
	}
	if r := <-answer; r.status != http.StatusOK {
		t.Errorf("after they went on: %d %s", r.status, r.body)
	}
}

func TestStoppedWorkerIsKilledToo(t *testing.T) {
	c := open(t, func(c *Config) { c.WorkerTimeout = 3 * time.Second })
	send(t, c.settings().Pids[0], syscall.SIGSTOP)
	if r := c.pay("/demo/atomic_no_delay/", "account=1&amount=5"); r.status != http.StatusBadGateway {
		t.Errorf("%d", r.status)
	}
	if r := c.pay("/demo/atomic_no_delay/", "account=1&amount=5"); r.status != http.StatusOK {
		t.Errorf("its replacement: %d", r.status)
	}
}

// The answer is given up, the request is not: neither the one that a worker
// has, nor the one that is still in the queue.
func TestAbandonedRequestsRunOn(t *testing.T) {
	c := open(t, func(c *Config) { c.FrontTimeout = 100 * time.Millisecond })
	form := "account=1&amount=5&window=1s"
	first := c.paying("/deposit/read-modify-write", form, requestHeader, "first")
	second := c.paying("/deposit/read-modify-write", form, requestHeader, "second")
	for _, answer := range []<-chan replied{first, second} {
		r := <-answer
		if r.status != http.StatusGatewayTimeout || r.class() != "unknown" || r.header.Get(strategyHeader) != "read-modify-write" {
			t.Errorf("%d %v %s", r.status, r.header, r.body)
		}
	}
	until(t, "nothing is in flight", func() bool { return c.settings().InFlight == 0 })
	if a := c.account(); a.Balance != 10 || a.Rows != 2 {
		t.Errorf("the account is %+v", a)
	}
}

func TestClientThatHangsUpDoesNotEndItsRequest(t *testing.T) {
	c := open(t, nil)
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/deposit/immediate", strings.NewReader("account=1&amount=5&window=500ms"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", urlencodedType)
	req.Header.Set(requestHeader, "gone")
	hungUp := make(chan error)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		hungUp <- err
	}()
	c.inWindow("gone")
	hangUp()
	if err := <-hungUp; err == nil {
		t.Fatal("there was an answer already")
	}
	until(t, "it has ended", func() bool { return c.settings().InFlight == 0 })
	if a := c.account(); a.Balance != 5 || a.Rows != 1 {
		t.Errorf("the account is %+v", a)
	}
}

func TestWorkerThatCannotStartIsAnError(t *testing.T) {
	tmp := shortTemp(t)
	t.Setenv("TMPDIR", tmp)
	c := testConfig()
	c.Engine.Name = "unheard-of" // the front has the value, the worker has to find it
	l, err := Start(t.Context(), c)
	if err == nil {
		l.Close(t.Context())
	}
	if err == nil || !strings.Contains(err.Error(), `unknown engine "unheard-of"`) {
		t.Errorf("%v", err)
	}
	isEmpty(t, tmp)
}

func TestWorkersThatCannotBeReplacedAreAnErrorAndNoLoop(t *testing.T) {
	c := open(t, nil)
	sockets, err := filepath.Glob(filepath.Join(os.TempDir(), "racelab-*", "worker-*"))
	if err != nil || len(sockets) != 1 {
		t.Fatalf("the sockets are %v, %v", sockets, err)
	}
	if err := os.RemoveAll(filepath.Dir(sockets[0])); err != nil { // nobody can listen there any more
		t.Fatal(err)
	}
	send(t, c.settings().Pids[0], syscall.SIGKILL)
	if err := <-c.lab.Failed(); err == nil || !strings.Contains(err.Error(), "listen") {
		t.Errorf("%v", err)
	}
	// What comes now waits in vain, until the laboratory is closed.
	answer := c.paying("/demo/atomic_no_delay/", "account=1&amount=5")
	until(t, "it is in flight", func() bool { return c.settings().InFlight == 1 })
	c.lab.pool.close(ended())
	if r := <-answer; r.status != http.StatusServiceUnavailable || r.class() != "overloaded" {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestWorkerEndsWithItsInput(t *testing.T) {
	in, front := io.Pipe()
	done := make(chan error)
	go func() { done <- work(t.Context(), in, io.Discard) }()
	front.Close()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "racelab serve") {
		t.Errorf("%v", err)
	}
}

func TestAFullQueueTurnsAway(t *testing.T) {
	p := newPool(nil, nil, control.NewTape(1), time.Second, testConfig().Log)
	p.queue = make(chan request, 1)
	waits := request{answer: make(chan answer, 1)}
	if err := p.submit(t.Context(), waits); err != nil {
		t.Fatal(err)
	}
	if err := p.submit(t.Context(), request{}); !errors.Is(err, errFull) {
		t.Errorf("%v", err)
	}
	p.close(ended())
	if a := <-waits.answer; a.status != http.StatusServiceUnavailable || a.header.Get(classHeader) != "overloaded" {
		t.Errorf("%+v", a)
	}
	if err := p.submit(t.Context(), request{}); !errors.Is(err, errClosing) {
		t.Errorf("%v", err)
	}
}

func TestProcessMutexIsRightInOneProcessAndWrongInThree(t *testing.T) {
	round := func(c *client) account {
		c.reset()
		var answers []<-chan replied
		for range 3 {
			answers = append(answers, c.paying("/deposit/process-mutex", "account=1&amount=100&window=50ms"))
		}
		for _, answer := range answers {
			if r := <-answer; r.status != http.StatusOK {
				t.Fatalf("%d %s", r.status, r.body)
			}
		}
		return c.account()
	}
	t.Run("three", func(t *testing.T) {
		c := open(t, func(c *Config) { c.Workers = 3 })
		until(t, "money is lost", func() bool { return round(c).Difference > 0 })
	})
	t.Run("one", func(t *testing.T) {
		c := open(t, nil)
		for range 3 {
			if a := round(c); a.Balance != 300 || a.Rows != 3 || a.Difference != 0 {
				t.Fatalf("the account is %+v", a)
			}
		}
	})
}

func TestHistoryIsMergedAcrossWorkersInOrder(t *testing.T) {
	c := open(t, func(c *Config) { c.Workers = 3 })
	c.pay("/deposit/read-modify-write", "account=1&amount=1&window=0", requestHeader, "other")
	sessions := map[racelab.SessionID]bool{}
	// Usually one round is enough; nothing promises that each worker gets one.
	until(t, "two workers had a request of a round", func() bool {
		clear(sessions)
		var answers []<-chan replied
		for i := range 3 {
			answers = append(answers, c.paying("/deposit/read-modify-write", "account=1&amount=1&window=100ms", requestHeader, "round-"+strconv.Itoa(i)))
		}
		for _, answer := range answers {
			<-answer
		}
		// Nothing is waited for: an answer's records are there before it.
		h := c.history(url.Values{"prefix": {"round-"}})
		for _, e := range h.Events {
			sessions[e.Op.Session] = true
		}
		return len(sessions) > 1
	})
	h := c.history(url.Values{"request": {"round-0", "round-1"}, "prefix": {"round-2"}})
	if len(h.Events) != len(h.At) || h.At[0] != 0 || !slices.IsSorted(h.At) || h.Dropped != 0 || h.Cut != 0 {
		t.Errorf("%d events at %v", len(h.Events), h.At)
	}
	calls := map[racelab.CallID][]racelab.EventKind{}
	for _, e := range h.Events {
		calls[e.Op.Call] = append(calls[e.Op.Call], e.Kind)
		if e.Kind == racelab.Called && e.Op.Args != nil {
			t.Errorf("the call's arguments are %v", e.Op.Args)
		}
	}
	for call, kinds := range calls {
		if kinds[0] != racelab.Called || kinds[len(kinds)-1] != racelab.Returned || len(kinds) < 10 {
			t.Errorf("call %s: %v", call, kinds)
		}
	}
	if got := c.history(url.Values{"request": {"nobody"}}); len(got.Events) != 0 {
		t.Errorf("a request that never was has %d events", len(got.Events))
	}
	if all := c.history(nil); len(all.Events) <= len(h.Events) {
		t.Errorf("all have %d events", len(all.Events))
	}
}
