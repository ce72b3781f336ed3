package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// A till answers as a lab does, and its deposits do what a test wants. The real
// lab is tested with real engines; this is for what those do not do.
type till struct {
	deposit http.HandlerFunc

	mu       sync.Mutex
	balance  int64
	rows     []map[string]any
	inFlight int
	asked    int             // how often for settings
	onAsk    func(asked int) // called with mu held, before the answer
	epoch    string
}

func (l *till) record(request any) {
	l.rows = append(l.rows, map[string]any{"id": len(l.rows) + 1, "account": 1, "amount": 100, "timestamp": "2026-01-01T00:00:00Z", "request": request})
}

func (l *till) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		l.deposit(w, r)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var v any
	switch r.URL.Path {
	case "/api/settings":
		l.asked++
		if l.onAsk != nil {
			l.onAsk(l.asked)
		}
		v = map[string]any{"workers": 3, "class": "process", "window": "0s", "engine": "sqlite", "level": "SERIALIZABLE", "in_flight": l.inFlight, "worker_pids": []int{1}, "epoch": l.epoch}
	case "/api/accounts":
		v = []map[string]any{{"id": 1, "balance": l.balance, "ledger": 100 * len(l.rows), "rows": len(l.rows), "difference": 0}}
	case "/api/ledger":
		v = l.rows
		if l.rows == nil {
			v = []int{}
		}
	case "/api/history":
		v = map[string]any{"events": r.URL.Query()["prefix"], "at": []int{1, 2}, "dropped": 3}
	default:
		http.NotFound(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(v)
}

// hit makes a hit of n requests on a lab behind handler.
func hit(t *testing.T, handler http.Handler, n int) (Hit, *httptest.Server) {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	lab := client(t, s)
	return Hit{
		Plan: Plan{URL: s.URL + "/deposit/x", N: n, Prefix: NewPrefix(), Timeout: time.Minute},
		Lab:  lab, MustLab: true, Account: 1, Amount: 100, Settle: time.Minute,
	}, s
}

func client(t *testing.T, s *httptest.Server) *Lab {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	lab := NewLab(u, false)
	t.Cleanup(lab.Close)
	return lab
}

func do(t *testing.T, ctx context.Context, h Hit) Report {
	t.Helper()
	r, err := h.Do(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Two out of three overwrite each other: each adds to what was there at first.
func TestHitFindsTheLoss(t *testing.T) {
	l := &till{}
	l.deposit = func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.record(r.Header.Get("Racelab-Request"))
		l.balance = 100
		w.Header().Set("Racelab-Strategy", "read-modify-write")
	}
	h, _ := hit(t, l, 3)
	r := do(t, t.Context(), h)
	if r.Verdict != Violated || *r.Lost != 200 || r.Acknowledged != 3 || r.Engine != "sqlite" || r.Strategy != "read-modify-write" || *r.Recorded != 3 {
		t.Errorf("%+v", r)
	}
	history, err := h.Lab.History(t.Context(), h.Plan.Prefix)
	if err != nil || history.Dropped != 3 || len(history.At) != 2 || !strings.Contains(string(history.Events), h.Plan.Prefix) {
		t.Errorf("history %+v, %v", history, err)
	}
}

// The front gives up on a request that then runs to its end, and on another
// that does not. Both are in flight until then.
func TestAbandonedRequestsAreResolvedWhenTheyHaveEnded(t *testing.T) {
	l := &till{}
	var abandoned []string
	l.deposit = func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.inFlight++
		abandoned = append(abandoned, r.Header.Get("Racelab-Request"))
		w.WriteHeader(http.StatusGatewayTimeout)
	}
	left := 3
	l.onAsk = func(int) {
		if len(abandoned) < 2 {
			return
		}
		if left--; left == 0 {
			l.record(abandoned[0])
			l.balance += 100
			l.inFlight = 0
		}
	}
	h, _ := hit(t, l, 2)
	r := do(t, t.Context(), h)
	if r.Verdict != Holds || r.Unknown != 0 || r.RecordedOnly != 1 || r.Failed["gateway-timeout"] != 1 || *r.Recorded != 1 || !r.Settled {
		t.Errorf("%+v", r)
	}
}

func TestWhatDoesNotSettleStaysUnknown(t *testing.T) {
	l := &till{}
	l.deposit = func(w http.ResponseWriter, _ *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.inFlight++
		w.WriteHeader(http.StatusGatewayTimeout)
	}
	h, _ := hit(t, l, 2)
	h.Settle = time.Millisecond
	if r := do(t, t.Context(), h); r.Verdict != Undecided || r.Unknown != 2 || r.Settled || *r.Lost != 0 {
		t.Errorf("%+v", r)
	}
}

func TestOthersInFlightAreWaitedForFirst(t *testing.T) {
	l := &till{inFlight: 1}
	l.onAsk = func(asked int) {
		if asked == 3 {
			l.inFlight = 0
			l.record(nil)
			l.balance = 100
		}
	}
	l.deposit = func(_ http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.record(r.Header.Get("Racelab-Request"))
		l.balance += 100
	}
	h, _ := hit(t, l, 1)
	if r := do(t, t.Context(), h); r.Verdict != Holds || r.Before.Rows != 1 || *r.Recorded != 1 {
		t.Errorf("%+v", r)
	}
}

func TestNothingIsSentWhileOthersAreAtWork(t *testing.T) {
	l := &till{inFlight: 2}
	l.deposit = func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }
	h, _ := hit(t, l, 3)
	h.Settle = 20 * time.Millisecond
	r := do(t, t.Context(), h)
	if r.Verdict != Undecided || r.NotSent != 3 || r.Lost != nil || r.Reason == nil || !strings.Contains(*r.Reason, "2 requests of others after 20ms, so nothing was sent") {
		t.Errorf("%+v", r)
	}
}

