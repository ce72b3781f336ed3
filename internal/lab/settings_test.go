package lab

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSettingsCanBeChangedWithinLimits(t *testing.T) {
	c := open(t, nil)
	s := c.settings()
	if s.Workers != 1 || s.Class != "sync" || s.Window != "0s" || s.Engine != "sqlite" || s.Level != "SERIALIZABLE" || s.InFlight != 0 || len(s.Pids) != 1 {
		t.Errorf("%+v", s)
	}
	post := func(body string) replied { return c.do(http.MethodPost, "/api/settings", "application/json", body) }
	if r := post(`{"workers":4,"window":"10ms..20ms"}`); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if s := c.settings(); s.Workers != 4 || s.Window != "10ms..20ms" || len(s.Pids) != 4 {
		t.Errorf("%+v", s)
	}
	if r := post(`{"workers":2}`); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if s := c.settings(); s.Workers != 2 || s.Window != "10ms..20ms" || len(s.Pids) != 2 {
		t.Errorf("%+v", s)
	}
	before := c.settings().Pids
	if r := post(`{"level":"serializable"}`); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	after := c.settings()
	if len(after.Pids) != 2 || after.Pids[0] == before[0] || after.Level != "SERIALIZABLE" {
		t.Errorf("the workers were %v and are %+v", before, after)
	}
	for body, says := range map[string]string{
		`{"workers":0}`: "workers is 0", `{"workers":10000}`: "workers is 10000", `{"workers":-1}`: "workers is -1", `{"workers":"x"}`: "workers",
		`{"window":"10s..3s"}`: "10s..3s", `{"window":"-1s"}`: "negative", `{"window":"NaN"}`: "NaN", `{"window":1}`: "window",
		`{"level":"READ COMMITTED"}`: "there is SERIALIZABLE", `{"level":"chaos"}`: "chaos",
		`{"engine":"mysql"}`: `"engine" cannot be changed`, `{"class":"gthread"}`: `"class" cannot be changed`, `{"in_flight":0}`: "cannot be changed",
		`{"workers":3,"worker_pids":[1]}`: "cannot be changed", `[]`: "JSON object", ``: "JSON object", `workers=3`: "JSON object",
	} {
		if r := post(body); r.status != http.StatusBadRequest || !strings.Contains(r.body, strings.ReplaceAll(says, `"`, `\"`)) {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
	if s := c.settings(); s.Workers != 2 || s.Window != "10ms..20ms" {
		t.Errorf("a refused change changed %+v", s)
	}
	if r := c.pay("/demo/atomic_long_delay/", "account=1&amount=5"); r.status != http.StatusOK {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestAChangeThatFailsChangesNothing(t *testing.T) {
	c := open(t, func(c *Config) { c.Workers, c.FrontTimeout = 2, time.Minute })
	before := c.settings()
	sockets, err := filepath.Glob(filepath.Join(os.TempDir(), "racelab-*", "worker-*"))
	if err != nil || len(sockets) != 2 {
		t.Fatalf("the sockets are %v, %v", sockets, err)
	}
	folder := filepath.Dir(sockets[0])
	if err := os.Rename(folder, folder+"-away"); err != nil { // no worker can start
		t.Fatal(err)
	}
	for _, body := range []string{`{"window":"1s","workers":4}`, `{"window":"1s","workers":2,"level":"serializable"}`} {
		if r := c.do(http.MethodPost, "/api/settings", "application/json", body); r.status != http.StatusServiceUnavailable || r.class() != "other" {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
	if err := os.Rename(folder+"-away", folder); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, c.settings()); diff != "" || c.lab.asked() != "" {
		t.Errorf("level %q, and (-before +after):\n%s", c.lab.asked(), diff)
	}
	select {
	case err := <-c.lab.Failed():
		t.Errorf("the laboratory failed: %v", err)
	default:
	}
	if r := c.pay("/demo/atomic_no_delay/", "account=1&amount=5"); r.status != http.StatusOK {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// The front's patience counts from the request's arrival.
func TestPatienceEndsAlsoWhileTheSettingsChange(t *testing.T) {
	c := open(t, func(c *Config) { c.FrontTimeout = 100 * time.Millisecond })
	if !c.lab.pool.hold() {
		t.Fatal("something is in flight")
	}
	answer := c.paying("/demo/atomic_no_delay/", "account=1&amount=5")
	select {
	case r := <-answer:
		if r.status != http.StatusGatewayTimeout || r.class() != "overloaded" {
			t.Errorf("%d %s", r.status, r.body)
		}
		c.lab.pool.release()
	case <-time.After(10 * time.Second):
		t.Error("no answer")
		c.lab.pool.release()
		<-answer
	}
	if a := c.account(); a.Rows != 0 {
		t.Errorf("the account is %+v", a)
	}
}

func TestNothingIsResetUnderARequest(t *testing.T) {
	c := open(t, func(c *Config) { c.Workers = 2 })
	c.pay("/demo/atomic_no_delay/", "account=1&amount=5")
	answer := c.paying("/deposit/read-modify-write", "account=1&amount=5&window=1h", requestHeader, "long")
	c.inWindow("long")
	if r := c.do(http.MethodPost, "/api/reset", "", ""); r.status != http.StatusConflict {
		t.Errorf("reset: %d %s", r.status, r.body)
	}
	if r := c.do(http.MethodPost, "/api/settings", "", `{"level":"SERIALIZABLE"}`); r.status != http.StatusConflict {
		t.Errorf("level: %d %s", r.status, r.body)
	}
	if a := c.account(); a.Balance != 5 {
		t.Errorf("the account is %+v", a)
	}
	// Fewer workers is possible: whoever has a request answers it first. Here it never will.
	if r := c.do(http.MethodPost, "/api/settings", "", `{"workers":1}`); r.status != http.StatusOK {
		t.Errorf("workers: %d %s", r.status, r.body)
	}
	c.lab.pool.cut()
	if r := <-answer; r.status != http.StatusBadGateway {
		t.Errorf("%d %s", r.status, r.body)
	}
	until(t, "nothing is in flight", func() bool { return c.settings().InFlight == 0 })
	c.reset()
	if a := c.account(); a.Balance != 0 || a.Rows != 0 {
		t.Errorf("the account is %+v", a)
	}
	if h := c.history(nil); len(h.Events) != 0 {
		t.Errorf("%d events", len(h.Events))
	}
}

// Whoever judges by the ledger has to notice that it is another one.
func TestOnlyAResetChangesTheEpoch(t *testing.T) {
	c := open(t, nil)
	before := c.settings().Epoch
	c.pay("/demo/atomic_no_delay/", "account=1&amount=5")
	if r := c.do(http.MethodPost, "/api/settings", "", `{"workers":2,"window":"1ms"}`); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r := c.do(http.MethodGet, "/api/reset", "", ""); r.status != http.StatusMethodNotAllowed {
		t.Errorf("%d %s", r.status, r.body)
	}
	if now := c.settings().Epoch; now != before || len(before) < 20 {
		t.Errorf("the epoch was %q and is %q", before, now)
	}
	c.reset()
	if now := c.settings().Epoch; now == before {
		t.Errorf("after a reset it is still %q", now)
	}
}

func TestPageSaysWhatItIsAndEscapes(t *testing.T) {
	c := open(t, nil)
	r := c.do(http.MethodGet, "/", "", "")
	for _, says := range []string{"SQLite", "1 worker process,", "/demo/atomic_long_delay/", "/deposit/optimistic-version", "racelab hit non_atomic_long_delay --lab " + c.url + " --wait 0", "racelab hit atomic-update --lab " + c.url, "Not available, because sqlite has no row locks."} {
		if !strings.Contains(r.body, says) {
			t.Errorf("the page lacks %q", says)
		}
	}
	if got := r.header.Get("Content-Security-Policy"); !strings.HasPrefix(got, "default-src 'none'") {
		t.Errorf("the policy is %q", got)
	}
	if strings.Contains(r.body, "<script") || strings.Contains(r.body, "ZgotmplZ") {
		t.Errorf("%s", r.body)
	}
}
