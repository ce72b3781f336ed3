package load

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Run sends the plan's requests and returns a result for each, in their order.
// Request i is meant to start i-1 waits after the first; without a wait all of
// them wait behind a barrier, each with its connection made, and go together.
//
// When ctx ends, what has not been sent stays unsent, and what is under way has
// the plan's grace to end. Run returns when nothing is under way any more. The
// error is about the plan: of what went wrong on the way, the results tell.
func Run(ctx context.Context, p Plan) ([]Result, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	pool := &warm{dialer: newDialer(p.AllowHost)}
	transport := newTransport()
	transport.DialContext = pool.dial
	defer transport.CloseIdleConnections()
	defer pool.close()

	underWay, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	defer graceful(ctx, p.Grace, cut)()

	workers := p.workers()
	if p.Wait == 0 {
		pool.fill(ctx, p.URL, workers)
	}
	r := &runner{plan: p, form: p.Fields.Encode(), transport: transport, results: make([]Result, p.N)}
	barrier := make(chan struct{})
	var ready, done sync.WaitGroup
	ready.Add(workers)
	for range workers {
		done.Go(func() {
			ready.Done()
			<-barrier
			r.work(ctx, underWay)
		})
	}
	ready.Wait()
	r.start = time.Now()
	close(barrier)
	done.Wait()
	return r.results, nil
}

// graceful calls cut when ctx has been over for the time of grace. The function
// it returns ends that, and returns when nothing of it runs any more.
func graceful(ctx context.Context, grace time.Duration, cut func()) (stop func()) {
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-ctx.Done():
		case <-quit:
			return
		}
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cut()
		case <-quit:
		}
	})
	return func() { close(quit); wg.Wait() }
}

// A runner is a run under way. Its workers take the next request each, so that
// the requests start in order whatever the number of workers is.
type runner struct {
	plan      Plan
	form      string
	transport http.RoundTripper
	start     time.Time
	next      atomic.Int64
	results   []Result

	mu sync.Mutex // of the plan's callbacks
}

func (r *runner) work(ctx, underWay context.Context) {
	for {
		i := int(r.next.Add(1))
		if i > r.plan.N {
			return
		}
		intended := time.Duration(i-1) * r.plan.Wait
		result := Result{I: i, Outcome: NotSent, Class: notSent, Intended: intended, Sent: -1}
		if until(ctx, r.start.Add(intended)) {
			r.call(func() {
				if r.plan.Started != nil {
					r.plan.Started(i)
				}
			})
			result = r.send(ctx, underWay, result)
		}
		r.results[i-1] = result
		r.call(func() {
			if r.plan.Ended != nil {
				r.plan.Ended(result)
			}
		})
	}
}

func (r *runner) call(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// until waits for t and reports whether ctx still goes on then.
func until(ctx context.Context, t time.Time) bool {
	if d := time.Until(t); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}
