package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/racelab/racelab"
)

// A Call is one call of a script.
type Call struct {
	ID racelab.CallID
	// Run makes the call, and says of one that broke what it broke with.
	Run func(context.Context) (r racelab.Result, why string)
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
	over    chan struct{}   // closed when the run is over, for whoever still comes to the gate
	ended   atomic.Bool     // the same
	life    context.Context // ends then, for whoever is in the engine
	end     context.CancelFunc
	players sync.WaitGroup
	running atomic.Pointer[lent]

	// What follows belongs to whoever has the baton.
	schedule racelab.Schedule
	at       int      // how many decisions have been made
	ahead    decision // that has been made already, if it has
	isAhead  bool
	last     *seat            // that was let in
	current  *seat            // whose own code runs
	arrived  int              // how many times a session has begun to wait
	now      time.Duration    // virtual
	born     *seat            // that another session has just started
	loop     *loop            // that the sessions take turns in
	choices  []racelab.Choice // that there were, of all decisions

	mu sync.Mutex // of Events

	// Then chooses after the end of the schedule; nil goes on without
	// preemption. Serial, instead of a schedule, is the order in which calls
	// run whole.
	Then   func(ready []racelab.Choice) racelab.Choice
	Serial []racelab.CallID
	// Loose leaves out the choices of the schedule that do not fit.
	Loose bool
	// Faults says that the loss of a connection is a choice too.
	Faults bool
	// Events is a slice whose memory the events of the run may use.
	Events []racelab.Event
}

// An Engine is what a director asks of a world, and what it has learned of it
// in earlier runs. Close frees what it holds; the world is not its own.
type Engine struct {
	World   racelab.World
	Dialect racelab.Dialect
	Level   racelab.Level
	locking map[string]racelab.Locking // by text
	beat    *time.Ticker
	idle    []*player
	// Meets reports whether an operation may want a lock that one which is done
	// holds; nil is always. Where it is wrong, a wait is only noticed later.
	Meets func(op racelab.Op, held Held) bool
	// StepLimit is how long a step may take, in the engine or in a session's
	// own code, without anybody's being waited for: then control is lost.
	StepLimit time.Duration
	// Steps is how many a run may have: then it is taken to have no end.
	Steps   int
	loop    *loop         // of sessions that have nothing but shared memory
	seats   []*seat       // of theirs, to be used again
	choices int           // the most that a run has had
	events  int           // the same
	patient time.Duration // how long a session waits until it looks for a deadlock that it closes
}

// Held is an operation that may hold locks, because its transaction goes on.
type Held struct {
	Op     racelab.Op
	Result racelab.Result
}

// NewEngine prepares for directing runs in a world; with none, of sessions that
// have nothing but shared memory.
func NewEngine(w racelab.World, d racelab.Dialect, l racelab.Level) *Engine {
	return &Engine{World: w, Dialect: d, Level: l, locking: map[string]racelab.Locking{}, beat: time.NewTicker(beat), patient: 2 * time.Millisecond, StepLimit: 30 * time.Second, Steps: 2000}
}

// Wait makes sessions wait longer before they look for deadlocks, in this
// engine's runs from now on: after ErrLate.
func (e *Engine) Wait() { e.patient *= 4 }

// Close frees the engine.
func (e *Engine) Close() {
	e.beat.Stop()
	if e.loop != nil {
		e.loop.close()
	}
	for _, p := range e.idle {
		p.close()
	}
	e.idle = nil
}

// beat is when a director that hears nothing looks up. One ticker for all runs
// costs less than a timer for each wait. What is asked then decides, not the time.
const beat = 2 * time.Millisecond

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
	turn   int            // waiting: how many had begun to before
	at     int            // where the history has that the operation went in

	gate  sync.Mutex      // one operation of the session at a time
	step  int             // guarded by gate
	ctx   context.Context // of the session, or of the operation
	baton bool            // guarded by gate: the session has it
	enter chan racelab.Op // lets in, as the operation is to be done
	leave chan struct{}   // lets the result be seen
	// pass is open while the session may see its result without asking.
	pass   atomic.Bool
	player *player

	call     racelab.CallID // written in the session's own code
	parent   *seat          // that has started it; nil is of the cast
	children int            // started so far
	root     racelab.CallID // of the parent: the call that it belongs to
	started  chan struct{}  // closed when a session that another has started first comes to the gate
	parkedAt int            // how many decisions there had been
	misused  string         // what has ended it
	passed   racelab.Op     // of shared memory: that is being done
	why      string         // what came of it, if it broke

	began map[racelab.ConnID]bool   // connections in a transaction
	holds map[racelab.ConnID][]Held // what may hold locks, by connection
	keeps bool                      // locks that no transaction's end frees
	freed bool                      // the operation may have freed locks
}