func TestReportSaysWhatLabItWas(t *testing.T) {
	l := &till{}
	l.deposit = func(http.ResponseWriter, *http.Request) {}
	h, _ := hit(t, l, 1)
	r := do(t, t.Context(), h)
	if r.Account != 1 || r.Workers == nil || *r.Workers != 3 || r.Level != "SERIALIZABLE" || r.Window != "0s" {
		t.Errorf("%+v", r)
	}
	h.Window = "5ms"
	if r := do(t, t.Context(), h); r.Window != "5ms" {
		t.Errorf("its own window: %s", r.Window)
	}
}

func TestLabThatDiesInTheMiddleIsCountedAndSaid(t *testing.T) {
	l := &till{}
	var s *httptest.Server
	dead := make(chan struct{})
	l.deposit = func(w http.ResponseWriter, _ *http.Request) {
		s.Listener.Close()
		breakOff(t, w, "")
	}
	var h Hit
	h, s = hit(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-dead:
			breakOff(t, w, "")
		default:
			l.ServeHTTP(w, r)
		}
	}), 3)
	h.Plan.Concurrency = 1
	h.Plan.Ended = func(r Result) {
		if r.I == 1 {
			close(dead)
		}
	}
	r := do(t, t.Context(), h)
	if r.Verdict != Undecided || r.Unknown != 1 || r.Failed["connection-refused"] != 2 || r.Lost != nil || r.Reason == nil || !strings.Contains(*r.Reason, "could not be read") {
		t.Errorf("%+v", r)
	}
}

func TestInterruptedHitIsJudged(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := &till{}
	l.deposit = func(_ http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.record(r.Header.Get("Racelab-Request"))
	}
	h, _ := hit(t, l, 3)
	h.Plan.Wait = time.Hour
	h.Plan.Ended = func(Result) { cancel() }
	r := do(t, ctx, h)
	if r.Verdict != Violated || *r.Lost != 100 || r.NotSent != 2 {
		t.Errorf("%+v", r)
	}
}

// On an empty ledger a reset leaves no other trace: what was acknowledged is
// simply not there, as if it had been lost.
func TestALabResetMeanwhileIsNotJudged(t *testing.T) {
	for _, inTheRun := range []bool{true, false} {
		l := &till{epoch: "a"}
		reset := func() { l.balance, l.rows, l.epoch = 0, nil, "b" }
		served := 0
		l.deposit = func(_ http.ResponseWriter, r *http.Request) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.record(r.Header.Get("Racelab-Request"))
			l.balance += 100
			if served++; served == 2 && inTheRun {
				reset()
			}
		}
		l.onAsk = func(int) {
			if served == 3 && !inTheRun && l.epoch == "a" { // after the run, while it settles
				reset()
			}
		}
		h, _ := hit(t, l, 3)
		r := do(t, t.Context(), h)
		if r.Verdict != Undecided || r.Reason == nil || *r.Reason != "the lab was reset or restarted meanwhile" || r.Acknowledged != 3 {
			t.Errorf("%+v", r)
		}
		if r.Before != nil || r.After != nil || r.Recorded != nil || r.Expected != nil || r.Actual != nil || r.Lost != nil || r.Unrecorded != nil {
			t.Errorf("ledger fields are not null: %+v", r)
		}
	}
}

// What happens before the first snapshot is no matter.
func TestALabResetBeforeTheRunIsJudged(t *testing.T) {
	l := &till{epoch: "a", inFlight: 1}
	l.onAsk = func(asked int) {
		if asked == 3 {
			l.inFlight, l.epoch = 0, "b"
		}
	}
	l.deposit = func(_ http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.record(r.Header.Get("Racelab-Request"))
		l.balance += 100
	}
	h, _ := hit(t, l, 1)
	if r := do(t, t.Context(), h); r.Verdict != Holds {
		t.Errorf("%+v", r)
	}
}

func TestAnotherServiceIsCountedAndNotJudged(t *testing.T) {
	pay := func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			_, _ = io.WriteString(w, "<html>hello")
		}
	}
	h, _ := hit(t, http.HandlerFunc(pay), 2)
	h.MustLab = false
	if r := do(t, t.Context(), h); r.Verdict != Undecided || r.Acknowledged != 2 || r.Lost != nil || r.Reason == nil {
		t.Errorf("%+v", r)
	}
	h.MustLab = true
	if _, err := h.Do(t.Context()); !errors.Is(err, ErrNotLab) {
		t.Errorf("as a lab: %v", err)
	}
}

