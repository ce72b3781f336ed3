package check

import (
	"maps"
	"slices"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// A Relation tells which steps of runs may be exchanged without anybody's
// noticing. Where it is not sure, it says that they may not. The facts about
// engines are those of their isolation levels; a step's effects are those that
// it had in its run, so a relation is of the steps of one run.
type Relation struct {
	Schema    racelab.Schema
	Isolation func(racelab.Level) racelab.Isolation
	Level     racelab.Level
	// Without are rules that are left out, for tests that show what each of
	// them is there for.
	Without Rule

	texts map[string]statementText
	facts map[string]bool            // what runs have shown: tables in which rows come and go, and orders that show
	seen  map[racelab.Choice][]touch // what was read of a snapshot, in any run
}

// A Rule is a set of reasons why steps depend on each other.
type Rule uint16

const (
	Publishing  Rule = 1 << iota // a commit shows what was written
	Snapshots                    // a transaction's first statement decides what the others see
	ForeignKeys                  // a write locks rows of other tables
	Waiting                      // who waits first is first, and who waits last loses a deadlock
	Freeing                      // an end that commits nothing frees locks too
	UniqueKeys                   // rows with the same key may not stand side by side
	Gaps                         // what is looked for and not there is locked with what is around it
	Checks                       // serializable transactions are checked against each other
	Heaps                        // rows lie in the order in which they were written
)

// Rules are all of them.
var Rules = map[string]Rule{
	"publishing": Publishing, "snapshots": Snapshots, "foreign keys": ForeignKeys, "waiting": Waiting, "freeing": Freeing,
	"unique keys": UniqueKeys, "gaps": Gaps, "checks": Checks, "heaps": Heaps,
}

func (r *Relation) has(rule Rule) bool { return r.Without&rule == 0 }

// A mode is how a step touches rows.
type mode uint8

const (
	reads     mode = iota // what is committed when it begins
	writes                // what is there: it changes or locks it
	publishes             // commits what was written
	frees                 // gives up locks
)

type touch struct {
	mode mode
	span
}

// endsPlainly reports whether a transaction is over and nothing else: AND CHAIN
// begins the next one.
func endsPlainly(op racelab.Op) bool {
	words := sqltext.Words(op.Text)
	for i, w := range words {
		last := i > 0 && i == len(words)-1 && w.Text == ";"
		if !last && !slices.ContainsFunc([]string{"COMMIT", "END", "ROLLBACK", "WORK", "TRANSACTION"}, w.Is) {
			return false
		}
	}
	return true
}

// learn notes what a statement shows of the order in which rows lie. Where
// several are met, the first may be another one elsewhere.
func (r *Relation) learn(op racelab.Op, result racelab.Result, waited bool) {
	if op.Conn == "" || !r.has(Heaps) {
		return
	}
	s := r.text(op)
	several := waited || result.Class != racelab.OK || result.Affected > 1 || result.Rows != nil && len(result.Rows.Rows) > 1
	var shown []span
	if s.shows == yes || s.shows == maybe && several {
		shown = s.main
	}
	for _, m := range s.others {
		if m.whole { // a cascade meets them one after another
			shown = append(slices.Clip(shown), m)
		}
	}
	for _, t := range r.Schema.Tables {
		if t.Heap && slices.ContainsFunc(shown, func(m span) bool { return m.table == t.Name || m.table == everything }) {
			r.facts[orderOf(t.Name)] = true
		}
	}
}

// orderOf is what the writes of a heap have in common: they come one after
// another.
func orderOf(table string) string { return "the order of " + table }

// inOrder are the touches of a write by which others see when it was.
func (r *Relation) inOrder(spans []span) (touches []touch) {
	for _, m := range spans {
		if r.facts[orderOf(m.table)] {
			touches = append(touches, touch{writes, all(orderOf(m.table))})
		}
	}
	return touches
}

// Learned counts what runs have shown: the tables in which rows come and go,
// and those of which it shows in which order rows lie. When a run shows another
// one, earlier runs were read with too few dependencies.
func (r *Relation) Learned() int { return len(r.facts) }

// Facts lists what runs have shown, and Know takes it from an earlier search,
// whose runs are not read again.
func (r *Relation) Facts() []string { return slices.Sorted(maps.Keys(r.facts)) }

// Know adds to what runs have shown.
func (r *Relation) Know(facts []string) {
	if r.texts == nil {
		r.texts, r.facts = map[string]statementText{}, map[string]bool{}
	}
	for _, f := range facts {
		r.facts[f] = true
	}
}

// Depends reports whether two steps of different sessions may not be
// exchanged.
func (r *Relation) Depends(a, b *Step) bool {
	if a.Choice.Tick || b.Choice.Tick {
		return true // a session reads the time in its own code
	}
	if a.waits && b.waits {
		return true // who waits for whom: a cycle's last one is its victim
	}
	return r.meet(a.touches, b.touches)
}

func (r *Relation) meet(a, b []touch) bool {
	return slices.ContainsFunc(a, func(x touch) bool {
		return slices.ContainsFunc(b, func(y touch) bool {
			return conflict(x, y) && x.meets(y.span, r.Schema, x.mode == reads || y.mode == reads || !r.has(UniqueKeys))
		})
	})
}

// MayDepend is Depends for steps whose transactions may go on otherwise than in
// the runs they are from: what a snapshot will be asked for is not known yet.
func (r *Relation) MayDepend(a, b *Step) bool {
	return a.snapshot && b.publishes() || b.snapshot && a.publishes() || r.Depends(a, b)
}

// conflict reports whether the order of two touches of the same row matters.
func conflict(a, b touch) bool {
	if a.table == everything || b.table == everything {
		return true
	}
	switch a.mode {
	case reads:
		return b.mode == publishes
	case writes:
		return b.mode != reads
	case publishes:
		return b.mode == reads || b.mode == writes
	default:
		return b.mode == writes
	}
}

// Anew returns the relation as it was before it had read any run.
func (r *Relation) Anew() *Relation {
	return &Relation{Schema: r.Schema, Isolation: r.Isolation, Level: r.Level, Without: r.Without}
}

// MayMeet reports whether an operation may want a lock that another one holds,
// which is done and whose transaction goes on.
func (r *Relation) MayMeet(op, held racelab.Op, result racelab.Result) bool {
	locks := func(op racelab.Op, result racelab.Result) []touch {
		return r.effects(op, result, &tx{isolation: r.Isolation(r.Level), open: true}, 0)
	}
	want := locks(op, racelab.Result{Class: racelab.OK, Affected: 1})
	return slices.ContainsFunc(locks(held, result), func(h touch) bool {
		return h.mode == writes && slices.ContainsFunc(want, func(w touch) bool { return w.mode == writes && w.meets(h.span, r.Schema, false) })
	})
}
