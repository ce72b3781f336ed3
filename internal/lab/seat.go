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
	// many in a row that ended early without having answered anything.
	startEvery   = 250 * time.Millisecond
	mostFailures = 5
	early        = time.Second
)

// A seat is held by one worker process after another.
type seat struct {
	quit   chan struct{} // closed: nobody is to sit here any more
	ready  chan struct{} // closed when the first process serves
	gone   chan struct{} // closed when the last one has ended
	worker atomic.Pointer[process]

	session racelab.SessionID // of the newest process; guarded by the pool's mu
}

func newSeat() *seat {
	return &seat{quit: make(chan struct{}), ready: make(chan struct{}), gone: make(chan struct{})}
}

// fill keeps a worker on the seat. If its first one cannot be started, or too
// many in a row are of no use, the seat is given up, and the pool says why.
func (p *pool) fill(ctx context.Context, s *seat) {
	defer close(s.gone)
	var left *request
	defer func() {
		if left != nil {
			p.finish(*left, problemAnswer(http.StatusServiceUnavailable, overloaded, errClosing.Error()))
		}
	}()
	served, failures := false, 0
	for {
		began := time.Now()
		w, err := startProcess(ctx, p.orders(p.name(s)), p.tape, p.log)
		if err == nil {
			s.worker.Store(w)
			if !served {
				served = true
				close(s.ready)
			}
			answered := 0
			left, answered = p.employ(ctx, s, w, left)
			s.worker.Store(nil)
			w.leave()
			if answered > 0 || time.Since(began) > early {
				failures = 0
			} else {
				err = fmt.Errorf("worker %s ended early: %s", w.orders.Session, w.end())
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.quit:
			return
		default:
		}
		if err != nil {
			p.log.Warn("a worker could not be kept", "error", err)
			if failures++; !served || failures == mostFailures {
				p.fail(err)
				return
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
// worker never got.
func (p *pool) employ(ctx context.Context, s *seat, w *process, left *request) (_ *request, answered int) {
	for ; ; answered++ {
		if left == nil {
			select {
			case r := <-p.queue:
				left = &r
			case <-w.done:
				p.log.Warn("an idle worker ended", "session", w.orders.Session, "pid", w.pid(), "end", w.end())
				return nil, answered
			case <-s.quit:
				return nil, answered
			case <-ctx.Done():
				return nil, answered
			}
		}
		limited, cancel := context.WithTimeout(ctx, p.limit)
		a, err := w.ask(limited, *left)
		late := errors.Is(limited.Err(), context.DeadlineExceeded)
		cancel()
		if err != nil {
			w.kill() // nobody knows what it does
			if errors.Is(err, errUndelivered) {
				return left, answered
			}
			a = p.lost(w, late, err)
		}
		p.finish(*left, a)
		left = nil
		if err != nil {
			return nil, answered
		}
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
