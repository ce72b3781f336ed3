package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

// ErrNotLab says that something answers, but not as a racelab lab does.
var ErrNotLab = errors.New("not a racelab lab")

// ErrNoContact says that no connection could be made.
var ErrNoContact = errors.New("no connection")

const (
	askLimit     = 10 * time.Second // of one question to the lab
	ledgerAsk    = time.Minute      // of reading a whole ledger
	answerLimit  = 8 << 20          // bytes of an answer
	ledgerLimit  = 512 << 20        // bytes of a ledger
	historyLimit = 64 << 20         // bytes of a history

	pollFirst, pollLast = 10 * time.Millisecond, 250 * time.Millisecond
	pollErrors          = 3 // in a row, until a lab is taken for gone
)

// A Lab is a client of a lab's JSON API.
type Lab struct {
	base      string // scheme://host:port
	transport *http.Transport
}

// NewLab returns a client of the lab at base, a URL of which only scheme and
// host count. The caller closes it.
func NewLab(base *url.URL, allowHost bool) *Lab {
	t := newTransport()
	t.DialContext = newDialer(allowHost).DialContext
	return &Lab{base: (&url.URL{Scheme: base.Scheme, Host: base.Host}).String(), transport: t}
}

// Close gives up the client's connections.
func (l *Lab) Close() { l.transport.CloseIdleConnections() }

// Settings are what a lab says of itself.
type Settings struct {
	Workers  int
	Class    string // of the workers
	Window   string
	Engine   string
	Level    string
	InFlight int    // requests that have arrived and have not ended, abandoned ones among them
	Epoch    string // another one after every reset and start; "" if the lab is too old to say
}

// Settings asks the lab for them. The error is ErrNotLab if something else
// answers.
func (l *Lab) Settings(ctx context.Context) (Settings, error) {
	var s Settings
	err := l.get(ctx, "/api/settings", askLimit, answerLimit, func(r io.Reader) (err error) {
		s, err = decodeSettings(r)
		return err
	})
	return s, err
}

func decodeSettings(r io.Reader) (Settings, error) {
	var s struct {
		Workers  *int   `json:"workers"`
		Class    string `json:"class"`
		Window   string `json:"window"`
		Engine   string `json:"engine"`
		Level    string `json:"level"`
		InFlight *int   `json:"in_flight"`
		Epoch    string `json:"epoch"`
	}
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return Settings{}, err
	}
	if s.Workers == nil || s.InFlight == nil || *s.InFlight < 0 {
		return Settings{}, errors.New("no number of workers, or of requests in flight")
	}
	return Settings{*s.Workers, s.Class, s.Window, name(s.Engine), s.Level, *s.InFlight, s.Epoch}, nil
}

// An Account is one as the lab sums it up.
type Account struct {
	ID      int64 `json:"id"`
	Balance int64 `json:"balance"`
	Ledger  int64 `json:"ledger"` // the sum of its rows
	Rows    int   `json:"rows"`
}

// Accounts asks the lab for all accounts.
func (l *Lab) Accounts(ctx context.Context) ([]Account, error) {
	var all []Account
	err := l.get(ctx, "/api/accounts", askLimit, answerLimit, func(r io.Reader) (err error) {
		all, err = decodeAccounts(r)
		return err
	})
	return all, err
}

// mostMoney bounds a balance so that sums of them cannot overflow.
const mostMoney = 1 << 53

func decodeAccounts(r io.Reader) ([]Account, error) {
	var all []Account
	if err := json.NewDecoder(r).Decode(&all); err != nil {
		return nil, err
	}
	if all == nil {
		return nil, errors.New("no list of accounts")
	}
	for _, a := range all {
		if a.Balance < -mostMoney || a.Balance > mostMoney || a.Rows < 0 {
			return nil, fmt.Errorf("account %d: balance %d, %d rows", a.ID, a.Balance, a.Rows)
		}
	}
	return all, nil
}

// Ledger asks the lab for the rows of an account.
func (l *Lab) Ledger(ctx context.Context, account int64) ([]Row, error) {
	var rows []Row
	path := "/api/ledger?account=" + strconv.FormatInt(account, 10)
	err := l.get(ctx, path, ledgerAsk, ledgerLimit, func(r io.Reader) (err error) {
		rows, err = decodeLedger(r)
		return err
	})
	return rows, err
}

// A History is what a lab recorded of some requests. Its events are still
// JSON: this package does not know their type.
type History struct {
	Events  json.RawMessage `json:"events"`
	At      []time.Duration `json:"at"`      // in nanoseconds; of each event
	Dropped int             `json:"dropped"` // records that the lab has forgotten
}

// History asks the lab what it recorded of the requests whose ids begin so.
func (l *Lab) History(ctx context.Context, prefix string) (History, error) {
	var h History
	path := "/api/history?" + url.Values{"prefix": {prefix}}.Encode()
	err := l.get(ctx, path, askLimit, historyLimit, func(r io.Reader) error {
		return json.NewDecoder(r).Decode(&h)
	})
	return h, err
}

// Settle waits until nothing is in flight in the lab, for at most that long,
// and returns the settings that say so, or what still is.
func (l *Lab) Settle(ctx context.Context, limit time.Duration) (Settings, error) {
	deadline := time.Now().Add(limit)
	failures := 0
	for pause := pollFirst; ; pause = min(2*pause, pollLast) {
		s, err := l.Settings(ctx)
		if err != nil {
			failures++
			if failures == pollErrors || ctx.Err() != nil {
				return Settings{}, err
			}
		} else {
			failures = 0
			if s.InFlight == 0 || !time.Now().Before(deadline) {
				return s, nil
			}
		}
		if !until(ctx, time.Now().Add(pause)) {
			return s, ctx.Err()
		}
	}
}

// get asks for path and gives the answer's body to decode.
func (l *Lab) get(ctx context.Context, path string, limit time.Duration, size int64, decode func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var connected atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { connected.Store(false) }, // again, if a kept connection was dead
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	request, err := http.NewRequestWithContext(traced, http.MethodGet, l.base+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "racelab")
	answer, err := l.transport.RoundTrip(request)
	if err != nil && !connected.Load() {
		return fmt.Errorf("%w to %s: %w", ErrNoContact, l.base, err)
	}
	if err != nil {
		return fmt.Errorf("ask %s: %w", l.base, err)
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode >= 500:
		body, _ := io.ReadAll(io.LimitReader(answer.Body, detailLimit))
		return fmt.Errorf("ask %s for %s: it answered %d %s", l.base, request.URL.Path, answer.StatusCode, detail(answer.Header, body))
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("%s is %w: it answered %s with %d", l.base, ErrNotLab, request.URL.Path, answer.StatusCode)
	}
	body := &io.LimitedReader{R: answer.Body, N: size}
	err = decode(body)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("ask %s for %s: %w", l.base, request.URL.Path, ctx.Err())
	case body.N <= 0:
		return fmt.Errorf("%s answered %s with more than %d MB", l.base, request.URL.Path, size>>20)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s: the answer to %s broke off: %w", l.base, request.URL.Path, err)
	}
	return fmt.Errorf("%s is %w: its answer to %s: %w", l.base, ErrNotLab, request.URL.Path, err)
}