// A signal is what a session tells the director.
type signal struct {
	seat  *seat
	event racelab.EventKind // Entered asks to be let in; Left holds a result
	op    racelab.Op        // that asks
	end   bool              // the script has ended
}

// NewDirector makes the gate for one run of scripts. The sessions' databases
// are opened with it, and then Run runs them.
func NewDirector(e *Engine) *Director {
	if e.World == nil {
		return e.again()
	}
	d := &Director{engine: e, over: make(chan struct{})}
	d.life, d.end = context.WithCancel(context.Background())
	return d
}

// Running is a context that ends with the run: no statement goes on after it,
// also if the session gave it none.
func (d *Director) Running() context.Context { return d.life }

// errOver ends the operations of a run that is over.
var errOver = errors.New("the run is over")

// Enter implements racelab.Gate.
func (d *Director) Enter(ctx context.Context, op racelab.Op) (racelab.Op, error) {
	s := d.seat(op.Session)
	s.gate.Lock()
	s.step++
	s.ctx = ctx
	op.Step, op.Call = s.step, s.call
	var next *seat
	if s.baton {
		s.baton = false
		if d.isOver() { // what it knows of the engine is another run's by now
			s.gate.Unlock()
			return op, errOver
		}
		d.note(s)
		s.op, s.state, s.parkedAt = op, parked, d.at
		next = d.goOn()
	}
	switch {
	case next == s:
		return s.op, nil
	case next != nil:
		d.hand(next)
	case !d.tell(signal{seat: s, event: racelab.Entered, op: op}):
		s.gate.Unlock()
		return op, errOver
	}
	select {
	case op = <-s.enter:
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
	s.result = r
	if r.Class != racelab.ConnectionLost && s.pass.CompareAndSwap(true, false) {
		s.baton = true
		d.log(racelab.Event{Kind: racelab.Left, Op: op, Result: r, What: s.why})
		return nil
	}
	if !d.tell(signal{seat: s, event: racelab.Left}) {
		return errOver
	}
	select {
	case <-s.leave:
		return nil
	case <-d.over:
		return errOver
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
	d.schedule, d.Events = schedule, d.Events[:0]
	if cap(d.Events) == 0 {
		d.Events = make([]racelab.Event, 0, d.engine.events)
	}
	d.choices = make([]racelab.Choice, 0, d.engine.choices)
	for _, script := range scripts {
		d.seats = append(d.seats, d.engine.seat(script))
	}
	var err error
	if d.engine.World == nil {
		err = d.engine.takeTurns(ctx, d)
	} else {
		err = d.runBeside(ctx)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.engine.choices, d.engine.events = max(d.engine.choices, len(d.choices)), max(d.engine.events, len(d.Events))
	return d.Events, err
}

// runBeside runs the sessions beside the director, each on a goroutine.
func (d *Director) runBeside(ctx context.Context) error {
	d.signals = make(chan signal, 4*len(d.seats))
	ctx, cancel := context.WithCancel(ctx)
	cause := d.direct(ctx)
	cancel()
	d.ended.Store(true)
	close(d.over)
	d.end()
	if err := d.dismiss(); err != nil {
		// Not to be tried again: what is left of it may hold locks.
		if cause != nil {
			err = fmt.Errorf("%w, after: %v", err, cause)
		}
		return err
	}
	return cause
}

func (d *Director) isOver() bool { return d.ended.Load() }

// log adds to the history, unless the run is over, and returns where.
func (d *Director) log(e racelab.Event) (at int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.isOver() {
		d.Events = append(d.Events, e)
	}
	return len(d.Events) - 1
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
		for _, s := range d.seats {
			if s.player != nil {
				d.engine.idle = append(d.engine.idle, s.player)
			}
		}
		return nil
	case <-patience.C:
		for _, s := range d.seats {
			if s.player != nil {
				close(s.player.jobs) // it ends when its session does
			}
		}
		return errors.New("a session does not end")
	}
}

// dismissal is how long sessions have to end when their run is over and their
// contexts have ended.
const dismissal = 5 * time.Second

func (d *Director) direct(ctx context.Context) error {
	for _, s := range d.seats {
		d.begin(ctx, s)
		if err := d.await(ctx, s); err != nil {
			return err
		}
	}
	for {
		if err := d.canceled(ctx); err != nil {
			return err
		}
		n := d.next()
		switch {
		case n.err != nil:
			return n.err
		case n.choice.Tick:
			d.tick(n)
			continue
		case n.seat == nil:
			return nil
		}
		if err := d.take(ctx, n, d.ordered(n.seat, n.choice)); err != nil {
			return err
		}
	}
}

// begin starts a session on a goroutine of its own.
func (d *Director) begin(ctx context.Context, s *seat) {
	s.enter, s.leave = make(chan racelab.Op), make(chan struct{})
	s.began, s.holds = map[racelab.ConnID]bool{}, map[racelab.ConnID][]Held{}
	s.ctx, d.current = ctx, s
	s.player = d.engine.player()
	d.players.Add(1)
	s.player.jobs <- func() {
		defer d.players.Done()
		d.play(ctx, s)
		d.leaveStage(s)
	}
}

// leaveStage ends a session that has played its script.
func (d *Director) leaveStage(s *seat) {
	s.gate.Lock()
	baton := s.baton
	s.baton = false
	s.gate.Unlock()
	if baton && !d.isOver() {
		d.note(s)
		s.state = done
		if next := d.goOn(); next != nil {
			d.hand(next)
			return
		}
	}
	d.tell(signal{seat: s, end: true})
}

// tell gives the director a signal, and reports whether the run still goes on.
func (d *Director) tell(g signal) bool {
	if first := g.seat.started; first != nil {
		// Who has started it waits for it, and may go on with the baton.
		g.seat.started = nil
		d.hear(g)
		close(first)
		return true
	}
	select {
	case d.signals <- g:
		return true
	case <-d.over:
		return false
	}
}

// hear takes in what a session tells.
func (d *Director) hear(g signal) {
	s := g.seat
	if g.event == racelab.Left {
		s.state = held
		d.note(s)
		return
	}
	if g.end {
		s.state = done
	} else {
		s.state, s.op, s.parkedAt = parked, g.op, d.at
	}
}

// await lets a session run its own code until it comes to the gate or ends.
func (d *Director) await(ctx context.Context, s *seat) error {
	before, began := "", time.Now()
	for beats := 1; s.state == ownCode; beats++ {
		heard, err := d.listen(ctx)
		if err != nil {
			return err
		}
		if heard || beats%stallBeats != 0 {
			continue
		}
		if err := d.overdue(s, began, "has run its own code"); err != nil {
			return err
		}
		where := s.player.code.waitsOutside()
		if where != "" && where == before {
			return fmt.Errorf("%w: session %s %s", ErrStalled, s.script.Session, where)
		}
		before = where // a lock that is only being passed on is not there twice
	}
	return nil
}

// overdue is the error that a session has taken longer than the step limit, if
// it has.
func (d *Director) overdue(s *seat, began time.Time, doing string) error {
	if limit := d.engine.StepLimit; time.Since(began) > limit {
		return fmt.Errorf("%w: session %s %s for %v, and waits for nobody", ErrStalled, s.script.Session, doing, limit)
	}
	return nil
}

// stallBeats is after how many beats the runtime is asked what a session is
// doing that does not come to the gate. What it says decides, not the time.
const stallBeats = 15

// ErrStalled says that a session waits for something that does not pass the
// gate: a lock, a channel, a timer or a socket of its own.
var ErrStalled = errors.New("control was lost")

// ErrEndless says that a run has had so many steps that it is taken to have no
// end.
var ErrEndless = errors.New("the run does not end")

// ErrDiverged says that a schedule asks for what cannot be.
var ErrDiverged = errors.New("the schedule does not fit")
