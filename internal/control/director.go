package control

import (
	"context"
	"errors"
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

// Plain is the Run of a call that gives nothing but a panic, if it has one.
func Plain(body func()) func(context.Context) (racelab.Result, string) {
	return func(context.Context) (r racelab.Result, why string) {
		defer func() {
			if p := recover(); p != nil {
				err := racelab.Recovered(p)
				r, why = racelab.Result{Class: racelab.ClassOf(err)}, err.Error()
			}
		}()
		body()
		return racelab.Result{Class: racelab.OK}, ""
	}
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

	looks bool        // whether who comes to the gate is a session, and at which line
	stray atomic.Bool // a goroutine that is none has come

	exited atomic.Pointer[seat] // whose goroutine its own code has ended

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
	// Look asks of whoever uses shared memory whether it is a session.
	Look bool
	// Events is a slice whose memory the events of the run may use.
	Events []racelab.Event
}

// NewDirector makes the gate for one run of scripts. The sessions' databases
// are opened with it, and then Run runs them.
func NewDirector(e *Engine) *Director {
	if e.inTurn() {
		return e.again()
	}
	d := &Director{engine: e, over: make(chan struct{})}
	d.life, d.end = context.WithCancel(context.Background())
	return d
}

// Running is a context that ends with the run: no statement goes on after it,
// also if the session gave it none.
func (d *Director) Running() context.Context { return d.life }

// Run runs the scripts under a schedule, and after its end with the session
// that ran last as long as it can, and else the lowest that can. The events
// are those of the whole run; on an error, of the run so far.
//
// What a session's operation answers is in the events. An error says that the
// run cannot be trusted: the schedule does not fit (ErrDiverged), a session
// stopped outside the gate (ErrStalled), the server or a connection was lost, ctx ended.
func (d *Director) Run(ctx context.Context, scripts []Script, schedule racelab.Schedule) ([]racelab.Event, error) {
	d.schedule, d.Events = schedule, d.Events[:0]
	d.looks, d.engine.ran = d.Look || d.Serial != nil || !d.engine.ran, true
	if cap(d.Events) == 0 {
		d.Events = make([]racelab.Event, 0, d.engine.events)
	}
	d.choices = make([]racelab.Choice, 0, d.engine.choices)
	for _, script := range scripts {
		d.seats = append(d.seats, d.engine.seat(script))
	}
	var err error
	if d.engine.inTurn() {
		err = d.engine.takeTurns(ctx, d)
	} else {
		err = d.runBeside(ctx)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil { // else a session that was left behind may still be deciding
		d.engine.choices, d.engine.events = max(d.engine.choices, len(d.choices)), max(d.engine.events, len(d.Events))
	}
	return d.Events, err
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

func (d *Director) seat(id racelab.SessionID) *seat {
	return d.seats[slices.IndexFunc(d.seats, func(s *seat) bool { return s.script.Session == id })]
}

// ErrStalled says that a session waits for something that does not pass the
// gate: a lock, a channel, a timer or a socket of its own.
var ErrStalled = errors.New("control was lost")

// ErrEndless says that a run has had so many steps that it is taken to have no
// end.
var ErrEndless = errors.New("the run does not end")

// ErrDiverged says that a schedule asks for what cannot be.
var ErrDiverged = errors.New("the schedule does not fit")

// ErrServerLost says that the engine went away in the middle of a run.
var ErrServerLost = errors.New("the server was lost")

// ErrConnectionEnded says that somebody has ended a session's connection in the
// middle of a run: perhaps the session itself.
var ErrConnectionEnded = errors.New("somebody has ended the connection")

// ErrLate says that a session looked for a deadlock before it was closed, or
// before we had seen it: the run can be tried again after Engine.Wait.
var ErrLate = errors.New("a deadlock was looked for too early")
