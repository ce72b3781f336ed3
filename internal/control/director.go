package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/racelab/racelab"
)

// A Call is one call of a script.
type Call struct {
	ID  racelab.CallID
	Run func(context.Context) racelab.Result
}

// A Script is what one session does under control: its calls in order.
type Script struct {
	Session racelab.SessionID
	Calls   []Call
}

// A Director is the controlled gate of one run. It lets one operation in at a
// time, waits until the engine has settled, and hands the results over one
// after another, so that never more than one session runs code of its own.
type Director struct {
	engine  *Engine
	seats   []*seat
	signals chan signal
	over    chan struct{} // closed when the run is over, for whoever still comes to the gate
	players sync.WaitGroup
	events  []racelab.Event
	current *seat // whose own code runs

	// Then chooses after the end of the schedule; nil goes on without
	// preemption. Serial, instead of a schedule, is the order in which calls
	// run whole.
	Then   func(ready []racelab.Choice) racelab.Choice
	Serial []racelab.CallID
}

// An Engine is what a director asks of a world, and what it has learned of it
// in earlier runs.
type Engine struct {
	World   racelab.World
	Dialect racelab.Dialect
	Level   racelab.Level
	locking map[string]racelab.Locking // by text
}

// A state is what a session is doing.
type state uint8

const (
	ownCode  state = iota
	parked         // before an operation
	inEngine       // its operation runs
	waiting        // its operation waits for another session
	held           // its operation is done, and it may not see the result yet
	done
)

type seat struct {
	script Script
	state  state
	op     racelab.Op     // parked, in the engine or held
	result racelab.Result // held

	gate  sync.Mutex     // one operation of the session at a time
	step  int            // guarded by gate
	call  racelab.CallID // written in the session's own code
	enter chan bool      // lets in; whether it is to lose a deadlock that it closes
	leave chan struct{}  // lets the result be seen
	code  routine

	began map[racelab.ConnID]bool // connections in a transaction
	holds map[racelab.ConnID]bool // connections that may hold locks
	keeps bool                    // locks that no transaction's end frees
}

// A signal is what a session tells the director.
type signal struct {
	seat  *seat
	event racelab.EventKind // Entered asks to be let in; Left holds a result; Called, Returned
	op    racelab.Op
	res   racelab.Result
	end   bool // the script has ended
}

// NewDirector makes the gate for one run of scripts. The sessions' databases
// are opened with it, and then Run runs them.
func NewDirector(e *Engine) *Director { return &Director{engine: e, over: make(chan struct{})} }

// errOver ends the operations of a run that is over.
var errOver = errors.New("the run is over")

// Enter implements racelab.Gate.
func (d *Director) Enter(_ context.Context, op racelab.Op) (racelab.Op, error) {
	s := d.seat(op.Session)
	s.gate.Lock()
	s.step++
	op.Step, op.Call = s.step, s.call
	if !d.tell(signal{seat: s, event: racelab.Entered, op: op}) {
		s.gate.Unlock()
		return op, errOver
	}
	select {
	case op.Closer = <-s.enter:
		return op, nil
	case <-d.over:
		s.gate.Unlock()
		return op, errOver
	}
}

// Leave implements racelab.Gate.
func (d *Director) Leave(_ context.Context, op racelab.Op, r racelab.Result) error {
	s := d.seat(op.Session)
	defer s.gate.Unlock()
	if !d.tell(signal{seat: s, event: racelab.Left, op: op, res: r}) {
		return errOver
	}
	select {
	case <-s.leave:
		return nil
	case <-d.over:
		return errOver
	}
}

// Pass implements racelab.Memory.
func (d *Director) Pass(op racelab.Op, do func(racelab.SessionID)) {
	op.Session = d.current.script.Session
	op, err := d.Enter(context.Background(), op)
	if err == nil {
		do(op.Session)
		err = d.Leave(context.Background(), op, racelab.Result{Class: racelab.OK})
	}
	if err != nil {
		panic(err) // the run is over, and there is no other way out of a Lock
	}
}

func (d *Director) seat(id racelab.SessionID) *seat {
	return d.seats[slices.IndexFunc(d.seats, func(s *seat) bool { return s.script.Session == id })]
}

