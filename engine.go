package racelab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// An Engine is a database product: a value that an engine package exports.
type Engine struct {
	Name    string
	Aliases []string
	Dialect Dialect

	// Find looks for the product on this machine without starting anything.
	Find func(context.Context) Found

	// Start gives a server. With an empty dsn it is private and goes away with
	// Close: one that the engine starts from the binaries on this machine, or
	// that is embedded. Otherwise it is the server the dsn names, in which
	// racelab touches only databases of its own.
	Start func(ctx context.Context, dsn string) (Server, error)
}

// Found is what an engine's search of the machine gave.
type Found struct {
	Engine  string `json:"engine"`
	Found   bool   `json:"found"`
	Version string `json:"version"` // as the product prints it; "" if not found
	Remedy  string `json:"remedy"`  // what to do about it; "" if nothing
}

// A Product says what was really run.
type Product struct {
	Name     string            `json:"product"` // SQLite, PostgreSQL, MariaDB, MySQL
	Version  string            `json:"engine_version"`
	Settings map[string]string `json:"engine_settings"` // those that change what a race does
}

// A Server is one instance of an engine.
type Server interface {
	Product() Product
	// Open gives a world: a new database with config's set-up, or, with
	// config.Attach, one that another process of this run has set up.
	Open(context.Context, Config) (World, error)
	// Named looks at the database that the DSN names, and changes nothing.
	Named(context.Context) (NamedDatabase, error)
	// Close ends a private server and removes what it kept. It does not touch
	// a server that was named by a DSN. The worlds must be closed before.
	Close() error
}

// A NamedDatabase is what a DSN names on its server, which is not racelab's. It
// is empty where the DSN names none, or the server is private.
type NamedDatabase struct {
	Address string   // to attach to it; "" where sessions cannot run in a database that racelab did not make
	Holds   []string // its tables, views, routines and the like, by name
}

// A Config says what a world is opened with.
type Config struct {
	Level Level    // of every session; "" is the dialect's first
	Setup []string // statements that make and seed the tables; placeholders are not allowed
	State []string // the tables that State reads, in order
	// AllTables is for sessions of which nothing is declared: State reads every
	// table that there is by then, and Reset brings back what the database
	// counts up too (sequences, AUTO_INCREMENT).
	AllTables bool
	// Queries are run beside State, at the same moment. What each gives is
	// another table there, called as its text.
	Queries []string
	// Attach is the address of a world that is open elsewhere. Setup is not
	// run, Reset is refused, and Close leaves the database.
	Attach string
	// Controlled says that sessions run under control: then nobody looks for
	// deadlocks but who is told to (Conn.LoseDeadlocks), where the engine lets
	// itself be told.
	Controlled bool
	// OwnSettings says that sessions have the settings that the server, the
	// database, the role and the environment give any client: not those under
	// which a race can be decided. The level is set only if there is one.
	OwnSettings bool
	// BusyLimit bounds how long a statement waits for another connection where
	// the engine leaves that to its client (SQLite's busy timeout).
	// 0 waits until the context ends.
	BusyLimit time.Duration
}

// ErrSetup says that a database refused a statement of Config.Setup or
// Config.Queries: what it was asked makes no sense to it.
var ErrSetup = errors.New("set up")

// A Feature is a set of what a strategy may need of an engine.
type Feature uint32

const (
	RowLocks      Feature = 1 << iota // SELECT ... FOR UPDATE
	NoWait                            // FOR UPDATE NOWAIT
	SkipLocked                        // FOR UPDATE SKIP LOCKED
	AdvisoryLocks                     // locks by number, held by a connection
	Immediate                         // BEGIN IMMEDIATE
	Savepoints
	Concurrent       // more than one connection writes at a time
	LockOf           // FOR UPDATE OF: the rows of one table of a join
	NoWaitSkipLocked // both at once, which contradict each other: no engine has it
	SQL              // a database at all
)

var featureNames = []string{"row locks", "NOWAIT", "SKIP LOCKED", "advisory locks", "BEGIN IMMEDIATE", "savepoints", "concurrent writers",
	"FOR UPDATE OF", "NOWAIT together with SKIP LOCKED", "SQL"}

// Names lists the features of the set, for people.
func (f Feature) Names() []string {
	var names []string
	for i, name := range featureNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// A Dialect is how an engine speaks: data and pure functions, no driver in it.
type Dialect struct {
	Levels   []Level // all it has; the first is the default
	Features Feature

	// Rebind turns the placeholders ? into the engine's own.
	Rebind func(string) string
	// AdvisoryLock and AdvisoryUnlock are statements that take and free the
	// lock of that number for their connection. The first waits.
	AdvisoryLock, AdvisoryUnlock func(key int64) string
	// AutoKey, Int32 and Unsigned are column definitions: a generated primary
	// key, and whole numbers of 32 bits whose range the engine enforces.
	AutoKey, Int32, Unsigned func(column string) string
	// Upsert is what stands between the values of an INSERT and the
	// assignments that are made instead if there is a row with that key.
	Upsert func(key string) string
	// LockTimeout is a statement after which statements of its transaction fail
	// when they have waited for a row's lock for so many seconds.
	LockTimeout func(seconds int) string
	// Locking says what an operation of that text may do to locks at a level.
	// To say too much costs time; so does to leave out MayWait or MayHold, for
	// whoever takes long is asked about anyway.
	Locking func(text string, l Level) Locking
	// Transactions says what is particular about the engine's transactions.
	Transactions Transactions
	// Isolation says what a level does with what statements read and write.
	Isolation func(Level) Isolation
	// Classify says how an operation that returned err ended; nil is OK.
	Classify func(error) Class
}

// Transactions are what engines differ in when a session begins and ends
// transactions in its own words.
type Transactions struct {
	// FailWhole says that an error in a transaction fails all of it: until it ends,
	// or goes back to a savepoint, every statement is refused, and COMMIT rolls
	// it back.
	FailWhole bool
	// Batched says that several statements in one message are one transaction,
	// unless they begin or end one.
	Batched bool
	// Commits reports whether a statement other than COMMIT first commits the
	// transaction that is open; nil is none.
	Commits func(text string) bool
}

// Locking is what an operation may do to the locks of a database.
type Locking uint8

const (
	MayWait Locking = 1 << iota // for a lock of another connection
	MayHold                     // one until its transaction ends
	MayKeep                     // one beyond that
	MayFree                     // one while its transaction goes on
)

// Level returns l if the dialect has it, its first if l is "", and otherwise
// an error that lists what there is.
func (d Dialect) Level(l Level) (Level, error) {
	var names []string
	for _, have := range d.Levels {
		if have == l || l == "" {
			return have, nil
		}
		names = append(names, string(have))
	}
	return "", fmt.Errorf("isolation level %s is not available: there is %s", l, strings.Join(names, ", "))
}

// Stronger lists the dialect's levels above l, the nearest first.
func (d Dialect) Stronger(l Level) []Level {
	var above []Level
	for _, have := range d.Levels {
		if have.Compare(l) > 0 {
			above = append(above, have)
		}
	}
	slices.SortFunc(above, Level.Compare)
	return above
}

// Lacks returns the sentence that says why needs is not available, or "".
func (d Dialect) Lacks(engine string, needs Feature) string {
	missing := (needs &^ d.Features).Names()
	if len(missing) == 0 {
		return ""
	}
	return fmt.Sprintf("%s has no %s", engine, strings.Join(missing, ", no "))
}
