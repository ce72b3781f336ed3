package load

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// serve starts a server and returns a plan for it.
func serve(t *testing.T, handler http.HandlerFunc) Plan {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return Plan{
		URL: s.URL + "/pay", N: 1, Prefix: NewPrefix(), Timeout: time.Minute,
		Fields: url.Values{"account": {"1"}, "amount": {"100"}},
	}
}

func run(t *testing.T, ctx context.Context, p Plan) []Result {
	t.Helper()
	results, err := Run(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != p.N {
		t.Fatalf("%d results of %d requests", len(results), p.N)
	}
	return results
}

// breakOff writes raw text to the client and then resets the connection.
func breakOff(t *testing.T, w http.ResponseWriter, text string) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	_, _ = io.WriteString(conn, text)
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

func TestEveryKindOfAnswerIsClassed(t *testing.T) {
	status := func(code int, class string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Racelab-Class", class)
			w.WriteHeader(code)
		}
	}
	raw := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { breakOff(t, w, text) }
	}
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		outcome Outcome
		status  int
		class   string
	}{
		{"success", status(200, "ok"), Acknowledged, 200, "ok"},
		{"another success", status(204, ""), Acknowledged, 204, "ok"},
		{"deadlock", status(500, "deadlock"), Failed, 500, "deadlock"},
		{"no class", status(500, ""), Failed, 500, "http-500"},
		{"a class that is no name", status(500, "a\tb"), Failed, 500, "http-500"},
		{"a class that is endless", status(500, strings.Repeat("a", 1000)), Failed, 500, "http-500"},
		{"bad request", status(400, "bad-request"), Failed, 400, "bad-request"},
		{"front gave up", status(504, "unknown"), Unknown, 504, "gateway-timeout"},
		{"worker died", status(502, ""), Unknown, 502, "bad-gateway"},
		{"the lab does not know", status(500, "unknown"), Unknown, 500, "http-500"},
		{"commit without an answer", status(500, "connection-lost"), Unknown, 500, "connection-lost"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/pay" {
				t.Error("the redirect was followed")
			}
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, Failed, 307, "redirect"},
		{"closed without an answer", raw(""), Unknown, 0, "reset"},
		{"success that breaks off", raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n2"), Unknown, 200, "reset"},
		{"failure that breaks off", raw("HTTP/1.1 500 No\r\nRacelab-Class: busy\r\nContent-Length: 100\r\n\r\n2"), Failed, 500, "busy"},
		{"not HTTP", raw("220 mail.example ESMTP\r\n"), Unknown, 0, "bad-answer"},
		{"endless headers", func(w http.ResponseWriter, _ *http.Request) {
			for i := range 100 {
				w.Header().Add("X", strings.Repeat("x", 1<<10+i))
			}
		}, Unknown, 0, "bad-answer"},
		{"endless body", func(w http.ResponseWriter, _ *http.Request) {
			for block := make([]byte, 64<<10); ; {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}, Acknowledged, 200, "ok"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := run(t, t.Context(), serve(t, test.handler))[0]
			if r.Outcome != test.outcome || r.Status != test.status || r.Class != test.class {
				t.Errorf("got %s, %d, %s; want %s, %d, %s", r.Outcome, r.Status, r.Class, test.outcome, test.status, test.class)
			}
			if r.Sent < 0 {
				t.Error("it counts as never written")
			}
		})
	}
}

func TestProblemDetailIsKept(t *testing.T) {
	p := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
		w.WriteHeader(501)
		_, _ = io.WriteString(w, `{"title":"Not Implemented","detail":"there are no row locks"}`)
	})
	if r := run(t, t.Context(), p)[0]; r.Detail != "there are no row locks" {
		t.Errorf("detail %q", r.Detail)
	}
}

func TestRefusedConnectionSurelyDidNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := Plan{URL: "http://" + l.Addr().String(), N: 3, Prefix: "x", Timeout: time.Minute}
	l.Close()
	for _, r := range run(t, t.Context(), p) {
		if r.Outcome != Failed || r.Class != "connection-refused" || r.Sent >= 0 {
			t.Errorf("%+v", r)
		}
	}
}

func TestRequestWithoutAnAnswerIsUnknown(t *testing.T) {
	release := make(chan struct{})
	p := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-release
	})
	p.Timeout = 50 * time.Millisecond
	r := run(t, t.Context(), p)[0]
	close(release)
	if r.Outcome != Unknown || r.Class != "timeout" {
		t.Errorf("%+v", r)
	}
}

