package racelab

import (
	"context"
	"database/sql/driver"
	"time"
)

// A World is an engine opened for a run: one database, its sessions'
// connections, and one more that watches them. Its methods may be called from
// several goroutines.
type World interface {
	// Connect opens a connection for a session at the world's level. The
	// caller closes it.
	Connect(context.Context) (Conn, error)
	// Blocked returns which of the connections wait for another one at this
	// moment: fast enough to be asked after every step, and exact.
	Blocked(context.Context, []ConnID) ([]ConnID, error)
	// Waits is Blocked with the reason: on whom each one waits. It may take
	// a few milliseconds.
	Waits(context.Context, []ConnID) ([]Wait, error)
	// End ends connections of this world whose process has died, and returns
	// when nothing of them is left: what they had begun is committed or rolled
	// back, and their locks are free. A server may not notice that a client is
	// gone while its statement waits, and would run it later. One that has
	// ended already, or is no session of this world, is left alone.
	End(context.Context, []ConnID) error
	// Victims reports whether Conn.LoseDeadlocks decides who loses one.
	Victims() bool
	// Freeze keeps connections that are Blocked from going on, whatever becomes
	// free, until Thaw. Where the engine cannot, or need not because it lets
	// them go on one after another, it does nothing.
	Freeze(context.Context, []ConnID) error
	// Thaw undoes Freeze. A connection that is not frozen is left alone.
	Thaw(...ConnID) error
	// Schema reads what the tables are.
	Schema(context.Context) (Schema, error)
	// State reads the declared tables.
	State(context.Context) (State, error)
	// Reset brings the tables back to what the set-up made. No session may
	// hold a transaction open.
	Reset(context.Context) error
	// Address lets another process of this run open the same world, as
	// Config.Attach. It may hold a password: never show it.
	Address() string
	Close() error
}

// A Conn is one connection of a session. It survives runs beneath fresh
// *sql.DBs.
type Conn interface {
	ID() ConnID
	Driver() driver.Conn
	// LoseDeadlocks says how long the connection's next operations wait for a
	// lock until they look for a deadlock and, if there is one, are its victim;
	// 0: they never look. It does nothing where the engine chooses by itself, or
	// where the world is not controlled.
	LoseDeadlocks(ctx context.Context, after time.Duration) error
	// Text runs sql as it is, several statements if need be, and hands what
	// the server answers to heard, in order and as soon as it is there. An
	// error that the server gave in its own words is a *ServerError.
	Text(ctx context.Context, sql string, heard func(Answer)) error
	Close() error
}

// An Answer is one thing that a server says while it runs a text. One of its
// fields is set.
type Answer struct {
	// Table is what a statement gave, in the server's own text form: every
	// value a string or nil. It has no columns if the statement gives no rows.
	Table        *Table
	Notice       *Notice
	Notification *Notification
}

// A Notice is a message beside the result: PostgreSQL's NOTICE, MySQL's
// warning.
type Notice struct {
	Severity, Message     string
	Detail, Hint, Context string // "" where the server says no more
	// Position is the character of the text, from 1, that the message is
	// about; of Query, if that is set: a statement that the server ran because
	// of it. 0: none.
	Position int
	Query    string
}

// A Notification is what some session has told whoever listens (PostgreSQL's
// NOTIFY).
type Notification struct {
	Channel, Payload string
	From             ConnID
}

// Fatal is the severity of an error that has ended its connection.
const Fatal = "FATAL"

// A ServerError is an error with the server's own words for it.
type ServerError struct {
	Notice
	Err error // what Dialect.Classify knows
}

func (e *ServerError) Error() string { return e.Err.Error() }

func (e *ServerError) Unwrap() error { return e.Err }

// A Wait says that a connection is blocked.
type Wait struct {
	Conn ConnID
	On   []ConnID // the connections it waits for, in ascending order
	What string   // what kind of lock: "row", "advisory", "metadata", "database", ...
	// Outside is set if no connection of this run holds what is waited for:
	// control was lost, and why.
	Outside string
	// Orphan is set besides Outside if no connection at all holds it, but a
	// prepared transaction, which does not end by itself.
	Orphan bool
}
