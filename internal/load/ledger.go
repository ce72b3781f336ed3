package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// A Row is one of the ledger.
type Row struct {
	ID      int64
	Amount  int64
	Request string // "" if it came without an id
}

// mostRows bounds a ledger: what a run may add, and as much again before it.
const mostRows = 4 * MostRequests

// decodeLedger reads rows one at a time: a ledger may be long.
func decodeLedger(r io.Reader) ([]Row, error) {
	d := json.NewDecoder(r)
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil, errors.Join(err, errors.New("not a list of rows"))
	}
	var rows []Row
	for d.More() {
		var row struct {
			ID      *int64  `json:"id"`
			Amount  *int64  `json:"amount"`
			Request *string `json:"request"`
		}
		if err := d.Decode(&row); err != nil {
			return nil, err
		}
		switch {
		case row.ID == nil || row.Amount == nil:
			return nil, errors.New("a row without id or amount")
		case *row.Amount < math.MinInt32 || *row.Amount > math.MaxInt32:
			return nil, fmt.Errorf("row %d: amount %d is out of range", *row.ID, *row.Amount)
		case len(rows) == mostRows:
			return nil, fmt.Errorf("more than %d rows", mostRows)
		}
		next := Row{ID: *row.ID, Amount: *row.Amount}
		if row.Request != nil {
			next.Request = *row.Request
		}
		rows = append(rows, next)
	}
	_, err := d.Token()
	return rows, err
}

// A Snapshot is an account and its ledger at one moment.
type Snapshot struct {
	Balance int64
	Rows    []Row
	// Torn is set if balance and rows do not belong to the same moment:
	// somebody wrote while they were read.
	Torn bool
}

// ErrNoAccount says that the lab has no such account.
var ErrNoAccount = errors.New("no such account")

// Snapshot reads an account and its ledger.
func (l *Lab) Snapshot(ctx context.Context, account int64) (Snapshot, error) {
	before, err := l.account(ctx, account)
	if err != nil {
		return Snapshot{}, err
	}
	rows, err := l.Ledger(ctx, account)
	if err != nil {
		return Snapshot{}, err
	}
	after, err := l.account(ctx, account)
	if err != nil {
		return Snapshot{}, err
	}
	sum := int64(0)
	for _, r := range rows {
		sum += r.Amount
	}
	torn := before != after || before.Rows != len(rows) || before.Ledger != sum
	return Snapshot{Balance: after.Balance, Rows: rows, Torn: torn}, nil
}

func (l *Lab) account(ctx context.Context, id int64) (Account, error) {
	all, err := l.Accounts(ctx)
	if err != nil {
		return Account{}, err
	}
	for _, a := range all {
		if a.ID == id {
			return a, nil
		}
	}
	return Account{}, fmt.Errorf("account %d: %w", id, ErrNoAccount)
}
