package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// A Hit is a run of requests with the lab asked before and after.
type Hit struct {
	Plan    Plan
	Lab     *Lab // at the plan's address
	MustLab bool // the target is a lab's by its name; else it may turn out to be something else
	Account int64
	Amount  int64
	Window  string // between read and write, if it is not the lab's own
	// Settle is how long to wait for what is still in flight in the lab,
	// before the run as after it.
	Settle time.Duration
	// Stage, which may be nil, is told what is waited for.
	Stage func(string)
}

// partingLimit is what an ended context leaves for settling and reading the
// ledger: somebody waits to get the prompt back.
const partingLimit = 3 * time.Second

// Do sends the requests and judges them. An error means that nothing was sent;
// whatever happens later is in the report. When ctx ends, the report is of what
// was sent until then. To a lab that is still busy with others nothing is sent:
// no verdict could come of it.
func (h Hit) Do(ctx context.Context) (Report, error) {
	e := Evidence{Plan: &h.Plan, Amount: h.Amount}
	if err := h.Plan.validate(); err != nil {
		return Report{}, err
	}
	settings, err := h.before(ctx, &e)
	if err != nil {
		return Report{}, err
	}
	if settings != nil && e.Before == nil {
		e.Results = unsent(h.Plan)
	} else if e.Results, err = Run(ctx, h.Plan); err != nil {
		return Report{}, err
	}
	if e.Before != nil {
		h.after(ctx, &e, settings.Epoch)
	}
	r := Judge(e)
	r.Account = h.Account
	if settings != nil {
		r.Engine, r.Level, r.Workers, r.Window = settings.Engine, settings.Level, &settings.Workers, cmp.Or(h.Window, settings.Window)
	}
	return r, nil
}

// unsent are the results of a plan of which nothing was sent.
func unsent(p Plan) []Result {
	all := make([]Result, p.N)
	for i := range all {
		all[i] = Result{I: i + 1, Outcome: NotSent, Class: notSent, Intended: time.Duration(i) * p.Wait, Sent: -1}
	}
	return all
}

// before reads the ledger, once nothing is in flight: what others still write
// would be taken for a loss of this run. The settings are nil if the target is
// no lab; the snapshot of a lab that stays busy is not taken.
func (h Hit) before(ctx context.Context, e *Evidence) (*Settings, error) {
	h.stage("reading the ledger")
	settings, err := h.Lab.Settings(ctx)
	if err != nil && !h.MustLab && ctx.Err() == nil && !errors.Is(err, ErrNoContact) {
		e.NoLedger = "the target is not a racelab lab, so there is no ledger to judge by"
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if settings.InFlight > 0 {
		h.stage(fmt.Sprintf("waiting for %s of others to end", plural(settings.InFlight, "request")))
	}
	if settings, err = h.Lab.Settle(ctx, h.Settle); err != nil {
		return nil, err
	}
	if busy := settings.InFlight; busy > 0 {
		e.NoLedger = fmt.Sprintf("the lab is still busy with %s of others after %s, so nothing was sent", plural(busy, "request"), h.Settle)
		return &settings, nil
	}
	before, err := h.Lab.Snapshot(ctx, h.Account)
	if err != nil {
		return nil, err
	}
	e.Before = &before
	return &settings, nil
}

// after reads the ledger again, also when ctx is over or ends meanwhile. It is
// evidence only if the lab is still in the epoch in which it was read before.
func (h Hit) after(ctx context.Context, e *Evidence, epoch string) {
	h.stage("waiting until nothing is in flight")
	settled, err := h.Lab.Settle(ctx, h.Settle)
	if ctx.Err() != nil {
		parting, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*partingLimit)
		defer cancel()
		ctx = parting
		settled, err = h.Lab.Settle(ctx, min(h.Settle, partingLimit))
	}
	var after Snapshot
	if err == nil {
		h.stage("reading the ledger")
		after, err = h.Lab.Snapshot(ctx, h.Account)
	}
	var last Settings
	if err == nil {
		last, err = h.Lab.Settings(ctx) // after the ledger, or a reset could come between
	}
	switch {
	case errors.Is(err, ErrNoAccount):
		e.NoLedger = fmt.Sprintf("account %d went away during the run", h.Account)
	case err != nil:
		e.NoLedger = "the ledger could not be read after the run: " + err.Error()
	case last.Epoch != epoch:
		e.NoLedger = "the lab was reset or restarted meanwhile"
	default:
		e.BusyAfter, e.After = settled.InFlight, &after
	}
}

func (h Hit) stage(s string) {
	if h.Stage != nil {
		h.Stage(s)
	}
}
