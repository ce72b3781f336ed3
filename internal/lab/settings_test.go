package lab

import (
	"net/http"
	"strings"
	"testing"
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

func TestPageSaysWhatItIsAndEscapes(t *testing.T) {
	c := open(t, nil)
	r := c.do(http.MethodGet, "/", "", "")
	for _, says := range []string{"SQLite", "1 worker process,", "/demo/atomic_long_delay/", "/deposit/optimistic-version", "racelab hit --lab " + c.url, "Not available, because sqlite has no row locks."} {
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
