package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/control"
)

// mostQueued bounds the requests that wait for a worker.
const mostQueued = 10_000

var (
	errFull    = errors.New("too many requests wait for a worker")
	errClosing = errors.New("the laboratory is closing")
)

// A request is one that waits for a worker, or is with one.
type request struct {
	route  route
	method string
	header http.Header // all that the worker is told
	body   []byte
	answer chan answer // buffered: whoever asked may be gone
}

// A pool is the seats that worker processes sit on, and the queue before them.
type pool struct {
	orders func(racelab.SessionID) orders
	tape   *control.Tape
	limit  time.Duration // for a worker to answer
	log    *slog.Logger

	keep    func(*seat) // fills a seat until the pool is cut off or the seat is given up
	cut     context.CancelFunc
	running sync.WaitGroup // the seats
	failed  chan error     // buffered: why a seat cannot be kept filled
	queue   chan request
	idle    chan struct{} // closed when the pool is closed and nothing is in flight

	mu       sync.Mutex
	released sync.Cond // held has become false, or closed true
	inFlight int       // requests accepted and not answered, in the queue or with a worker
	held     bool      // somebody changes what requests work on: new ones wait
	closed   bool
	seats    []*seat
	taken    map[racelab.SessionID]bool // names of sessions that live, or are on the tape
}

func newPool(orders func(racelab.SessionID) orders, tape *control.Tape, limit time.Duration, log *slog.Logger) *pool {
	ctx, cut := context.WithCancel(context.Background())
	p := &pool{
		orders: orders, tape: tape, limit: limit, log: log, cut: cut,
		failed: make(chan error, 1),
		queue:  make(chan request, mostQueued),
		idle:   make(chan struct{}),
		taken:  map[racelab.SessionID]bool{},
	}
	p.keep = func(s *seat) { p.fill(ctx, s) }
	p.released.L = &p.mu
	return p
}

// submit queues a request. Unless it returns an error, an answer will come.
func (p *pool) submit(r request) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.held && !p.closed {
		p.released.Wait()
	}
	if p.closed {
		return errClosing
	}
	select {
	case p.queue <- r:
		p.inFlight++
		return nil
	default:
		return errFull
	}
}

// finish gives a request its answer. Whoever sees that finds it in flight no
// more, and may reset at once.
func (p *pool) finish(r request, a answer) {
	p.mu.Lock()
	p.inFlight--
	if p.closed && p.inFlight == 0 {
		close(p.idle)
	}
	p.mu.Unlock()
	r.answer <- a
}

// flying returns how many requests are in flight.
func (p *pool) flying() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inFlight
}

// hold keeps new requests waiting until release. It returns false if any is in
// flight.
func (p *pool) hold() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inFlight > 0 || p.held || p.closed {
		return false
	}
	p.held = true
	return true
}

func (p *pool) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = false
	p.released.Broadcast()
}

// resize brings the pool to n seats, and returns when the new ones' workers
// serve. Those that are too many leave when they have answered what they have.
func (p *pool) resize(ctx context.Context, n int) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return errClosing
	}
	var added []*seat
	for len(p.seats) < n {
		s := newSeat()
		p.seats = append(p.seats, s)
		added = append(added, s)
		p.running.Go(func() { p.keep(s) })
	}
	for _, s := range p.seats[n:] {
		close(s.quit)
	}
	p.seats = p.seats[:n:n]
	p.mu.Unlock()
	for _, s := range added {
		select {
		case <-s.ready:
		case <-s.gone:
			return fmt.Errorf("the laboratory has no workers: %w", p.failure())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// renew replaces every process. The caller holds the pool, so they are idle.
func (p *pool) renew(ctx context.Context) error {
	p.mu.Lock()
	old := p.seats
	p.mu.Unlock()
	if err := p.resize(ctx, 0); err != nil {
		return err
	}
	for _, s := range old {
		<-s.gone
	}
	return p.resize(ctx, len(old))
}

// failure returns why a seat was given up.
func (p *pool) failure() error {
	select {
	case err := <-p.failed:
		p.fail(err) // for whoever asks next
		return err
	default:
		return errClosing
	}
}

func (p *pool) fail(err error) {
	select {
	case p.failed <- err:
	default: // one reason is enough
	}
}

// pids lists the processes that serve.
func (p *pool) pids() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	pids := []int{}
	for _, s := range p.seats {
		if w := s.worker.Load(); w != nil {
			pids = append(pids, w.pid())
		}
	}
	return pids
}

// size returns the number of seats.
func (p *pool) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.seats)
}

// name gives the seat's next process the first session name that nobody has.
// One that is on the tape is not given again: the process that replaces another
// one is another session, with mutexes of its own.
func (p *pool) name(s *seat) racelab.SessionID {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 0; ; i++ {
		if id := racelab.Letter(i); !p.taken[id] {
			p.taken[id] = true
			s.session = id
			return id
		}
	}
}

// forget frees the names of the processes that are gone: the tape was cleared.
func (p *pool) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.taken)
	for _, s := range p.seats {
		if s.session != "" {
			p.taken[s.session] = true
		}
	}
}

// close takes no more requests, answers those in flight until ctx ends, and
// then kills what still works on one. Afterwards no process is left.
func (p *pool) close(ctx context.Context) {
	p.mu.Lock()
	if !p.closed && p.inFlight == 0 {
		close(p.idle)
	}
	p.closed = true
	p.released.Broadcast()
	p.mu.Unlock()
	select {
	case <-p.idle:
	case <-ctx.Done():
	}
	p.cut()
	p.running.Wait()
	for {
		select {
		case r := <-p.queue:
			p.finish(r, problemAnswer(http.StatusServiceUnavailable, overloaded, errClosing.Error()))
		case <-p.idle:
			return
		}
	}
}
