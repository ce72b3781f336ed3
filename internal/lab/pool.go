package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
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
	orders func(racelab.SessionID, racelab.Level) orders
	world  racelab.World // that the workers attach to
	tape   *control.Tape
	limit  time.Duration // for a worker to answer
	log    *slog.Logger

	keep    func(*seat) // fills a seat until the pool is cut off or the seat is given up
	cut     context.CancelFunc
	running sync.WaitGroup // the seats
	failed  chan error     // buffered: why the laboratory cannot go on
	queue   chan request
	shut    chan struct{} // closed when the pool is
	idle    chan struct{} // closed when the pool is closed and nothing is in flight

	mu       sync.Mutex
	inFlight int           // requests accepted and not answered, in the queue or with a worker
	held     chan struct{} // closed when it ends that somebody changes what requests work on; nil if nobody does
	closed   bool
	seats    []*seat
	level    racelab.Level              // that was asked for, for the seats' workers
	taken    map[racelab.SessionID]bool // names of sessions that live, or are on the tape
}

func newPool(orders func(racelab.SessionID, racelab.Level) orders, world racelab.World, tape *control.Tape, limit time.Duration, log *slog.Logger) *pool {
	ctx, cut := context.WithCancel(context.Background())
	p := &pool{
		orders: orders, world: world, tape: tape, limit: limit, log: log, cut: cut,
		failed: make(chan error, 1),
		queue:  make(chan request, mostQueued),
		shut:   make(chan struct{}),
		idle:   make(chan struct{}),
		taken:  map[racelab.SessionID]bool{},
	}
	p.keep = func(s *seat) {
		s.err = p.fill(ctx, s)
		close(s.gone)
	}
	return p
}

// submit queues a request, if need be after a wait that ctx bounds. Unless it
// returns an error, an answer will come.
func (p *pool) submit(ctx context.Context, r request) error {
	for {
		held, err := p.enter(r)
		if held == nil {
			return err
		}
		select {
		case <-held:
		case <-p.shut:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// enter queues the request, or returns what it has to wait for before.
func (p *pool) enter(r request) (held <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return nil, errClosing
	case p.held != nil:
		return p.held, nil
	}
	select {
	case p.queue <- r:
		p.inFlight++
		return nil, nil
	default:
		return nil, errFull
	}
}

// putBack queues a request again that its worker never got.
func (p *pool) putBack(r request) {
	select {
	case p.queue <- r:
	default:
		p.finish(r, problemAnswer(http.StatusServiceUnavailable, overloaded, errFull.Error()))
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
	if p.inFlight > 0 || p.held != nil || p.closed {
		return false
	}
	p.held = make(chan struct{})
	return true
}

func (p *pool) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.held)
	p.held = nil
}

// resize brings the pool to n seats whose workers run at the level, and returns
// when the new ones serve. If one of them cannot, all is as it was. Those that
// are too many leave when they have answered what they have. For another level
// the caller holds the pool, so that nobody works at the old one.
func (p *pool) resize(ctx context.Context, n int, level racelab.Level) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return errClosing
	}
	anew, stay := level != p.level, min(n, len(p.seats))
	if anew {
		stay = 0
	}
	kept, others := p.seats[:stay:stay], p.seats[stay:]
	var added []*seat
	for range n - stay {
		s := newSeat(level)
		added = append(added, s)
		p.running.Go(func() { p.keep(s) })
	}
	p.mu.Unlock()

	if err := served(ctx, added); err != nil {
		dismiss(added)
		return fmt.Errorf("start %d workers: %w", len(added), err)
	}
	p.mu.Lock()
	p.seats, p.level = slices.Concat(kept, added), level
	p.mu.Unlock()
	if anew {
		dismiss(others)
		return nil
	}
	for _, s := range others {
		close(s.quit)
	}
	return nil
}

// dismiss returns when nobody sits on the seats any more.
func dismiss(seats []*seat) {
	for _, s := range seats {
		close(s.quit)
	}
	for _, s := range seats {
		<-s.gone
	}
}

// served waits until the seats' first workers serve.
func served(ctx context.Context, seats []*seat) error {
	for _, s := range seats {
		select {
		case <-s.ready:
		case <-s.gone:
			return cmp.Or(s.err, errClosing)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
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

// close takes no more requests, answers those in flight until ctx ends or
// nobody is left who could, and then kills what still works on one. It returns
// how many had not ended. Afterwards no process is left.
func (p *pool) close(ctx context.Context) (cut int) {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.shut)
		if p.inFlight == 0 {
			close(p.idle)
		}
	}
	p.mu.Unlock()
	deserted := make(chan struct{})
	go func() {
		p.running.Wait()
		close(deserted)
	}()
	select {
	case <-p.idle:
	case <-deserted:
	case <-ctx.Done():
	}
	cut = p.flying()
	p.cut()
	<-deserted
	for {
		select {
		case r := <-p.queue:
			p.finish(r, problemAnswer(http.StatusServiceUnavailable, overloaded, errClosing.Error()))
		case <-p.idle:
			return cut
		}
	}
}
