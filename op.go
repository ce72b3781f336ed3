package racelab

import (
	"strconv"
	"time"
)

// A SessionID names what is scheduled: A, B, C, ...
type SessionID string

// A CallID names what is judged: A.1 is the first call of session A.
type CallID string

// A ConnID names what waits in an engine. It is the server's own number for
// the connection, so that it means the same in every process that shares the
// server.
type ConnID string

// Letter returns the name of session i, counted from 0: A to Z, then AA, AB and
// so on, never with a digit, so that A1 is always a step.
func Letter(i int) SessionID {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	if i < len(letters) {
		return SessionID(letters[i : i+1]) // asked for in every run
	}
	name := ""
	for i++; i > 0; i = (i - 1) / 26 {
		name = string(rune('A'+(i-1)%26)) + name
	}
	return SessionID(name)
}

// Call returns the name of the session's n-th call, counted from 1.
func (s SessionID) Call(n int) CallID { return CallID(string(s) + "." + strconv.Itoa(n)) }

// An OpKind says what an operation does.
type OpKind string

const (
	Begin    OpKind = "begin"
	Commit   OpKind = "commit"
	Rollback OpKind = "rollback"
	Query    OpKind = "query"  // a statement read with its rows
	Exec     OpKind = "exec"   // a statement of which only the count is read
	Window   OpKind = "window" // time between read and write

	// Of shared memory:
	Load    OpKind = "load"    // reads a value
	Store   OpKind = "store"   // replaces a value
	Update  OpKind = "update"  // reads and replaces it at once
	Acquire OpKind = "acquire" // takes a lock, or whatever else may have to be waited for
	Try     OpKind = "try"     // takes it if that needs no waiting
	Release OpKind = "release"
	Signal  OpKind = "signal" // lets others go on
	Spawn   OpKind = "go"     // starts a session
	Yield   OpKind = "yield"  // lets another session go first, if one can
	Sleep   OpKind = "sleep"  // until virtual time has passed
)

// An Op is one operation of a session: what happens between two gates.
type Op struct {
	Session SessionID `json:"session"`
	Call    CallID    `json:"call,omitempty"`
	Conn    ConnID    `json:"-"` // differs from run to run, so never part of a history's text
	Step    int       `json:"step"`
	Kind    OpKind    `json:"kind"`
	Text    string    `json:"text,omitempty"`
	Args    []any     `json:"args,omitempty"`
	Pos     string    `json:"pos,omitempty"` // file:line in the session's own code

	Fault  Fault     `json:"fault,omitempty"`  // what the schedule does to it
	Victim SessionID `json:"victim,omitempty"` // of the deadlock that it closes, if not its own session

	// Loses is how long the operation waits for a lock until it looks for a
	// deadlock, and loses it; 0: it never looks.
	Loses time.Duration `json:"-"`
	// Wakes is the virtual time before which the operation cannot be let in.
	Wakes time.Duration `json:"-"`

	// Touches are what the operation does to shared memory, and Latch is what
	// it may have to wait for there, nil if nothing: only shared memory knows
	// beforehand.
	Touches []Touch `json:"-"`
	// Cases says how many of an operation's ways could be taken at this moment,
	// if it has several (select); Case is the one that is, counted from 0.
	Cases func() int `json:"-"`
	Case  int        `json:"case,omitempty"`
	Latch Latch      `json:"-"`
}

// Name returns the operation's name in a schedule: A1.
func (o Op) Name() string { return string(o.Session) + strconv.Itoa(o.Step) }

// A Result is what an operation gave.
type Result struct {
	Rows     *Table `json:"rows,omitempty"` // nil unless it returned rows
	Affected int64  `json:"affected,omitempty"`
	Class    Class  `json:"class"`           // OK, or how it failed
	Value    Value  `json:"value,omitempty"` // of a call that returned
}