// The server answers nobody before all have arrived.
func TestRequestsGoTogether(t *testing.T) {
	const n = 20
	var arrived sync.WaitGroup
	arrived.Add(n)
	var ids sync.Map
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		ids.Store(r.Header.Get("Racelab-Request"), r.PostFormValue("amount"))
		arrived.Done()
		arrived.Wait()
	})
	p.N = n
	for i, r := range run(t, t.Context(), p) {
		if amount, ok := ids.Load(p.ID(i + 1)); r.Outcome != Acknowledged || r.I != i+1 || !ok || amount != "100" {
			t.Errorf("%+v, amount %v", r, amount)
		}
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	var now, most atomic.Int32
	p := serve(t, func(http.ResponseWriter, *http.Request) {
		for n := now.Add(1); ; {
			if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
				break
			}
		}
		now.Add(-1)
	})
	p.N, p.Concurrency = 200, 3
	run(t, t.Context(), p)
	if m := most.Load(); m > 3 {
		t.Errorf("%d together", m)
	}
}

// Both were meant to start at once, so what the second one had to wait for the
// first is part of its latency.
func TestLatencyCountsFromTheIntendedStart(t *testing.T) {
	p := serve(t, func(http.ResponseWriter, *http.Request) {})
	p.N, p.Concurrency = 2, 1
	r := run(t, t.Context(), p)
	if r[1].Intended != 0 || r[1].Sent < r[0].Latency || r[1].Latency < r[1].Sent {
		t.Errorf("%+v", r)
	}
}

func TestEndedContextLeavesTheRestUnsent(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := serve(t, func(http.ResponseWriter, *http.Request) {})
	p.N, p.Wait = 5, time.Hour
	ended := 0
	p.Ended = func(Result) { ended++; cancel() }
	r := run(t, ctx, p)
	if r[0].Outcome != Acknowledged {
		t.Errorf("the first: %+v", r[0])
	}
	for _, one := range r[1:] {
		if one.Outcome != NotSent || one.Class != "not-sent" {
			t.Errorf("%+v", one)
		}
	}
	if ended != p.N {
		t.Errorf("%d of %d were told of", ended, p.N)
	}
}

func TestEndedContextCutsOffWhatIsUnderWay(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	release := make(chan struct{})
	p := serve(t, func(http.ResponseWriter, *http.Request) {
		cancel()
		<-release
	})
	r := run(t, ctx, p)[0]
	close(release)
	if r.Outcome != Unknown || r.Class != "interrupted" {
		t.Errorf("%+v", r)
	}
}

func TestGraceLetsWhatIsUnderWayEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := serve(t, func(http.ResponseWriter, *http.Request) { cancel() })
	p.Grace = time.Minute
	if r := run(t, ctx, p)[0]; r.Outcome != Acknowledged {
		t.Errorf("%+v", r)
	}
}

func TestOnlyLoopback(t *testing.T) {
	for address, good := range map[string]bool{
		"127.0.0.1:80": true, "127.1.2.3:80": true, "[::1]:80": true, "[::ffff:127.0.0.1]:80": true,
		"10.0.0.1:80": false, "0.0.0.0:80": false, "[::]:80": false, "[fe80::1%lo]:80": false, "169.254.169.254:80": false, "nonsense": false,
	} {
		if err := loopbackOnly("tcp", address, nil); (err == nil) != good {
			t.Errorf("%s: %v", address, err)
		}
	}
	p := Plan{URL: "http://192.0.2.1:9/", N: 1, Prefix: "x", Timeout: time.Minute} // TEST-NET-1, RFC 5737
	if r := run(t, t.Context(), p)[0]; r.Outcome != Failed || r.Class != "not-connected" {
		t.Errorf("%+v", r)
	}
}

func TestSenselessPlansAreRefused(t *testing.T) {
	good := Plan{URL: "http://127.0.0.1/", N: 1, Prefix: "x", Timeout: 1}
	for name, change := range map[string]func(*Plan){
		"no requests":        func(p *Plan) { p.N = 0 },
		"too many requests":  func(p *Plan) { p.N = MostRequests + 1 },
		"no HTTP":            func(p *Plan) { p.URL = "file:///etc/passwd" },
		"no host":            func(p *Plan) { p.URL = "http:///x" },
		"negative wait":      func(p *Plan) { p.Wait = -1 },
		"no time":            func(p *Plan) { p.Timeout = 0 },
		"too many together":  func(p *Plan) { p.Concurrency = MostConcurrent + 1 },
		"fewer than none":    func(p *Plan) { p.Concurrency = -1 },
		"requests unmarked":  func(p *Plan) { p.Prefix = "" },
		"a password":         func(p *Plan) { p.URL = "http://me:s3cret@127.0.0.1:80x/" },
		"another scheme":     func(p *Plan) { p.URL = "ftp://me:s3cret@127.0.0.1/" },
		"control characters": func(p *Plan) { p.URL = "http://127.0.0.1/\n" },
	} {
		p := good
		change(&p)
		if _, err := Run(t.Context(), p); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
