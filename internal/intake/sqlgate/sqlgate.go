// Package sqlgate brings database/sql code to the gate: it gives a session a
// *sql.DB over any engine's connections whose every operation enters and
// leaves the gate. The code under it does not know.
//
// A statement's rows are read to their end inside its step, so that nothing of
// it is left to happen in the engine when the gate lets the next session go.
package sqlgate

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// An Intake is one session's way into a world. Its physical connections
// survive the databases that DB gives, so that a run costs no connect.
type Intake struct {
	world   racelab.World
	dialect racelab.Dialect
	session racelab.SessionID

	// Rewrite changes statements before they reach the gate; nil leaves them.
	Rewrite func(text string) string
	// PlainLevel lets every transaction begin at the connection's own level,
	// whatever it asks for.
	PlainLevel bool
	// Once closes a connection where it would be kept for the next database.
	Once bool

	mu   sync.Mutex
	idle []racelab.Conn
	open map[*tx]bool // transactions
}

// Settle returns when transactions whose contexts have ended are rolled back.
// database/sql does that in a goroutine of its own, if the session does not.
func (i *Intake) Settle() { i.settle(nil) }

// settle leaves out a connection's own transaction: it may have to wait for
// what that is doing.
func (i *Intake) settle(but *conn) {
	i.mu.Lock()
	var ending []*tx
	for t := range i.open {
		if t.c != but && t.begun.Err() != nil {
			ending = append(ending, t)
		}
	}
	i.mu.Unlock()
	for _, t := range ending {
		<-t.ended
	}
}

func (i *Intake) began(t *tx) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.open == nil {
		i.open = map[*tx]bool{}
	}
	i.open[t] = true
}

func (i *Intake) over(t *tx) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.open, t)
	close(t.ended)
}

// New makes the intake of a session.
func New(w racelab.World, d racelab.Dialect, s racelab.SessionID) *Intake {
	return &Intake{world: w, dialect: d, session: s}
}

// DB gives a database whose operations pass gate. The caller closes it; its
// connections then go back to the intake.
func (i *Intake) DB(gate racelab.Gate) *sql.DB { return sql.OpenDB(connector{i, gate}) }

// Close closes the idle connections. The databases must be closed before.
func (i *Intake) Close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	var errs []error
	for _, c := range i.idle {
		errs = append(errs, c.Close())
	}
	i.idle = nil
	return errors.Join(errs...)
}

func (i *Intake) rewrite(text string) string {
	if i.PlainLevel {
		text, _ = sqltext.WithoutLevel(text)
	}
	if i.Rewrite == nil {
		return text
	}
	return i.Rewrite(text)
}

func (i *Intake) take(ctx context.Context) (racelab.Conn, error) {
	i.mu.Lock()
	if n := len(i.idle); n > 0 {
		c := i.idle[n-1]
		i.idle = i.idle[:n-1]
		i.mu.Unlock()
		return c, nil
	}
	i.mu.Unlock()
	c, err := i.world.Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("open session %s: %w", i.session, err)
	}
	return c, nil
}

func (i *Intake) giveBack(c racelab.Conn) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.idle = append(i.idle, c)
}

type connector struct {
	intake *Intake
	gate   racelab.Gate
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	under, err := c.intake.take(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{intake: c.intake, gate: c.gate, under: under, driver: under.Driver()}, nil
}

func (c connector) Driver() driver.Driver { return noDriver{} }

type noDriver struct{}

func (noDriver) Open(string) (driver.Conn, error) {
	return nil, errors.New("a gated database is opened by its session, not by name")
}
