package check

import (
	"reflect"
	"slices"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// A Step is a decision of a run and everything that happened until the next
// one.
type Step struct {
	Choice racelab.Choice
	Ready  []racelab.Choice // the choices there were
	// Woke are the sessions whose waiting operations it let end, and the one that
	// it started.
	Woke []racelab.SessionID
	// Stuck says that it was never made: its operation wants something of shared
	// memory that nobody gave. Those steps are the last of a run.
	Stuck bool
	// Latched says that its operation may have to wait for what others do to shared
	// memory.
	Latched bool

	waits    bool // its operation has waited, or closed a deadlock
	snapshot bool // it decides what a whole transaction sees
	touches  []touch
}

// A tx is a transaction while its steps are read.
type tx struct {
	isolation racelab.Isolation
	open      bool
	firsts    []int // steps at which its snapshot may have been taken
	read      bool  // a plain read has been among its statements
	spans     []touch
	wrote     bool
	undone    bool // the engine has ended it by itself: what follows may be no transaction
}

// Steps reads a run.
func (r *Relation) Steps(h racelab.History) []Step {
	results := map[string]racelab.Result{}
	for _, e := range h.Events {
		if e.Kind == racelab.Left {
			results[e.Op.Name()] = e.Result
		}
	}
	var steps, stuck []Step
	open := map[racelab.ConnID]*tx{}
	var ended []*tx
	blind := r.blind(h)
	entered := map[string]int{}
	latest := map[racelab.SessionID]int{} // step at which a session has entered
	checking := false                     // a transaction that is checked has committed
	add := func(op racelab.Op, result racelab.Result, t *tx, at int) {
		steps[at].touches = append(steps[at].touches, r.effects(op, result, t, at)...)
		if checking && t.isolation.Checked && len(t.spans) > 0 && r.has(Checks) {
			// Whoever completes a chain of three transactions whose last one has
			// committed is aborted, whatever the tables.
			steps[at].touches = append(steps[at].touches, touch{writes, all("the checks")})
		}
	}
	for _, e := range h.Events {
		if c, ok := e.Choice(); ok {
			if before, ok := latest[c.Session]; ok && e.Op.Kind == racelab.Yield {
				// Somebody has to go between the two, so it matters who has gone before.
				steps[before].touches = append(steps[before].touches, touch{writes, all(everything)})
			}
			entered[e.Op.Name()], latest[c.Session] = len(steps), len(steps)
			steps = append(steps, Step{Choice: c, Ready: e.Ready, Latched: e.Op.Latch != nil || e.Op.Kind == racelab.Yield})
		}
		at := len(steps) - 1
		switch e.Kind {
		case racelab.Ticked:
			steps[at].touches = []touch{{writes, all(everything)}}
		case racelab.Waiting:
			if e.Op.Conn == "" {
				stuck = append(stuck, Step{Choice: racelab.Choice{Session: e.Op.Session, Step: e.Op.Step}, Stuck: true, Latched: true, touches: memoryTouches(e.Op)})
			} else if at >= 0 && r.has(Waiting) {
				steps[at].waits = true
				add(e.Op, results[e.Op.Name()], r.transaction(open, e.Op), at)
			}
		case racelab.Left:
			t := r.transaction(open, e.Op)
			switch {
			case e.Op.Kind == racelab.Begin: // MariaDB's commits what is open
				blind = blind || t.open
			case e.Op.Kind == racelab.Query, e.Op.Kind == racelab.Exec:
				blind = blind || !t.open && r.text(e.Op).verb == "SAVEPOINT" // SQLite's may begin a transaction
				r.learn(e.Op, e.Result, entered[e.Op.Name()] < at)
			}
			s := &steps[at]
			add(e.Op, e.Result, t, at)
			if e.Op.Session != s.Choice.Session {
				s.Woke = append(s.Woke, e.Op.Session)
			}
			if child, ok := e.Result.Value.(string); ok && e.Op.Kind == racelab.Spawn {
				s.Woke = append(s.Woke, racelab.SessionID(child))
			}
			s.waits = s.waits || e.Result.Class == racelab.Deadlock
			ending := r.ending(e.Op, e.Result, t)
			s.touches = append(s.touches, ending...)
			if from := entered[e.Op.Name()]; from < at && r.has(Waiting) {
				// Elsewhere it need not have waited.
				steps[from].touches = append(steps[from].touches, ending...)
			}
			checking = checking || t.isolation.Checked && !t.open && len(t.spans) > 0
			if !t.open {
				ended = append(ended, t)
				delete(open, e.Op.Conn)
			}
		}
	}
	steps = append(steps, stuck...)
	if blind {
		for i := range steps {
			steps[i].touches = []touch{{writes, all(everything)}}
		}
		return steps
	}
	for _, t := range open {
		ended = append(ended, t)
	}
	for _, t := range ended {
		if t.isolation.Snapshot != racelab.OfTransaction || !r.has(Snapshots) {
			continue
		}
		// The snapshot decides what the whole transaction sees. Elsewhere it may
		// go on as it did in another run.
		for _, at := range t.firsts {
			steps[at].snapshot = true
			steps[at].touches = append(steps[at].touches, r.seenBy(steps[at].Choice, t.spans)...)
		}
	}
	return steps
}

// seenBy adds to what is known to be read of the snapshot that a step takes.
func (r *Relation) seenBy(step racelab.Choice, spans []touch) []touch {
	if r.seen == nil {
		r.seen = map[racelab.Choice][]touch{}
	}
	known := r.seen[step]
	for _, s := range spans {
		made := touch{reads, s.span}
		if !slices.ContainsFunc(known, func(k touch) bool { return reflect.DeepEqual(k, made) }) {
			known = append(known, made)
		}
	}
	r.seen[step] = known
	return known
}

// blind reports whether a run has a statement that changes what the ones after
// it are, in ways that are not followed here: the transaction that is open, or
// its level.
func (r *Relation) blind(h racelab.History) bool {
	return slices.ContainsFunc(h.Events, func(e racelab.Event) bool {
		if e.Kind != racelab.Left {
			return false
		}
		switch e.Op.Kind {
		case racelab.Query, racelab.Exec:
			return r.text(e.Op).blind
		case racelab.Begin:
			return strings.Contains(strings.TrimRight(e.Op.Text, "; "), ";") // more stands behind it
		case racelab.Commit, racelab.Rollback:
			return !endsPlainly(e.Op)
		}
		return false
	})
}

// transaction returns what an operation is in: a transaction of its own if
// none is open on its connection.
func (r *Relation) transaction(open map[racelab.ConnID]*tx, op racelab.Op) *tx {
	if op.Conn == "" {
		return &tx{}
	}
	if open[op.Conn] == nil {
		open[op.Conn] = &tx{isolation: r.Isolation(levelOf(op.Text, r.Level))}
	}
	return open[op.Conn]
}

// effects are what an operation touches by itself.
func (r *Relation) effects(op racelab.Op, result racelab.Result, t *tx, at int) []touch {
	switch {
	case op.Conn == "":
		return memoryTouches(op)
	case op.Fault == racelab.DropBefore:
		return nil
	case op.Kind == racelab.Begin:
		t.open = true
		words := sqltext.Tokens(op.Text)
		if slices.ContainsFunc(words, func(w sqltext.Token) bool { return w.Is("SNAPSHOT") }) {
			t.firsts = append(t.firsts, at)
		}
		if t.isolation.OneWriter && len(words) > 1 && (words[1].Is("IMMEDIATE") || words[1].Is("EXCLUSIVE")) {
			return t.touch(writes, all("the database"))
		}
		return nil
	case op.Kind == racelab.Commit, op.Kind == racelab.Rollback:
		return nil
	}
	s := r.text(op)
	if s.session {
		return nil
	}
	var touches []touch
	snapshot := t.isolation.Snapshot
	if !t.open {
		snapshot = racelab.OfStatement
	}
	locks := s.locks || t.open && t.isolation.ReadsLock || t.isolation.Snapshot == racelab.Dirty
	first := len(t.firsts) == 0 || !t.read && !s.locks
	t.read = t.read || !s.locks
	if first {
		t.firsts = append(t.firsts, at)
	}
	for _, m := range s.main {
		if t.isolation.Checked && r.has(Checks) {
			m = all(m.table)
		}
		if locks && t.isolation.Ranges && r.has(Gaps) && (!s.keyed || !found(result) || r.facts[m.table]) {
			m = all(m.table)
		}
		switch {
		case locks || t.isolation.Checked:
			touches = append(touches, t.touch(writes, m)...)
		case snapshot == racelab.OfTransaction && !first:
			t.spans = append(t.spans, touch{reads, m})
		default:
			touches = append(touches, t.touch(reads, m)...)
		}
	}
	for _, m := range s.others {
		if !r.has(ForeignKeys) {
			break
		}
		if t.isolation.Ranges && r.has(Gaps) && result.Class != racelab.OK {
			m = all(m.table) // it has looked for a row that is not there
		}
		touches = append(touches, t.touch(writes, m)...)
	}
	if s.writes {
		touches = append(touches, r.inOrder(slices.Concat(s.main, s.others))...)
	}
	if s.writes && t.isolation.OneWriter {
		touches = append(touches, t.touch(writes, all("the database"))...)
	}
	t.wrote = t.wrote || s.writes
	return touches
}

// memoryTouches are what an operation does to shared memory.
func memoryTouches(op racelab.Op) []touch {
	if op.Kind == racelab.Yield {
		return []touch{{writes, all(everything)}} // who else can go decides whether it may
	}
	var touches []touch
	for _, t := range op.Touches {
		object := all("memory " + t.Object)
		if t.Mode&racelab.Writes == 0 {
			touches = append(touches, touch{reads, object})
		} else {
			touches = append(touches, touch{writes, object}, touch{publishes, object})
		}
	}
	return touches
}

func (t *tx) touch(m mode, s span) []touch {
	made := touch{m, s}
	t.spans = append(t.spans, made)
	return []touch{made}
}

// found reports whether a statement found rows, or put in one.
func found(r racelab.Result) bool {
	return r.Class == racelab.OK && (r.Affected > 0 || r.Rows != nil && len(r.Rows.Rows) > 0)
}

// ending is what becomes of a transaction when an operation is done: what it
// publishes and frees.
func (r *Relation) ending(op racelab.Op, result racelab.Result, t *tx) []touch {
	if op.Conn == "" {
		return nil
	}
	failed := result.Class != racelab.OK && op.Fault == racelab.NoFault
	committed := op.Kind == racelab.Commit || !t.open || t.undone // elsewhere it might not have failed
	t.undone = t.undone || failed && result.Class.Aborted()
	over := op.Kind == racelab.Commit || op.Kind == racelab.Rollback || op.Fault != racelab.NoFault || !t.open
	back := op.Kind == racelab.Exec && r.text(op).verb == "ROLLBACK"
	if !over && !failed && !back && !t.undone {
		return nil
	}
	var touches []touch
	if t.isolation.Checked && len(t.spans) > 0 && r.has(Checks) {
		touches = append(touches, touch{publishes, all(everything)})
	}
	for _, s := range t.spans {
		if s.mode != writes {
			continue
		}
		if r.has(Freeing) {
			touches = append(touches, touch{frees, s.span})
		}
		if committed && t.wrote && r.has(Publishing) {
			touches = append(touches, touch{publishes, s.span})
		}
	}
	if back {
		t.read = false // where no row had been touched before, the next read has a new snapshot
	}
	if over {
		t.open = false
	}
	return touches
}

func (r *Relation) text(op racelab.Op) statementText {
	key := op.Text
	for _, a := range op.Args {
		key += "\x00" + textOf(a)
	}
	s, ok := r.texts[key]
	if !ok {
		s = r.statement(op)
		r.Know(nil)
		for _, m := range s.main {
			if s.writes && (m.whole || m.rows != nil || s.verb != "UPDATE") {
				r.facts[m.table] = true
			}
		}
		for _, m := range s.others {
			if m.whole { // a cascade
				r.facts[m.table] = true
			}
		}
		r.texts[key] = s
	}
	return s
}

func (s *Step) publishes() bool {
	return slices.ContainsFunc(s.touches, func(t touch) bool { return t.mode == publishes || t.table == everything })
}
