package check

import (
	"reflect"
	"slices"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// A transaction is one of a history. A statement outside of any is its own.
type transaction struct {
	level     racelab.Level
	first     int // where its first statement was let in, or -1
	firstRead int // where its first plain read was let in, or -1
	ended     int // where it had ended; the history's length if it did not
	committed bool
	counts    bool // what it read was seen by whoever made the call
}

// A statement is one that has left, of a call. Positions are in the history.
type statement struct {
	op            racelab.Op
	entered, left int
	turn          int  // how many operations had been let in when it left
	waited        bool // it was not done at once, and took effect just before it left
	result        racelab.Result
	region
	tx     *transaction
	undone bool // rolled back to a savepoint
	void   bool // the call began again in another transaction: nobody acts on what it read
	memory bool // it is an access of shared memory
}

// ok reports whether the statement did what it says.
func (s *statement) ok() bool { return s.result.Class == racelab.OK }

// changed counts the rows that a write has changed.
func (s *statement) changed() int64 {
	if s.verb == "SELECT" || !s.ok() {
		return 0
	}
	if s.result.Rows != nil { // RETURNING
		return int64(len(s.result.Rows.Rows))
	}
	return s.result.Affected
}

// writes reports whether the statement has changed anything.
func (s *statement) writes() bool { return s.changed() > 0 }

// refused reports whether it is an insert that met a row in its place.
func (s *statement) refused() bool {
	return s.verb == "INSERT" && s.result.Class == racelab.UniqueViolation
}

// plain reports whether it reads from a snapshot, where there is one.
func (s *statement) plain() bool { return s.verb == "SELECT" && !s.locking }

// repeats reports whether it asks for the same as another operation.
func (s *statement) repeats(op racelab.Op) bool {
	return s.op.Text == op.Text && reflect.DeepEqual(s.op.Args, op.Args)
}

// rowsRead counts the rows that a SELECT gave.
func (s *statement) rowsRead() int {
	if s.result.Rows == nil {
		return 0
	}
	return len(s.result.Rows.Rows)
}

// absent reports whether a read found nothing: no row, or a count of 0.
func (s *statement) absent() bool {
	if s.verb == "UPDATE" || s.verb == "DELETE" {
		return s.ok() && s.changed() == 0
	}
	if s.verb != "SELECT" || s.result.Rows == nil {
		return false
	}
	rows := s.result.Rows.Rows
	if len(rows) != 1 || len(rows[0]) != 1 || len(s.columns) > 0 {
		return len(rows) == 0
	}
	v := textOf(rows[0][0])
	return v == "NULL" || same(v, "0") == yes
}

// statementsOf reads the statements of a history under control, with the
// transactions they belong to, in the order in which they left.
func statementsOf(events []racelab.Event, level racelab.Level) []*statement {
	type place struct { // what holds a transaction
		session racelab.SessionID
		conn    racelab.ConnID
	}
	open := map[place]*transaction{}
	saved := map[place]map[string]int{} // savepoints: how many statements there were
	entered, waited := map[string]int{}, map[string]bool{}
	inTx := map[*transaction][]*statement{}
	tries := map[racelab.CallID]*attempt{}
	last := map[racelab.CallID]*transaction{}
	var statements []*statement
	turn := 0
	end := func(p place, at int, committed bool) {
		if tx := open[p]; tx != nil {
			tx.committed = committed && tx.ended < 0
			if tx.ended < 0 { // else the engine had ended it before
				tx.ended = at
			}
			// Nothing written, nothing undone: a ROLLBACK ends it as well.
			tx.counts = !slices.ContainsFunc(inTx[tx], func(s *statement) bool { return !s.ok() || s.writes() })
			delete(open, p)
			delete(saved, p)
		}
	}
	for i, e := range events {
		name, p := e.Op.Name(), place{e.Op.Session, e.Op.Conn}
		switch e.Kind {
		case racelab.Entered:
			entered[name] = i
			turn++
			continue
		case racelab.Waiting:
			waited[name] = true
			continue
		case racelab.Left:
		default:
			continue
		}
		s := &statement{op: e.Op, left: i, entered: i, turn: turn, waited: waited[name], result: e.Result}
		if at, ok := entered[name]; ok {
			s.entered = at
		}
		try := tries[e.Op.Call]
		if try == nil {
			try = &attempt{}
			tries[e.Op.Call] = try
		}
		switch e.Op.Kind {
		case racelab.Commit:
			// Its answer may have been lost, and not the COMMIT.
			end(p, i, s.ok() || e.Op.Fault == racelab.DropAfter)
			try.failed = try.failed || !s.ok()
			continue
		case racelab.Begin:
			if s.ok() && open[p] == nil {
				open[p] = &transaction{level: levelOf(e.Op.Text, level), first: -1, firstRead: -1, ended: -1}
				last[e.Op.Call] = open[p]
			}
			continue
		case racelab.Rollback:
			end(p, i, false)
			try.failed = true
			continue
		case racelab.Query, racelab.Exec, "":
		case racelab.Load, racelab.Store, racelab.Update:
			statements = append(statements, accessesOf(*s)...)
			continue
		default:
			continue
		}
		s.region = regionOf(e.Op)
		s.tx = open[p]
		if s.tx == nil {
			s.tx = &transaction{level: level, first: -1, firstRead: -1, ended: i, committed: s.ok()}
			last[e.Op.Call] = s.tx
		}
		if word, name := savepoint(e.Op.Text); word != "" && s.ok() {
			if saved[p] == nil {
				saved[p] = map[string]int{}
			}
			if word == "SAVEPOINT" {
				saved[p][name] = len(inTx[s.tx])
			} else if from, ok := saved[p][name]; ok {
				for _, undone := range inTx[s.tx][from:] {
					undone.undone = true
				}
			}
			continue
		}
		if s.tx.first < 0 {
			s.tx.first = s.entered
		}
		if s.table != "" && s.plain() && s.tx.firstRead < 0 {
			s.tx.firstRead = s.entered
		}
		if c := s.result.Class; (c == racelab.Deadlock || c == racelab.SerializationFailure || c == racelab.ConnectionLost) && s.tx.ended < 0 {
			s.tx.ended = i // the engine has rolled it back
		}
		try.add(s)
		inTx[s.tx] = append(inTx[s.tx], s)
		if s.table != "" {
			statements = append(statements, s)
		}
	}
	for _, s := range statements {
		if s.tx.ended < 0 {
			s.tx.ended = len(events)
		}
		s.tx.counts = s.tx.counts || s.tx.committed
	}
	for _, e := range events {
		if tx := last[e.Op.Call]; e.Kind == racelab.Returned && tx != nil {
			switch c := e.Result.Class; c {
			case racelab.Refused, racelab.ConnectionLost, racelab.Canceled:
			default: // its last word counts even if it was rolled back: it told somebody
				tx.counts = tx.counts || !c.Aborted()
			}
		}
	}
	return statements
}

// levelOf reads the level that a BEGIN asks for.
func levelOf(begin string, level racelab.Level) racelab.Level {
	_, name, ok := strings.Cut(strings.ToUpper(begin), "ISOLATION LEVEL ")
	if !ok {
		return level
	}
	for words := strings.Fields(name); len(words) > 0; words = words[:len(words)-1] {
		if l, err := racelab.ParseLevel(strings.Join(words, " ")); err == nil {
			return l
		}
	}
	return level
}

// savepoint reads SAVEPOINT name and ROLLBACK TO name.
func savepoint(text string) (word, name string) {
	t := sqltext.Tokens(text)
	switch {
	case len(t) > 1 && t[0].Is("SAVEPOINT"):
		return "SAVEPOINT", strings.ToLower(t[1].Inside())
	case len(t) > 2 && t[0].Is("ROLLBACK"):
		for i, to := range t[:len(t)-1] {
			if to.Is("TO") {
				if t[i+1].Is("SAVEPOINT") && i+2 < len(t) {
					i++
				}
				return "ROLLBACK", strings.ToLower(t[i+1].Inside())
			}
		}
	}
	return "", ""
}

// An attempt is a call's, that may fail at something and begin again with the
// statement it began with. Within the same transaction that is a second look,
// and what was read at first still counts.
type attempt struct {
	statements []*statement
	failed     bool
}

func (a *attempt) add(s *statement) {
	if a.failed && len(a.statements) > 0 {
		first := a.statements[0]
		if s.repeats(first.op) && (s.tx != first.tx || s.tx.ended >= 0) {
			for _, earlier := range a.statements {
				earlier.void = true
			}
			*a = attempt{}
		}
	}
	a.statements = append(a.statements, s)
	a.failed = a.failed || !s.ok() || (s.verb == "UPDATE" || s.verb == "DELETE") && s.changed() == 0
}
