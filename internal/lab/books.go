package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/racelab/racelab"
)

const stateLimit = 10 * time.Second // for the front's own statements

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
		fail(w, http.StatusServiceUnavailable, l.classify(err), "read the accounts: "+err.Error())
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
		fail(w, http.StatusBadRequest, badRequest, fmt.Sprintf("account %q is not a whole number", r.URL.Query().Get("account")))
		return
	}
	_, rows, err := l.books(r.Context())
	if err != nil {
		fail(w, http.StatusServiceUnavailable, l.classify(err), "read the ledger: "+err.Error())
		return
	}
	if r.URL.Query().Has("account") {
		rows = slices.DeleteFunc(rows, func(row row) bool { return row.Account == nil || *row.Account != wanted })
	}
	reply(w, rows)
}

func (l *Lab) classify(err error) racelab.Class { return l.config.Engine.Dialect.Classify(err) }

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
	l.changing.Lock() // the sessions of workers that start now are not to be forgotten
	defer l.changing.Unlock()
	if !l.pool.hold() {
		fail(w, http.StatusConflict, racelab.Refused, busy)
		return
	}
	defer l.pool.release()
	// Half a reset is worse than an unwanted one: it outlives the client.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), stateLimit)
	defer cancel()
	l.resets.Add(1) // before: who reads both is not to take the old ledger for the new one's
	if err := l.world.Reset(ctx); err != nil {
		fail(w, http.StatusServiceUnavailable, l.classify(err), "reset: "+err.Error())
		return
	}
	l.tape.Clear()
	l.pool.forget()
	l.settings(w, r)
}
