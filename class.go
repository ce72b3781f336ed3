package racelab

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
)

// A Class says how an operation or a call ended, in words that mean the same
// on every engine. Only an engine's Classify reads SQLSTATEs and error numbers.
type Class string

const (
	OK                   Class = "ok"
	Deadlock             Class = "deadlock"
	SerializationFailure Class = "serialization-failure"
	LockTimeout          Class = "lock-timeout"       // waited until a limit ran out
	LockNotAvailable     Class = "lock-not-available" // NOWAIT: refused at once
	Busy                 Class = "busy"               // SQLite: another connection writes
	UniqueViolation      Class = "unique-violation"
	ForeignKeyViolation  Class = "foreign-key-violation"
	CheckViolation       Class = "check-violation"    // also out of the type's range
	TransactionFailed    Class = "transaction-failed" // PostgreSQL: an earlier error has ended the transaction
	ConnectionLost       Class = "connection-lost"
	SyntaxError          Class = "syntax-error"
	Canceled             Class = "canceled"  // the session's own context ended it
	NotFound             Class = "not-found" // sql.ErrNoRows
	Refused              Class = "refused"   // ErrRefused: as if never run
	Exhausted            Class = "exhausted" // ErrExhausted: aborted on each of its tries
	Panicked             Class = "panicked"  // the call's own code
	Misuse               Class = "misuse"    // of shared memory, in a way that ends a Go program
	Other                Class = "other"
)

// Aborted reports whether the class says "nothing happened, try again": the
// retryable errors, which are no finding in themselves.
func (c Class) Aborted() bool {
	switch c {
	case Deadlock, SerializationFailure, LockTimeout, Busy, Exhausted:
		return true
	}
	return false
}

// ClassOf classes the errors that mean the same on every engine, nil among
// them, and is "" for those that only an engine's Classify can tell.
func ClassOf(err error) Class {
	switch {
	case err == nil:
		return OK
	case errors.Is(err, ErrRefused):
		return Refused
	case errors.Is(err, ErrExhausted):
		return Exhausted
	case errors.As(err, new(panicked)):
		return Panicked
	case errors.Is(err, sql.ErrNoRows):
		return NotFound
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Canceled
	case errors.Is(err, ErrDropped), errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone):
		return ConnectionLost
	}
	return ""
}

// Words returns the class as prose: "serialization failure".
func (c Class) Words() string { return strings.ReplaceAll(string(c), "-", " ") }

// ErrRefused is returned, wrapped or not, by a call that declined to run
// because another session is in its way: NOWAIT, an empty SKIP LOCKED, a
// try-lock. It counts as if the call had never run.
var ErrRefused = errors.New("refused: another session is in the way")

// ErrExhausted is returned, wrapped around the last error, by a call that was
// aborted on each of its tries.
var ErrExhausted = errors.New("gave up: aborted on every try")

// ErrDropped is what a session sees of an operation whose connection a
// schedule's fault took away after it was sent: whether it was done is not
// known.
var ErrDropped = errors.New("the connection was lost, and with it the answer")

// Recovered is the error of a call whose code panicked with a value. It does not
// wrap the value: an error that is panicked with is not one that is returned.
func Recovered(value any) error { return panicked{value} }

type panicked struct{ value any }

func (p panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }
