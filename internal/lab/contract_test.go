package lab

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/racelab/racelab/engine/sqlite"
	"github.com/racelab/racelab/internal/stage"
)

// names are the reference's endpoints, and what runs them on SQLite.
var names = map[string]string{
	"atomic_long_delay":             "transaction",
	"non_atomic_long_delay":         "read-modify-write",
	"atomic_no_delay":               "transaction",
	"non_atomic_no_delay":           "read-modify-write",
	"row_locking_atomic_long_delay": "immediate",
}

func TestTheReferencesEndpointsAreAllThere(t *testing.T) {
	got := map[string]string{}
	for _, r := range routes(sqlite.Engine, "") {
		if r.path == demoPath {
			got[r.name] = r.strategy.Name
		}
	}
	if diff := cmp.Diff(names, got); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
}

func TestContract(t *testing.T) {
	c := open(t, nil)
	for name, strategy := range names {
		path := demoPath + name + "/"
		accepted := func(title string, amount int64, kind, body string) {
			t.Run(name+"/"+title, func(t *testing.T) {
				c := &client{t, c.lab, c.url}
				c.reset()
				r := c.do(http.MethodPost, path, kind, body)
				if r.status != http.StatusOK || r.body != "200" || r.class() != "ok" || r.header.Get(strategyHeader) != strategy {
					t.Fatalf("%d %q %v", r.status, r.body, r.header)
				}
				if a := c.account(); a.Balance != amount || a.Ledger != amount || a.Rows != 1 {
					t.Errorf("the account is %+v", a)
				}
			})
		}
		for title, body := range map[string]string{
			"valid": "account=1&amount=100", "zero": "account=1&amount=0", "a sign": "account=1&amount=%2B5", "spaces": "account=+1+&amount=+5+",
			"repeated": "account=2&amount=x&account=1&amount=7", "other fields too": "a=b&account=1&amount=9&%zz", "largest": "account=1&amount=2147483647",
		} {
			amount := map[string]int64{"valid": 100, "a sign": 5, "spaces": 5, "repeated": 7, "other fields too": 9, "largest": 1<<31 - 1}[title]
			accepted(title, amount, urlencodedType, body)
		}
		accepted("multipart", 8, boundary, multi("account", "1", "amount", "8"))

		empty := func(title string, status int, class, method, path, kind, body string) {
			t.Run(name+"/"+title, func(t *testing.T) {
				c := &client{t, c.lab, c.url}
				c.reset()
				r := c.do(method, path, kind, body)
				if r.status != status || r.body != "" || r.class() != class || r.header.Get(strategyHeader) != strategy {
					t.Fatalf("%d %q %v; want %d and nothing", r.status, r.body, r.header, status)
				}
				if a := c.account(); a.Balance != 0 || a.Rows != 0 {
					t.Errorf("the account is %+v", a)
				}
			})
		}
		for title, body := range map[string]string{
			"no amount": "account=1", "no account": "amount=5", "nothing": "", "empty amount": "account=1&amount=", "negative": "account=1&amount=-1",
			"fraction": "account=1&amount=5.0", "word": "account=1&amount=five", "exponent": "account=1&amount=1e3", "NUL": "account=1&amount=5%00",
			"control character": "account=1&amount=5%07", "word for account": "account=one&amount=5", "empty account": "account=&amount=5",
			"last is bad": "account=1&amount=5&amount=x", "invalid UTF-8": "account=1&amount=%ff",
			"too large": "account=1&amount=5&x=" + strings.Repeat("x", mostBody), "too many fields": strings.Repeat("account=1&amount=5&", mostFields/2),
		} {
			empty(title, http.StatusBadRequest, "bad-request", http.MethodPost, path, urlencodedType, body)
		}
		empty("JSON", http.StatusBadRequest, "bad-request", http.MethodPost, path, "application/json", `{"account":1,"amount":5}`)
		empty("no type", http.StatusBadRequest, "bad-request", http.MethodPost, path, "", "account=1&amount=5")
		empty("broken multipart", http.StatusBadRequest, "bad-request", http.MethodPost, path, boundary, "--x\r\n")
		empty("in the query", http.StatusBadRequest, "bad-request", http.MethodPost, path+"?account=1&amount=5", urlencodedType, "")
		for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"} {
			empty(method, http.StatusBadRequest, "bad-request", method, path, urlencodedType, "account=1&amount=5")
		}
		for title, account := range map[string]string{"unknown account": "2", "negative account": "-1", "account 0": "0", "huge account": "99999999999999999999999"} {
			empty(title, http.StatusNotFound, "not-found", http.MethodPost, path, urlencodedType, "account="+account+"&amount=5")
		}
	}
}