// Run runs the scripts under a schedule, and after its end with the session
// that ran last as long as it can, and else the lowest that can. The events
// are those of the whole run; on an error, of the run so far.
//
// What a session's operation answers is in the events. An error says that the
// run cannot be trusted: the schedule does not fit (ErrDiverged), a session
// stopped outside the gate (ErrStalled), the server was lost, ctx ended.
func (d *Director) Run(ctx context.Context, scripts []Script, schedule racelab.Schedule) ([]racelab.Event, error) {
	d.signals = make(chan signal, 4*len(scripts))
	for _, script := range scripts {
		d.seats = append(d.seats, &seat{
			script: script, enter: make(chan bool), leave: make(chan struct{}),
			began: map[racelab.ConnID]bool{}, holds: map[racelab.ConnID]bool{},
		})
	}
	ctx, cancel := context.WithCancel(ctx)
	err := d.direct(ctx, schedule)
	cancel()
	close(d.over)
	if e := d.dismiss(); err == nil {
		err = e
	}
	return d.events, err
}

// dismiss waits for the sessions of a run that is over. One that waits for
// something outside the gate cannot be ended: it is left behind, and said.
func (d *Director) dismiss() error {
	gone := make(chan struct{})
	go func() {
		d.players.Wait()
		close(gone)
	}()
	patience := time.NewTimer(dismissal)
	defer patience.Stop()
	select {
	case <-gone:
		return nil
	case <-patience.C:
		return errors.New("a session does not end")
	}
}

// dismissal is how long sessions have to end when their run is over and their
// contexts have ended.
const dismissal = 5 * time.Second

func (d *Director) direct(ctx context.Context, schedule racelab.Schedule) error {
	for _, s := range d.seats {
		s.state, d.current = ownCode, s
		known := make(chan struct{})
		d.players.Go(func() {
			s.code = thisRoutine()
			close(known)
			d.play(ctx, s)
		})
		<-known
		if err := d.await(ctx, s); err != nil {
			return err
		}
	}
	var last *seat
	for i := 0; ; i++ {
		s, c, err := d.choose(schedule, i, last)
		if s == nil || err != nil {
			return err
		}
		last = s
		if err := d.take(ctx, s, c); err != nil {
			return err
		}
	}
}

// play is a session's goroutine.
func (d *Director) play(ctx context.Context, s *seat) {
	for _, c := range s.script.Calls {
		s.call = c.ID
		d.tell(signal{seat: s, event: racelab.Called, op: racelab.Op{Session: s.script.Session, Call: c.ID}})
		r := c.Run(ctx)
		d.tell(signal{seat: s, event: racelab.Returned, op: racelab.Op{Session: s.script.Session, Call: c.ID}, res: r})
	}
	d.tell(signal{seat: s, end: true})
}

// tell gives the director a signal, and reports whether the run still goes on.
func (d *Director) tell(g signal) bool {
	select {
	case d.signals <- g:
		return true
	case <-d.over:
		return false
	}
}

// hear takes in what a session tells.
func (d *Director) hear(g signal) {
	switch {
	case g.end:
		g.seat.state = done
	case g.event == racelab.Entered:
		g.seat.state, g.seat.op = parked, g.op
	case g.event == racelab.Left:
		g.seat.state, g.seat.result = held, g.res
	default:
		d.events = append(d.events, racelab.Event{Kind: g.event, Op: g.op, Result: g.res})
	}
}

// await lets a session run its own code until it comes to the gate or ends.
func (d *Director) await(ctx context.Context, s *seat) error {
	var stall *time.Timer
	var ask <-chan time.Time
	before := ""
	for s.state == ownCode {
		// The common case costs no timer.
		select {
		case g := <-d.signals:
			d.hear(g)
			continue
		default:
		}
		if stall == nil {
			stall = time.NewTimer(stallAsk)
			defer stall.Stop()
			ask = stall.C
		}
		select {
		case g := <-d.signals:
			d.hear(g)
		case <-ctx.Done():
			return ctx.Err()
		case <-ask:
			where := s.code.waitsOutside()
			if where != "" && where == before {
				return fmt.Errorf("%w: session %s %s", ErrStalled, s.script.Session, where)
			}
			before = where // a lock that is only being passed on is not there twice
			stall.Reset(stallAsk)
		}
	}
	return nil
}

// stallAsk is when the runtime is asked what a session is doing that does not
// come to the gate. What it says decides, not the time.
const stallAsk = 30 * time.Millisecond

// ErrStalled says that a session waits for something that does not pass the
// gate: a lock, a channel, a timer or a socket of its own.
var ErrStalled = errors.New("control was lost")

// ErrDiverged says that a schedule asks for what cannot be.
var ErrDiverged = errors.New("the schedule does not fit")
