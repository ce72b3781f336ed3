package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/racelab/racelab"
)

const (
	// A seat starts at most one process in this time, and gives up after so
	// many in a row that ended early without ever having got a request.
	startEvery   = 250 * time.Millisecond
	mostFailures = 5
	early        = time.Second

	endLimit = 30 * time.Second // for a dead worker's connections to end
)

// A seat is held by one worker process after another.
type seat struct {
	level  racelab.Level // its workers'
	quit   chan struct{} // closed: nobody is to sit here any more
	ready  chan struct{} // closed when the first process serves
	gone   chan struct{} // closed when the last one has ended
	err    error         // after gone: why the seat was given up; nil if it was to be
	worker atomic.Pointer[process]

	session racelab.SessionID // of the newest process; guarded by the pool's mu
}

func newSeat(level racelab.Level) *seat {
	return &seat{level: level, quit: make(chan struct{}), ready: make(chan struct{}), gone: make(chan struct{})}
}

// fill keeps a worker on the seat. If its first one cannot be started, the seat
// is given up with that error; if too many later ones in a row are of no use,
// the laboratory fails too.
func (p *pool) fill(ctx context.Context, s *seat) error {
	starting, stop := context.WithCancel(ctx)
	defer stop()
	p.running.Go(func() {
		select {
		case <-s.quit:
			stop()
		case <-starting.Done():
		}
	})
	var left *request
	defer func() {
		if left != nil {
			p.putBack(*left)
		}
	}()
	served, failures := false, 0
	for {
		began := time.Now()
		w, err := startProcess(starting, p.orders(p.name(s), s.level), p.tape, p.log)
		if err == nil {
			s.worker.Store(w)
			if !served {
				served = true
				close(s.ready)
			}
			received := false
			left, received = p.employ(ctx, s, w, left)
			s.worker.Store(nil)
			w.leave()
			if received || time.Since(began) > early {
				failures = 0
			} else {
				err = fmt.Errorf("worker %s ended early: %s", w.orders.Session, w.end())
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.quit:
			return nil
		default:
		}
		if err != nil {
			p.log.Warn("a worker could not be kept", "error", err)
			if !served {
				return err
			}
			if failures++; failures == mostFailures {
				p.fail(err)
				return err
			}
		}
		pace := time.NewTimer(startEvery - time.Since(began))
		select {
		case <-pace.C:
		case <-ctx.Done():
		case <-s.quit:
		}
		pace.Stop()
	}
}

// employ gives the worker request after request, first the one that is left
// from before, until the worker ends, or is to. It returns a request that the
// worker never got, and whether it got any.
func (p *pool) employ(ctx context.Context, s *seat, w *process, left *request) (_ *request, received bool) {
	for {
		if left == nil {
			select {
			case r := <-p.queue:
				left = &r
			case <-w.done:
				p.log.Warn("an idle worker ended", "session", w.orders.Session, "pid", w.pid(), "end", w.end())
				return nil, received
			case <-s.quit:
				return nil, received
			case <-ctx.Done():
				return nil, received
			}
		}
		limited, cancel := context.WithTimeout(ctx, p.limit)
		a, err := w.ask(limited, *left)
		late := errors.Is(limited.Err(), context.DeadlineExceeded)
		cancel()
		if err != nil {
			w.kill() // nobody knows what it does
			if errors.Is(err, errUndelivered) && !late {
				return left, received
			}
			p.bury(ctx, w)
			a = p.lost(w, late, err)
		}
		p.finish(*left, a)
		left, received = nil, true
		if err != nil {
			return nil, received
		}
	}
}

// bury ends what a killed worker has left in the server: its request is in
// flight for as long as one of its statements may still run.
func (p *pool) bury(ctx context.Context, w *process) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), endLimit)
	defer cancel()
	for {
		err := p.world.End(limited, w.connections())
		if err == nil {
			return
		}
		again := time.NewTimer(startEvery)
		select {
		case <-again.C:
			continue
		case <-ctx.Done(): // closing: once is enough
		case <-limited.Done():
		}
		again.Stop()
		p.fail(fmt.Errorf("worker %s was killed, and what it left in the database may still run: %w", w.orders.Session, err))
		return
	}
}

// lost is the answer to a request whose worker gave none: not a failure, for it
// may have done all its work.
func (p *pool) lost(w *process, late bool, err error) answer {
	why := "its worker ended while it ran"
	if late {
		why = fmt.Sprintf("its worker did not answer within %s and was killed", p.limit)
	}
	p.log.Warn("a request was lost", "why", why, "session", w.orders.Session, "pid", w.pid(), "error", err, "end", w.end())
	return problemAnswer(http.StatusBadGateway, unknown, why+": whether the deposit happened, only the ledger can say")
}
