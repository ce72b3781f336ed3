package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
)

const (
	stateLimit  = 10 * time.Second // for the front's own statements
	mostWorkers = 64
)

func (l *Lab) healthz(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]string{"status": "ok"})
}

// An account is one with what its ledger says of it.
type account struct {
	ID         int64 `json:"id"`
	Balance    int64 `json:"balance"`
	Ledger     int64 `json:"ledger"`     // the sum of its rows
	Rows       int   `json:"rows"`       // how many it has
	Difference int64 `json:"difference"` // ledger - balance: what is missing
}

func (l *Lab) accounts(w http.ResponseWriter, r *http.Request) {
	accounts, rows, err := l.books(r.Context())
	if err != nil {
		fail(w, http.StatusServiceUnavailable, "", "read the accounts: "+err.Error())
		return
	}
	for i := range accounts {
		a := &accounts[i]
		for _, row := range rows {
			if row.Account != nil && *row.Account == a.ID {
				a.Ledger += row.Amount
				a.Rows++
			}
		}
		a.Difference = a.Ledger - a.Balance
	}
	reply(w, accounts)
}

// A row is one of the ledger.
type row struct {
	ID        int64   `json:"id"`
	Account   *int64  `json:"account"` // nil: the account was deleted
	Amount    int64   `json:"amount"`
	Timestamp string  `json:"timestamp"`
	Request   *string `json:"request"` // nil: it came without a name
}

func (l *Lab) ledger(w http.ResponseWriter, r *http.Request) {
	wanted, err := strconv.ParseInt(r.URL.Query().Get("account"), 10, 64)
	if err != nil && r.URL.Query().Has("account") {
		fail(w, http.StatusBadRequest, "", fmt.Sprintf("account %q is not a whole number", r.URL.Query().Get("account")))
		return
	}
	_, rows, err := l.books(r.Context())
	if err != nil {
		fail(w, http.StatusServiceUnavailable, "", "read the ledger: "+err.Error())
		return
	}
	if r.URL.Query().Has("account") {
		rows = slices.DeleteFunc(rows, func(row row) bool { return row.Account == nil || *row.Account != wanted })
	}
	reply(w, rows)
}

// books reads both tables at one moment, each in the order of its ids.
func (l *Lab) books(ctx context.Context) ([]account, []row, error) {
	ctx, cancel := context.WithTimeout(ctx, stateLimit)
	defer cancel()
	state, err := l.world.State(ctx)
	if err != nil {
		return nil, nil, err
	}
	table, ok := state.Table("account")
	ledger, ok2 := state.Table("ledger")
	if !ok || !ok2 {
		return nil, nil, errors.New("the database lacks the tables account and ledger")
	}
	accounts, rows := make([]account, len(table.Rows)), make([]row, len(ledger.Rows))
	var errs []error
	whole := func(t racelab.Table, i int, column string) int64 {
		n, err := t.Int(i, column)
		errs = append(errs, err)
		return n
	}
	for i := range accounts {
		accounts[i] = account{ID: whole(table, i, "id"), Balance: whole(table, i, "balance")}
	}
	created, request, of := ledger.Column("created"), ledger.Column("request"), ledger.Column("account")
	if created < 0 || request < 0 || of < 0 {
		return nil, nil, errors.New("the ledger lacks a column")
	}
	for i, cells := range ledger.Rows {
		rows[i] = row{ID: whole(ledger, i, "id"), Amount: whole(ledger, i, "amount"), Timestamp: fmt.Sprint(cells[created])}
		if cells[of] != nil {
			n := whole(ledger, i, "account")
			rows[i].Account = &n
		}
		if name, ok := cells[request].(string); ok {
			rows[i].Request = &name
		}
	}
	return accounts, rows, errors.Join(errs...)
}

const busy = "requests are in flight: wait until in_flight is 0"

// reset brings the database back to its start and clears the tape.
func (l *Lab) reset(w http.ResponseWriter, r *http.Request) {
	if !l.pool.hold() {
		fail(w, http.StatusConflict, "", busy)
		return
	}
	defer l.pool.release()
	// Half a reset is worse than an unwanted one: it outlives the client.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), stateLimit)
	defer cancel()
	if err := l.world.Reset(ctx); err != nil {
		fail(w, http.StatusServiceUnavailable, "", "reset: "+err.Error())
		return
	}
	l.tape.Clear()
	l.pool.forget()
	l.settings(w, r)
}