func TestUnknownEndpointIs404(t *testing.T) {
	c := open(t, nil)
	for path, says := range map[string]string{
		"/demo/atomic_long_dealy/": "did you mean atomic_long_delay?", "/demo/atomic_long_delay": "end in a slash",
		"/demo/": "", "/demo/a/b/": "", "/deposit/for-updat": "did you mean for-update?", "/deposit/": "", "/nothing": "",
	} {
		r := c.pay(path, "account=1&amount=5")
		if r.status != http.StatusNotFound || !strings.Contains(r.body, says) || r.header.Get(strategyHeader) != "" {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	if a := c.account(); a.Rows != 0 {
		t.Errorf("the account is %+v", a)
	}
}

// The window is an hour: whatever answers does so without it.
func TestUnknownAccountIsAnsweredAtOnce(t *testing.T) {
	c := open(t, func(c *Config) { c.Window = never })
	for name := range names {
		if r := c.pay(demoPath+name+"/", "account=2&amount=5"); r.status != http.StatusNotFound {
			t.Errorf("%s: %d", name, r.status)
		}
	}
	for _, name := range []string{"atomic_no_delay", "non_atomic_no_delay"} {
		if r := c.pay(demoPath+name+"/", "account=1&amount=5"); r.status != http.StatusOK {
			t.Errorf("%s waits for a window: %d", name, r.status)
		}
	}
}

func TestOverflowIs500(t *testing.T) {
	c := open(t, nil)
	for _, amount := range []string{"2147483648", "99999999999999999999999999"} {
		for name := range names {
			c.reset()
			r := c.pay(demoPath+name+"/", "account=1&amount="+amount)
			if r.status != http.StatusInternalServerError || r.class() != "check-violation" {
				t.Errorf("%s, amount %s: %d %s", name, amount, r.status, r.body)
			}
			if a := c.account(); a.Balance != 0 || a.Rows != 0 {
				t.Errorf("%s, amount %s: the account is %+v", name, amount, a)
			}
		}
	}
	for name, rows := range map[string]int{"atomic_no_delay": 1, "non_atomic_no_delay": 2} {
		c.reset()
		c.pay(demoPath+name+"/", "account=1&amount=2147483647")
		if r := c.pay(demoPath+name+"/", "account=1&amount=1"); r.status != http.StatusInternalServerError {
			t.Errorf("%s: the sum is too large: %d", name, r.status)
		}
		if a := c.account(); a.Balance != 1<<31-1 || a.Rows != rows {
			t.Errorf("%s: the account is %+v; want %d rows", name, a, rows)
		}
	}
}

func TestDepositAnswersForEachStrategy(t *testing.T) {
	c := open(t, func(c *Config) { c.Window = never })
	for _, st := range exhibit().Strategies {
		c.reset()
		path := depositPath + st.Name
		r := c.pay(path, "account=1&amount=100&window=1ms..2ms")
		if got := r.header.Get(strategyHeader); got != st.Name {
			t.Errorf("%s: the strategy is %q", path, got)
		}
		if why := exhibit().Because(&st, c.lab.config.Engine, ""); why != "" {
			if r.status != http.StatusNotImplemented || r.class() != "not-available" || !strings.Contains(r.body, stage.ErrNotAvailable{Strategy: st.Name, Because: why}.Error()) {
				t.Errorf("%s: %d %s", path, r.status, r.body)
			}
			continue
		}
		if r.status != http.StatusOK || r.class() != "ok" || !strings.Contains(r.body, st.Name) {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
		if a := c.account(); a.Balance != 100 || a.Rows != 1 {
			t.Errorf("%s: the account is %+v", path, a)
		}
		for form, status := range map[string]int{
			"account=2&amount=5&window=0": 404, "account=1": 400, "account=1&amount=-5": 400, "account=1&amount=5&window=3s..1s": 400,
			"account=1&amount=5&window=soon": 400, "account=1&amount=2147483648&window=0": 500,
			"account=1&amount=5&window=" + strings.Repeat("1", mostBody): 413,
		} {
			r := c.pay(path, form)
			if r.status != status || r.header.Get("Content-Type") != "application/problem+json" || r.class() == "" {
				t.Errorf("%s, %.40s: %d %v %s; want %d", path, form, r.status, r.header, r.body, status)
			}
		}
		if r := c.do(http.MethodGet, path, "", ""); r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") != "POST" {
			t.Errorf("GET %s: %d", path, r.status)
		}
	}
}

func TestRequestNameIsKept(t *testing.T) {
	c := open(t, nil)
	c.pay("/demo/atomic_no_delay/", "account=1&amount=5", requestHeader, "hit-1.a_B")
	c.pay("/deposit/immediate", "account=1&amount=6&window=0")
	for _, bad := range []string{"a b", "é", strings.Repeat("x", 65), "a;DROP"} {
		if r := c.pay("/deposit/immediate", "account=1&amount=7&window=0", requestHeader, bad); r.status != http.StatusBadRequest {
			t.Errorf("request name %q: %d", bad, r.status)
		}
	}
	var rows []row
	c.get("/api/ledger?account=1", &rows)
	if len(rows) != 2 || rows[0].Request == nil || *rows[0].Request != "hit-1.a_B" || rows[1].Request != nil || rows[1].Amount != 6 || rows[1].Timestamp == "" {
		t.Errorf("the ledger is %s", fmt.Sprint(rows))
	}
	c.get("/api/ledger?account=2", &rows)
	if len(rows) != 0 {
		t.Errorf("account 2 has %d rows", len(rows))
	}
	if r := c.do(http.MethodGet, "/api/ledger?account=x", "", ""); r.status != http.StatusBadRequest {
		t.Errorf("account x: %d", r.status)
	}
}
