package lab

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

func TestOnlyTheLabsOwnHostIsAnswered(t *testing.T) {
	c := open(t, nil)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(c.url, "http://"))
	for host, status := range map[string]int{
		"127.0.0.1:" + port: 200, "localhost:" + port: 200, "LOCALHOST:" + port: 200, "[::1]:" + port: 200, "127.0.0.2:" + port: 200,
		"evil.example:" + port: 421, "evil.example": 421, "127.0.0.1": 421, "localhost": 421, "localhost:1": 421, "localhost.evil.example:" + port: 421,
		"10.0.0.1:" + port: 421, "0.0.0.0:" + port: 421, "[::]:" + port: 421,
	} {
		for _, path := range []string{"/", "/healthz", "/api/accounts", "/static/style.css"} {
			if r := c.do(http.MethodGet, path, "", "", "Host", host); r.status != status {
				t.Errorf("Host %s, %s: %d", host, path, r.status)
			}
		}
	}
	if r := c.pay("/demo/atomic_no_delay/", "account=1&amount=5", "Host", "evil.example:"+port); r.status != http.StatusMisdirectedRequest {
		t.Errorf("a deposit: %d", r.status)
	}
	if a := c.account(); a.Rows != 0 {
		t.Errorf("the account is %+v", a)
	}
}

func TestOtherOriginsChangeNothing(t *testing.T) {
	c := open(t, nil)
	for _, path := range []string{"/demo/atomic_no_delay/", "/deposit/immediate", "/api/reset", "/api/settings"} {
		for _, headers := range [][]string{
			{"Origin", "http://evil.example"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
			{"Origin", c.url, "Sec-Fetch-Site", "cross-site"}, {"Origin", "http://127.0.0.1:1"},
		} {
			if r := c.pay(path, "account=1&amount=5", headers...); r.status != http.StatusForbidden {
				t.Errorf("%s with %q: %d", path, headers, r.status)
			}
		}
	}
	if a := c.account(); a.Rows != 0 {
		t.Errorf("the account is %+v", a)
	}
	for _, headers := range [][]string{{}, {"Origin", c.url}, {"Origin", c.url, "Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Site", "none"}} {
		if r := c.pay("/demo/atomic_no_delay/", "account=1&amount=5", headers...); r.status != http.StatusOK {
			t.Errorf("with %q: %d %s", headers, r.status, r.body)
		}
	}
}

// Also those that are net/http's own: no such path, method or file.
func TestEveryAnswerHasAClassAndErrorsAreProblems(t *testing.T) {
	c := open(t, nil)
	for _, test := range []struct {
		method, path string
		status       int
		headers      []string
	}{
		{"GET", "/", 200, nil}, {"GET", "/healthz", 200, nil}, {"GET", "/static/style.css", 200, nil}, {"HEAD", "/static/style.css", 200, nil},
		{"GET", "/api/accounts", 200, nil}, {"POST", "/api/reset", 200, nil},
		{"GET", "/nothing", 404, nil}, {"POST", "/demo/", 404, nil}, {"POST", "/demo/nothing/", 404, nil}, {"POST", "/deposit/nothing", 404, nil},
		{"GET", "/static/nothing", 404, nil}, {"GET", "/static/../lab.go", 404, nil}, {"DELETE", "/api/accounts", 405, nil}, {"GET", "/api/reset", 405, nil},
		{"PUT", "/deposit/immediate", 405, nil}, {"OPTIONS", "/healthz", 405, nil}, {"GET", "/api/ledger?account=x", 400, nil}, {"POST", "/api/settings", 400, nil},
		{"GET", "/", 421, []string{"Host", "evil.example"}}, {"POST", "/api/reset", 403, []string{"Origin", "http://evil.example"}},
	} {
		r := c.do(test.method, test.path, "", "", test.headers...)
		class := "ok"
		if test.status >= 400 {
			class = "bad-request"
			if kind := r.header.Get("Content-Type"); kind != "application/problem+json" || !strings.Contains(r.body, `"status":`+strconv.Itoa(test.status)) {
				t.Errorf("%s %s: %s %s", test.method, test.path, kind, r.body)
			}
		}
		if r.status != test.status || r.class() != class {
			t.Errorf("%s %s: %d, class %q; want %d, %s", test.method, test.path, r.status, r.class(), test.status, class)
		}
		if r.status == http.StatusMethodNotAllowed && r.header.Get("Allow") == "" {
			t.Errorf("%s %s: no word of what is allowed", test.method, test.path)
		}
	}
}

func TestHeadersAreBounded(t *testing.T) {
	c := open(t, nil)
	r := c.do(http.MethodGet, "/healthz", "", "", "X-Large", strings.Repeat("x", 64<<10))
	if r.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%d", r.status)
	}
}

// A header of the inner protocol that comes from outside is not passed on.
func TestInnerHeadersAreNotTakenFromOutside(t *testing.T) {
	c := open(t, nil)
	r := c.pay("/demo/atomic_no_delay/", "account=1&amount=5", windowHeader, "1h", strategyHeader, "process-mutex")
	if r.status != http.StatusOK || r.header.Get(strategyHeader) != "transaction" || r.header.Get(recordsHeader) != "" {
		t.Errorf("%d %v", r.status, r.header)
	}
}
