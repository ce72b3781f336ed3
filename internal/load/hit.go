package load

import (
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
// was sent until then.
func (h Hit) Do(ctx context.Context) (Report, error) {
	e := Evidence{Plan: &h.Plan, Amount: h.Amount}
	if err := h.Plan.validate(); err != nil {
		return Report{}, err
	}
	settings, err := h.before(ctx, &e)
	if err != nil {
		return Report{}, err
	}
	if e.Results, err = Run(ctx, h.Plan); err != nil {
		return Report{}, err
	}
	if e.Before != nil {
		h.after(ctx, &e)
	}
	r := Judge(e)
	r.Engine = settings.Engine
	return r, nil
}

// before reads the ledger, once nothing is in flight: what others still write
// would be taken for a loss of this run.
func (h Hit) before(ctx context.Context, e *Evidence) (Settings, error) {
	h.stage("reading the ledger")
	settings, err := h.Lab.Settings(ctx)
	if err != nil && !h.MustLab && ctx.Err() == nil && !errors.Is(err, ErrNoContact) {
		e.NoLedger = "the target is not a racelab lab, so there is no ledger to judge by"
		return Settings{}, nil
	}
	if err != nil {
		return settings, err
	}
	if settings.InFlight > 0 {
		h.stage(fmt.Sprintf("waiting for %s of others to end", plural(settings.InFlight, "request")))
	}
	if e.BusyBefore, err = h.Lab.Settle(ctx, h.Settle); err != nil {
		return settings, err
	}
	before, err := h.Lab.Snapshot(ctx, h.Account)
	if err != nil {
		return settings, err
	}
	e.Before = &before
	return settings, nil
}

// after reads the ledger again, also when ctx is over or ends meanwhile.
func (h Hit) after(ctx context.Context, e *Evidence) {
	h.stage("waiting until nothing is in flight")
	busy, err := h.Lab.Settle(ctx, h.Settle)
	if ctx.Err() != nil {
		parting, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*partingLimit)
		defer cancel()
		ctx = parting
		busy, err = h.Lab.Settle(ctx, min(h.Settle, partingLimit))
	}
	if err == nil {
		h.stage("reading the ledger")
		var after Snapshot
		if after, err = h.Lab.Snapshot(ctx, h.Account); err == nil {
			e.BusyAfter, e.After = busy, &after
			return
		}
	}
	e.NoLedger = "the ledger could not be read after the run: " + err.Error()
	if errors.Is(err, ErrNoAccount) {
		e.NoLedger = fmt.Sprintf("account %d went away during the run", h.Account)
	}
}

func (h Hit) stage(s string) {
	if h.Stage != nil {
		h.Stage(s)
	}
}
