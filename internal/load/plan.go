package load

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bounds of a plan.
const (
	MostRequests   = 1_000_000
	MostConcurrent = 10_000

	// asNeeded is how many requests are at most under way together if the plan
	// leaves it open: each is a file descriptor here and several at the target.
	asNeeded = 1000
)

// A Plan says what to send, and when.
type Plan struct {
	URL     string
	Fields  url.Values // the form that each request posts
	N       int        // requests: 1..MostRequests
	Prefix  string     // of the requests' ids, unlike that of any other run
	Wait    time.Duration
	Timeout time.Duration // of one request, from when it is really sent

	// Concurrency bounds how many requests are under way together; 0 is as
	// many as needed, up to 1000. A request that has to wait for its turn is
	// sent late, and the time that it waited counts as latency.
	Concurrency int
	// Grace is how long the requests under way may go on when the context
	// ends, before they are cut off.
	Grace     time.Duration
	AllowHost bool // go to other machines too

	Started func(i int)  // may be nil; one call at a time, also with Ended
	Ended   func(Result) // may be nil
}

// NewPrefix returns the prefix of a run's request ids.
func NewPrefix() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // it never fails
	return hex.EncodeToString(b)
}

// ID returns the id of request i, counted from 1. It goes along as the header
// Racelab-Request, and comes back in the ledger.
func (p *Plan) ID(i int) string { return p.Prefix + "-" + strconv.Itoa(i) }

// index returns which request of the plan has that id; 0 is none.
func (p *Plan) index(id string) int {
	digits, ok := strings.CutPrefix(id, p.Prefix+"-")
	if !ok {
		return 0
	}
	i, err := strconv.Atoi(digits)
	if err != nil || i < 1 || i > p.N || p.ID(i) != id {
		return 0
	}
	return i
}

func (p *Plan) workers() int {
	c := p.Concurrency
	if c == 0 {
		c = asNeeded
	}
	return min(c, p.N)
}

// validate finds what would make the run meaningless or endless. Front ends
// check what people typed before, in their words.
func (p *Plan) validate() error {
	u, err := url.Parse(p.URL)
	if err != nil {
		return errors.New("the target is no http URL") // not quoted: it may hold a password
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return errors.New("the target is no http URL")
	case p.N < 1 || p.N > MostRequests:
		return fmt.Errorf("%d requests: it must be 1 to %d", p.N, MostRequests)
	case p.Concurrency < 0 || p.Concurrency > MostConcurrent:
		return fmt.Errorf("%d requests together: it must be 0 to %d", p.Concurrency, MostConcurrent)
	case p.Wait < 0 || p.Timeout <= 0:
		return fmt.Errorf("wait %v, time-out %v: out of range", p.Wait, p.Timeout)
	case p.Prefix == "":
		return fmt.Errorf("the requests have no ids")
	}
	return nil
}