// Settings are the laboratory's knobs, and what it is at the moment.
type settings struct {
	Workers  int           `json:"workers"`
	Class    string        `json:"class"`
	Window   string        `json:"window"`
	Engine   string        `json:"engine"`
	Level    racelab.Level `json:"level"`
	InFlight int           `json:"in_flight"`
	Pids     []int         `json:"worker_pids"`
	Product  string        `json:"product"`
	Version  string        `json:"engine_version"`
}

// workerClass is gunicorn's word for workers of one request at a time.
const workerClass = "sync"

func (l *Lab) current() settings {
	product := l.server.Product()
	return settings{
		Workers: l.pool.size(), Class: workerClass, Window: l.window().String(), Engine: l.config.Engine.Name, Level: l.level(),
		InFlight: l.pool.flying(), Pids: l.pool.pids(), Product: product.Name, Version: product.Version,
	}
}

func (l *Lab) settings(w http.ResponseWriter, _ *http.Request) { reply(w, l.current()) }

// A change is what may be posted to the settings; nil leaves as it is.
type change struct {
	Workers *int    `json:"workers"`
	Window  *string `json:"window"`
	Level   *string `json:"level"`
}

func (l *Lab) change(w http.ResponseWriter, r *http.Request) {
	l.changing.Lock()
	defer l.changing.Unlock()
	c, err := readChange(http.MaxBytesReader(w, r.Body, mostBody))
	if err != nil {
		fail(w, http.StatusBadRequest, "", err.Error())
		return
	}
	// Everything is looked at before anything is changed.
	window := l.window()
	if c.Window != nil {
		if window, err = stage.ParseSpan(*c.Window); err != nil {
			fail(w, http.StatusBadRequest, "", "window: "+err.Error())
			return
		}
	}
	if c.Workers != nil && (*c.Workers < 1 || *c.Workers > mostWorkers) {
		fail(w, http.StatusBadRequest, "", fmt.Sprintf("workers is %d: give a number from 1 to %d", *c.Workers, mostWorkers))
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), readyLimit)
	defer cancel()
	if c.Level != nil {
		if status, err := l.changeLevel(ctx, *c.Level); err != nil {
			fail(w, status, "", err.Error())
			return
		}
	}
	if c.Workers != nil {
		if err := l.pool.resize(ctx, *c.Workers); err != nil {
			fail(w, http.StatusServiceUnavailable, "", err.Error())
			return
		}
	}
	l.setWindow(window)
	l.settings(w, r)
}

func readChange(body io.Reader) (c change, err error) {
	b, err := io.ReadAll(body)
	if err != nil {
		return c, fmt.Errorf("read the settings: %w", err)
	}
	var names map[string]json.RawMessage
	if err := json.Unmarshal(b, &names); err != nil {
		return c, errors.New(`the settings are a JSON object, such as {"workers":8,"window":"300ms..1s"}`)
	}
	for name := range names {
		if !slices.Contains([]string{"workers", "window", "level"}, name) {
			return c, fmt.Errorf("%q cannot be changed: workers, window and level can", name)
		}
	}
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&c); err != nil {
		return c, fmt.Errorf("read the settings: %w", err)
	}
	return c, nil
}

// changeLevel opens the world at another level: with new workers, since theirs
// is that of their connections.
func (l *Lab) changeLevel(ctx context.Context, name string) (status int, err error) {
	level, err := racelab.ParseLevel(name)
	if err == nil {
		level, err = l.config.Engine.Dialect.Level(level)
	}
	if err != nil {
		return http.StatusBadRequest, err
	}
	if !l.pool.hold() {
		return http.StatusConflict, errors.New(busy)
	}
	defer l.pool.release()
	// The dialect knows what the engine has; this server may have less.
	probe, err := l.server.Open(ctx, racelab.Config{Level: level, Attach: l.world.Address()})
	if err != nil {
		return http.StatusBadRequest, err
	}
	if err := probe.Close(); err != nil {
		return http.StatusServiceUnavailable, err
	}
	l.setLevel(level)
	if err := l.pool.renew(ctx); err != nil {
		return http.StatusServiceUnavailable, err
	}
	return 0, nil
}
