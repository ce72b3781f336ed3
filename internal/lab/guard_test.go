package lab

import (
	"net"
	"net/http"
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
