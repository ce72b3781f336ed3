package racelab

import (
	"context"
	"database/sql"
	"fmt"
)

// A Scenario is an exhibit: shared data, a cast of sessions that work on it at
// the same time, and what must hold afterwards.
type Scenario struct {
	Name    string
	Summary string   // one line
	Story   string   // a few paragraphs: what happens, and where people meet it
	Sources []string // where it comes from
	Reading []string // manual pages, papers

	Setup func(Dialect) []string // schema and seed; nil: sessions share nothing but memory
	State []string               // the tables compared at the end, beside what Memory shares
	// Learn, if it is set, says that nothing is declared: all tables are compared
	// at the end, and it reads from the schema what are Generated and References.
	Learn func(Schema) (generated []string, references map[string]string)
	// Remains says what may remain of a run after World.Reset.
	Remains Remainder
	// Generated are the columns, "table.column", whose values the database makes
	// up, and References those that hold such a value of another column: by
	// "table.column", which one of Generated. Two outcomes are the same if one
	// becomes the other by renaming such values, each column's among themselves.
	// What the set-up made is not renamed: calls may know it by its value. A
	// call that returns one says so with a Key.
	Generated  []string
	References map[string]string
	Cast       []Role // sessions A, B, ... in order
	Sessions   int    // how many of the cast are there if nobody says; 0 is all
	Strategies []Strategy
	Invariants []Invariant
}

// A Role is what one session does: its calls, one after another.
type Role struct {
	Name  string
	Calls []Args
}

// Args are the arguments of a call: int64 or string values by name.
type Args map[string]any

// Int returns the named whole number, 0 if it is not there.
func (a Args) Int(name string) int64 { n, _ := a[name].(int64); return n }

// A Strategy is one way to write the scenario's operation.
type Strategy struct {
	Name    string
	Summary string // one line
	Needs   Feature
	// Level, if set, is the only isolation level at which this strategy is
	// what it says.
	Level     Level
	Safe      bool     // declared to hold wherever it is available; over a database, also across processes
	Expect    []Expect // what is computed where; see Expected
	Fix       []string // strategies that do the same without the race, the closest first
	Endpoints []string // names under which the reference laboratory has it
	Body      map[string]Body
	// Process makes what the sessions of one process share: a mutex, a cache.
	// It is called once per run and simulated process.
	Process func(*Memory) any
}

// A Body is what a role does in a strategy: ordinary Go over database/sql. The
// same function serves an HTTP endpoint, runs freely in parallel, and runs
// under control. The value is what the caller sees; it is part of the outcome.
type Body func(context.Context, *Env) (Value, error)

// An Env is what a body works with.
type Env struct {
	DB      *sql.DB
	Dialect Dialect
	Args    Args
	Tries   int // of a retry loop
	Process any
	// Window passes the time between a read and the write that relies on it:
	// real time in the laboratory.
	Window func(context.Context) error
}

// Aborted reports whether err says "nothing happened, try again".
func (e *Env) Aborted(err error) bool { return e.Dialect.Classify(err).Aborted() }

// A Remainder is what remains of a run beside the rows of its tables.
type Remainder uint8

const (
	RemainsNothing  Remainder = iota
	RemainsInConns            // settings, session locks, temporary tables, prepared statements: what ends with a connection
	RemainsInSchema           // also what tables, functions and the like there are
)

// An Invariant is a claim over the final state: that two whole numbers which
// can be computed from it are equal. What must not exist is counted, and
// expected to be 0.
type Invariant struct {
	Name    string
	Measure func(State) (expected, actual int64, err error)
	// Query is a claim in SQL, instead of Measure: it gives one row of one
	// value, which is true, or a number other than 0.
	Query string
}

// Dealt deals the cast's roles out to n sessions in turn; 0 is as many as the
// scenario has if nobody says.
func (s *Scenario) Dealt(n int) []Role {
	if n == 0 {
		n = s.Sessions
	}
	if n == 0 {
		n = len(s.Cast)
	}
	roles := make([]Role, n)
	for i := range roles {
		roles[i] = s.Cast[i%len(s.Cast)]
	}
	return roles
}

// Strategy returns the strategy of that name, and whether there is one.
func (s *Scenario) Strategy(name string) (*Strategy, bool) {
	for i := range s.Strategies {
		if s.Strategies[i].Name == name {
			return &s.Strategies[i], true
		}
	}
	return nil, false
}

// Fits reports whether the engine is of the scenario's kind: a database, or
// nothing but memory.
func (s *Scenario) Fits(e Engine) bool { return (s.Setup != nil) == (e.Dialect.Features&SQL != 0) }

// InProcess reports whether a strategy relies on the memory of one process for
// what is in a database that others can reach as well.
func (s *Scenario) InProcess(st *Strategy) bool { return s.Setup != nil && st.Process != nil }

// Because says why a strategy of the scenario is not available on an engine and
// level, as the rest of a sentence after "not available, because ..."; "" if it
// is. An empty level means whatever suits.
func (s *Scenario) Because(st *Strategy, e Engine, l Level) string {
	switch {
	case !s.Fits(e) && s.Setup == nil:
		return s.Name + " uses no database: its engine is memory"
	case !s.Fits(e):
		return e.Name + " has no SQL"
	}
	if why := e.Dialect.Lacks(e.Name, st.Needs); why != "" {
		return why
	}
	if st.Level == "" {
		return ""
	}
	if _, err := e.Dialect.Level(st.Level); err != nil {
		return fmt.Sprintf("%s has no level %s", e.Name, st.Level)
	}
	if l != "" && l != st.Level {
		return fmt.Sprintf("it is written for %s", st.Level)
	}
	return ""
}

// A CellResult is what a strategy comes to on an engine and level.
type CellResult string

const (
	CellHolds           CellResult = "holds"
	CellHoldsWithAborts CellResult = "holds-with-aborts"
	CellViolated        CellResult = "violated"
	CellDeadlock        CellResult = "deadlock" // violated by a deadlock of shared memory
	CellNotAvailable    CellResult = "not-available"
	CellUnknown         CellResult = "unknown"
)

// An Expect says what a strategy is expected to come to. An empty engine or
// level is any.
type Expect struct {
	Engine  string
	Level   Level
	Result  CellResult
	Anomaly string // of a violation: lost-update, write-skew, ...; "" says nothing about it
}

// Expected returns the first of the strategy's expectations that is of an
// engine and level, and whether there is one. A safe strategy of which nothing
// else is said holds, with aborts or without.
func (s *Strategy) Expected(engine string, l Level) (Expect, bool) {
	for _, x := range s.Expect {
		if (x.Engine == "" || x.Engine == engine) && (x.Level == "" || x.Level == l) {
			return x, true
		}
	}
	return Expect{Result: CellHolds}, s.Safe
}

// Agrees reports whether a result is the expected one. Whether calls of a
// strategy that holds were aborted is for the engine to say, unless the
// expectation names it.
func (x Expect) Agrees(result CellResult, anomaly string) bool {
	if x.Result == CellHolds && result == CellHoldsWithAborts {
		return true
	}
	return x.Result == result && (x.Anomaly == "" || x.Anomaly == anomaly)
}
