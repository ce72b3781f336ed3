// Package stage wires a world, the intake and the recorder into something that
// calls a strategy, and says what came of it.
package stage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/control"
	"github.com/racelab/racelab/internal/intake/sqlgate"
)

// Tries is how often a strategy's retry loop tries.
const Tries = 3

// BusyLimit is how long a free-running statement waits for SQLite's write
// lock: the default of Python's sqlite3 module, and so of Django.
const BusyLimit = 5 * time.Second

// A Process is what the sessions of one process share, simulated or real.
type Process struct {
	memory racelab.Memory

	mu     sync.Mutex
	values []processValue
	first  [1]processValue // of values: there is hardly ever another
}

type processValue struct {
	of    *racelab.Strategy
	value any
}

// value returns the strategy's process value, made at its first use.
func (p *Process) value(st *racelab.Strategy) any {
	if st.Process == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range p.values {
		if v.of == st {
			return v.value
		}
	}
	if p.values == nil {
		p.values = p.first[:0]
	}
	v := st.Process(&p.memory)
	p.values = append(p.values, processValue{st, v})
	return v
}

// A Session makes calls, one after another, that are recorded.
type Session struct {
	ID       racelab.SessionID
	engine   racelab.Engine
	process  *Process
	recorder *control.Recorder
	intake   *sqlgate.Intake
	db       *sql.DB
	random   *rand.Rand
	calls    int
	line     func() // returns when the run's first body may begin; nil is at once
}

// NewSession opens a session in a world. The caller closes it.
func NewSession(id racelab.SessionID, e racelab.Engine, w racelab.World, p *Process, r *control.Recorder, random *rand.Rand) *Session {
	intake := sqlgate.New(w, e.Dialect, id)
	return &Session{ID: id, engine: e, process: p, recorder: r, intake: intake, db: intake.DB(r), random: random}
}

// restart makes the session ready for another run, in a process of that run.
func (s *Session) restart(p *Process) { s.process, s.calls = p, 0 }

// finalState is what a run has left: the tables, and what was in the memory of
// its processes.
func finalState(ctx context.Context, world racelab.World, processes []Process) (racelab.State, error) {
	state, err := world.State(ctx)
	for i := range processes {
		if shared := processes[i].memory.State(); state == nil {
			state = shared
		} else {
			state = append(state, shared...)
		}
	}
	return state, err
}

// Call calls the strategy's body for a role. The result's class says how it
// ended; err is the body's own error. A panic of the body is an error.
func (s *Session) Call(ctx context.Context, st *racelab.Strategy, role string, args racelab.Args, window Span) (result racelab.Result, err error) {
	body, ok := st.Body[role]
	if !ok {
		return racelab.Result{}, fmt.Errorf("strategy %s has no role %s", st.Name, role)
	}
	s.calls++
	s.recorder.Called(s.ID, s.ID.Call(s.calls), st.Name)
	env := &racelab.Env{
		DB:      s.db,
		Dialect: s.engine.Dialect,
		Args:    args,
		Tries:   Tries,
		Process: s.process.value(st),
		Window: func(ctx context.Context) error {
			if window.Max <= 0 {
				return nil
			}
			return s.recorder.Window(ctx, s.ID, window.Draw(s.random))
		},
	}
	if s.line != nil {
		s.line()
		s.line = nil
	}
	value, err := protect(ctx, body, env)
	result.Value = racelab.ValueOf(value)
	result.Class = s.engine.Dialect.Classify(err)
	s.recorder.Returned(s.ID, result)
	return result, err
}

func protect(ctx context.Context, body racelab.Body, env *racelab.Env) (v racelab.Value, err error) {
	defer func() {
		if p := recover(); p != nil {
			v, err = nil, racelab.Recovered(p)
		}
	}()
	return body(ctx, env)
}

// Close gives up the session's connections.
func (s *Session) Close() error {
	return errors.Join(s.db.Close(), s.intake.Close())
}