func TestFirstContact(t *testing.T) {
	s := httptest.NewServer(&till{})
	lab := client(t, s)
	if _, err := lab.Snapshot(t.Context(), 7); !errors.Is(err, ErrNoAccount) {
		t.Errorf("account 7: %v", err)
	}
	s.Close()
	h := Hit{Plan: Plan{URL: s.URL, N: 1, Prefix: "x", Timeout: time.Minute}, Lab: lab, Account: 1}
	if _, err := h.Do(t.Context()); !errors.Is(err, ErrNoContact) {
		t.Errorf("closed: %v", err)
	}
	away := NewLab(&url.URL{Scheme: "http", Host: "192.0.2.1"}, false)
	defer away.Close()
	if _, err := away.Settings(t.Context()); !errors.Is(err, ErrNoContact) || !errors.Is(err, ErrNotLoopback) {
		t.Errorf("another machine: %v", err)
	}
}

func TestSnapshotThatChangesIsTorn(t *testing.T) {
	l := &till{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.ServeHTTP(w, r)
		if r.URL.Path == "/api/ledger" {
			l.mu.Lock()
			l.balance++
			l.mu.Unlock()
		}
	}))
	defer s.Close()
	if snapshot, err := client(t, s).Snapshot(t.Context(), 1); err != nil || !snapshot.Torn {
		t.Errorf("%+v, %v", snapshot, err)
	}
}

func TestBadAnswersOfALab(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		body   string
		notLab bool
	}{
		{"garbage", 200, "<html>", true},
		{"null", 200, "null", true},
		{"empty object", 200, "{}", true},
		{"no count", 200, `{"workers":3}`, true},
		{"negative count", 200, `{"workers":3,"in_flight":-1}`, true},
		{"wrong type", 200, `{"workers":"3","in_flight":0}`, true},
		{"not found", 404, `{"workers":3,"in_flight":0}`, true},
		{"redirect", 302, "", true},
		{"broken", 500, `{"workers":3,"in_flight":0}`, false},
		{"cut", 200, `{"workers":3,"in`, false},
		{"endless", 200, `{"engine":"` + strings.Repeat("x", answerLimit), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/api/accounts")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			defer s.Close()
			if got, err := client(t, s).Settings(t.Context()); err == nil || errors.Is(err, ErrNotLab) != test.notLab {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestBadLedgers(t *testing.T) {
	for _, text := range []string{
		"", "null", "{}", "[", `[{}]`, `[{"id":1}]`, `[{"id":1,"amount":"5"}]`, `[{"id":1,"amount":2147483648}]`, `[{"id":1,"amount":1.5}]`,
		`[{"id":1,"amount":1}`, `[{"id":1,"amount":1},]`, `[1]`,
	} {
		if rows, err := decodeLedger(strings.NewReader(text)); err == nil {
			t.Errorf("%s: %v", text, rows)
		}
	}
	rows, err := decodeLedger(strings.NewReader(`[{"id":1,"amount":-2147483648,"request":null},{"id":2,"amount":5,"request":"x","new":[]}]`))
	if err != nil || fmt.Sprint(rows) != "[{1 -2147483648 } {2 5 x}]" {
		t.Errorf("%v, %v", rows, err)
	}
}

// FuzzDecode feeds the decoders of a lab's answers: no panic, and what they
// accept is within its bounds.
func FuzzDecode(f *testing.F) {
	f.Add(`{"workers":3,"class":"process","window":"2s..3s","engine":"sqlite","level":"SERIALIZABLE","in_flight":0,"worker_pids":[1,2]}`)
	f.Add(`[{"id":1,"balance":300,"ledger":1000,"rows":10,"difference":700}]`)
	f.Add(`[{"id":1,"account":1,"amount":100,"timestamp":"2026-01-01T00:00:00Z","request":"ab-1"}]`)
	f.Add(`[{"id":9223372036854775808,"amount":1e400}]`)
	f.Add(`[[[[`)
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := decodeSettings(strings.NewReader(text)); err == nil && (s.InFlight < 0 || s.Engine != name(s.Engine)) {
			t.Errorf("settings %+v", s)
		}
		if all, err := decodeAccounts(strings.NewReader(text)); err == nil {
			for _, a := range all {
				if a.Balance > mostMoney || a.Balance < -mostMoney || a.Rows < 0 {
					t.Errorf("account %+v", a)
				}
			}
		}
		rows, err := decodeLedger(strings.NewReader(text))
		if err != nil {
			return
		}
		Judge(Evidence{Plan: &Plan{N: 3, Prefix: "ab"}, Results: results("ok", "504", "not-sent"), Before: &Snapshot{}, After: &Snapshot{Rows: rows}})
	})
}
