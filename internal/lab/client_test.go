package lab

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/racelab/racelab/internal/stage"
)

// never is a window that no test waits for.
var never = stage.Span{Min: time.Hour, Max: time.Hour}

// A client talks to a laboratory and fails its test by itself.
type client struct {
	t   *testing.T
	lab *Lab
	url string
}

// open starts a laboratory for the test. Its temporary files are in a folder of
// the test, which must be empty afterwards.
func open(t *testing.T, with func(*Config)) *client {
	t.Helper()
	tmp := shortTemp(t)
	t.Setenv("TMPDIR", tmp)
	c := testConfig()
	if with != nil {
		with(&c)
	}
	l, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pids := l.pool.pids()
		// Most tests leave a request with a worker that takes for ever.
		if _, err := l.Close(ended()); err != nil {
			t.Errorf("close: %v", err)
		}
		for _, pid := range pids {
			if alive(pid) {
				t.Errorf("worker %d is left", pid)
			}
		}
		isEmpty(t, tmp)
		http.DefaultClient.CloseIdleConnections()
	})
	return &client{t, l, l.URL()}
}

// shortTemp is a temporary folder with a name that sockets fit in.
func shortTemp(t *testing.T) string {
	t.Helper()
	tmp, err := os.MkdirTemp("", "lab")
	if err != nil {
		t.Fatal(err)
	}
	// Another user's servers have to get through to their folders in it.
	if err := os.Chmod(tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(tmp) })
	return tmp
}

// ended is a context that has: at once.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func isEmpty(t *testing.T, folder string) {
	t.Helper()
	left, err := os.ReadDir(folder)
	if err != nil {
		t.Error(err)
	}
	for _, entry := range left {
		t.Errorf("%s is left in the temporary folder", entry.Name())
	}
}

// A reply is an answer, read to its end.
type replied struct {
	status int
	header http.Header
	body   string
}

func (r replied) class() string { return r.header.Get(classHeader) }

func (c *client) do(method, path, contentType, body string, headers ...string) replied {
	c.t.Helper()
	r, err := c.try(method, path, contentType, body, headers...)
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

func (c *client) try(method, path, contentType, body string, headers ...string) (replied, error) {
	req, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		return replied{}, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		} else {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return replied{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return replied{resp.StatusCode, resp.Header, string(b)}, err
}

const urlencodedType = "application/x-www-form-urlencoded"

// pay posts a form; headers are pairs.
func (c *client) pay(path, form string, headers ...string) replied {
	c.t.Helper()
	return c.do(http.MethodPost, path, urlencodedType, form, headers...)
}

// paying pays in the background. The test must take the answer.
func (c *client) paying(path, form string, headers ...string) <-chan replied {
	answers := make(chan replied, 1)
	go func() {
		r, err := c.try(http.MethodPost, path, urlencodedType, form, headers...)
		if err != nil {
			r.body = err.Error()
		}
		answers <- r
	}()
	return answers
}

func (c *client) get(path string, into any) {
	c.t.Helper()
	r := c.do(http.MethodGet, path, "", "")
	if r.status != http.StatusOK {
		c.t.Fatalf("GET %s: %d %s", path, r.status, r.body)
	}
	if err := json.Unmarshal([]byte(r.body), into); err != nil {
		c.t.Fatalf("GET %s: %v in %s", path, err, r.body)
	}
}

func (c *client) settings() (s settings) {
	c.t.Helper()
	c.get("/api/settings", &s)
	return s
}

// account returns account 1.
func (c *client) account() account {
	c.t.Helper()
	var all []account
	c.get("/api/accounts", &all)
	if len(all) != 1 || all[0].ID != 1 {
		c.t.Fatalf("the accounts are %+v", all)
	}
	return all[0]
}

func (c *client) history(query url.Values) (h recording) {
	c.t.Helper()
	c.get("/api/history?"+query.Encode(), &h)
	return h
}

func (c *client) reset() {
	c.t.Helper()
	if r := c.do(http.MethodPost, "/api/reset", "", ""); r.status != http.StatusOK {
		c.t.Fatalf("reset: %d %s", r.status, r.body)
	}
}

// until asks again and again, for a minute at most.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// inWindow waits until a worker has read the balance for the named request, and
// writes only after its window.
func (c *client) inWindow(request string) {
	c.t.Helper()
	until(c.t, request+" is in its window", func() bool {
		for _, e := range c.history(url.Values{"request": {request}}).Events {
			if e.Op.Kind == "window" && e.Kind == "entered" {
				return true
			}
		}
		return false
	})
}
