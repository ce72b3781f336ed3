package explore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
	"github.com/racelab/racelab/internal/control"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/mem"
)

// A program makes what its sessions share, and gives what they do: A, B, ...
type program func(m *racelab.Memory) []func()

func (p program) run(ctx context.Context, engine *control.Engine, plan explore.Plan) (h racelab.History, err error) {
	d := control.NewDirector(engine)
	d.Then, d.Serial, d.Loose = plan.Then, plan.Serial, plan.Loose
	m := racelab.Memory{Gate: d}
	var scripts []control.Script
	for i, body := range p(&m) {
		id := racelab.Letter(i)
		script := control.Script{Session: id}
		if (plan.Serial == nil || slices.Contains(plan.Serial, id.Call(1))) && (plan.Calls == nil || slices.Contains(plan.Calls, id.Call(1))) {
			script.Calls = []control.Call{{ID: id.Call(1), Run: control.Plain(body)}}
		}
		scripts = append(scripts, script)
	}
	h.Events, err = d.Run(ctx, scripts, plan.Schedule)
	h.Final = m.State()
	return h, err
}

// search explores a program.
func search(t *testing.T, p program, reduced bool) *explore.Search {
	t.Helper()
	engine := control.NewEngine(nil, racelab.Dialect{}, racelab.SequentialConsistency)
	t.Cleanup(engine.Close)
	run := func(ctx context.Context, plan explore.Plan) (racelab.History, error) { return p.run(ctx, engine, plan) }
	s := &explore.Search{
		Runners: []explore.Runner{run},
		Unfit:   func(err error) bool { return errors.Is(err, control.ErrDiverged) },
		Judge: &check.Judge{Scenario: &racelab.Scenario{}, Serial: func(ctx context.Context, order []racelab.CallID, start racelab.Schedule) (racelab.History, error) {
			return run(ctx, explore.Plan{Serial: order, Schedule: start})
		}},
	}
	for i := range p(&racelab.Memory{}) {
		s.Judge.Calls = append(s.Judge.Calls, []racelab.CallID{racelab.Letter(i).Call(1)})
	}
	if reduced {
		s.Relation = &check.Relation{Level: racelab.SequentialConsistency}
	}
	return s
}

// A bell lets those go on that wait for it when it is rung.
type bell struct {
	memory         *racelab.Memory
	waiting, given int
}

func (b *bell) pass(kind racelab.OpKind, text string, latch racelab.Latch) {
	b.memory.Gate.Pass(racelab.Op{Kind: kind, Text: text, Latch: latch, Touches: []racelab.Touch{{Object: "bell", Mode: racelab.Writes | racelab.Acquires | racelab.Releases}}})
}

func (b *bell) Open(racelab.SessionID) bool                   { return b.given > 0 }
func (b *bell) Holders(racelab.SessionID) []racelab.SessionID { return nil }

func (b *bell) wait() {
	b.pass(racelab.Release, "begin to wait", nil)
	b.waiting++
	b.memory.Gate.Done(racelab.Result{Class: racelab.OK})
	b.pass(racelab.Acquire, "wait", b)
	b.given--
	b.memory.Gate.Done(racelab.Result{Class: racelab.OK})
}

func (b *bell) ring() {
	b.pass(racelab.Signal, "ring", nil)
	if b.waiting > 0 {
		b.waiting, b.given = b.waiting-1, b.given+1
	}
	b.memory.Gate.Done(racelab.Result{Class: racelab.OK})
}

// random makes a program of a few steps, many of which end up stuck, lose
// what they store, race or panic.
func random(seed uint64) (p program, text string) {
	r := rand.New(rand.NewPCG(seed, 1))
	sessions := make([][]int, 2+r.IntN(2))
	for i := range sessions {
		for range 2 + r.IntN(5-len(sessions)) {
			sessions[i] = append(sessions[i], r.IntN(10))
		}
	}
	words := []string{"lock m", "unlock m", "lock k", "unlock k", "try m", "add", "store", "wait", "ring", "go"}
	for _, steps := range sessions {
		for _, s := range steps {
			text += words[s] + ", "
		}
		text += "; "
	}
	return func(m *racelab.Memory) []func() {
		mu, ku, n, b := mem.NewMutex(m, "m"), mem.NewMutex(m, "k"), mem.NewVar(m, "n", 0), &bell{memory: m}
		do := []func(){mu.Lock, mu.Unlock, ku.Lock, ku.Unlock, func() { mu.TryLock() }, func() { n.Store(n.Load() + 1) }, func() { n.Store(7) }, b.wait, b.ring,
			func() { mem.Go(m, func() { mu.Lock(); n.Load() }) }}
		bodies := make([]func(), len(sessions))
		for i, steps := range sessions {
			bodies[i] = func() {
				for _, s := range steps {
					do[s]()
				}
			}
		}
		return bodies
	}, text
}

// summary is all that a search may not miss.
func summary(x explore.Report) string {
	var all []string
	for _, o := range x.Outcomes {
		all = append(all, fmt.Sprint(o.Results, "; ", o.State, "; serial ", o.Serial))
	}
	for _, race := range x.Races {
		all = append(all, fmt.Sprint("race ", race.Lines()))
	}
	slices.Sort(all)
	return strings.Join(append(all, fmt.Sprint("violated ", x.Violations > 0, ", deadlock ", x.Deadlocked > 0)), "\n")
}

// Who waits for ever has made no step, and what it waits to do depends on what
// the others did: nothing is missed for that.
func TestTheReductionMissesNothingWhereSessionsAreStuck(t *testing.T) {
	programs := uint64(150)
	if testing.Short() {
		programs = 40
	}
	stuck := 0
	for seed := range programs {
		p, text := random(seed)
		brute := search(t, p, false)
		brute.Budget = 3000
		all, err := brute.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !all.Complete {
			continue
		}
		some, err := search(t, p, true).Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if all.Deadlocked > 0 {
			stuck++
		}
		if want, got := summary(all), summary(some); want != got {
			t.Errorf("program %d: %s\n%d schedules give\n%s\nand %d of them\n%s", seed, text, all.Schedules, want, some.Schedules, got)
		}
	}
	if stuck < int(programs)/10 {
		t.Errorf("only %d of %d programs get stuck", stuck, programs)
	}
}

// What comes before a session is started cannot come after it.
func TestAStartOrdersWhatIsBeforeIt(t *testing.T) {
	x, err := search(t, func(m *racelab.Memory) []func() {
		n, mu := mem.NewVar(m, "n", 0), mem.NewMutex(m, "mu")
		return []func(){func() { mu.TryLock() }, func() {
			n.Store(1)
			mu.TryLock()
			mem.Go(m, func() { mu.Lock(); n.Load() })
		}}
	}, true).Run(t.Context())
	if err != nil || x.Schedules != 2 {
		t.Errorf("%d schedules: %v", x.Schedules, err)
	}
}

func addTwo(m *racelab.Memory) []func() {
	n, mu := mem.NewVar(m, "n", 0), mem.NewMutex(m, "mu")
	return []func(){func() { mu.Lock(); n.Store(1); mu.Unlock() }, func() { n.Store(1) }}
}

// The result is the same whoever comes first.
func TestADataRaceIsAFindingWhereNothingIsLost(t *testing.T) {
	s := search(t, addTwo, true)
	x, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if x.Violations > 0 || len(x.Races) != 1 || x.Witness == nil || x.Witness.Judgement.Severity() != 1 || x.Races[0].FoundAt != 1 {
		t.Fatalf("%d violations, races %v, witness %v", x.Violations, x.Races, x.Witness)
	}
	if smaller, err := s.Shrink(t.Context(), *x.Witness); err != nil || smaller.Judgement.Severity() != 1 {
		t.Errorf("made smaller, it is %v, %v", smaller.Judgement, err)
	}
}

// Who is left out must not be missed: to wait for one who is gone is simpler than
// what was found, and something else.
func TestAFindingIsNotMadeSmallerByWhoIsMissed(t *testing.T) {
	s := search(t, func(m *racelab.Memory) []func() {
		n, begin := mem.NewVar(m, "n", 0), mem.NewEvent(m, "begin")
		add := func() { n.Store(n.Load() + 1) }
		return []func(){func() { begin.Wait(); add() }, add, begin.Set}
	}, true)
	x, err := s.Run(t.Context())
	if err != nil || x.Witness == nil {
		t.Fatal(err)
	}
	smaller, err := s.Shrink(t.Context(), *x.Witness)
	if err != nil || smaller.Judgement.Deadlock || smaller.Judgement.Severity() != 2 {
		t.Errorf("%v, which is violated: %s; %v", smaller.Schedule, smaller.Judgement.Why, err)
	}
}

// What is left of a finding is held against the serial orders of who is left.
func TestAFindingWithFewerSessionsIsOneOfTheirs(t *testing.T) {
	s := search(t, func(m *racelab.Memory) []func() {
		n := mem.NewAtomic(m, "n", 0)
		add := func() { n.Store(n.Load() + 1) }
		return []func(){add, add, add}
	}, false)
	s.Random = 20
	x, err := s.Run(t.Context())
	if err != nil || x.Witness == nil {
		t.Fatal(x.Witness, err)
	}
	smaller, err := s.Shrink(t.Context(), *x.Witness)
	if err != nil || len(smaller.Calls) != 2 || smaller.Preempted != 1 {
		t.Fatalf("%v of %v, %d preemptions, %v", smaller.Schedule, smaller.Calls, smaller.Preempted, err)
	}
	h, err := s.Runners[0](t.Context(), explore.Plan{Schedule: smaller.Schedule, Calls: smaller.Calls})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := s.Judge.Only(smaller.Calls).Judge(t.Context(), h); err != nil || !v.Violated {
		t.Errorf("%v of %v is no violation: %v", smaller.Schedule, smaller.Calls, err)
	}
}

// With as many sessions a finding becomes simpler or stays as it is.
func TestAFindingIsOnlyMadeSimpler(t *testing.T) {
	compared := 0
	for seed := uint64(80); seed < 180; seed++ { // two of which would grow, if it were not asked
		p, text := random(seed)
		s := search(t, p, true)
		s.Random, s.Seed = 30, seed // what is found by chance is rarely simple
		s.Relation = nil
		x, err := s.Run(t.Context())
		if err != nil {
			t.Fatal(text, err)
		}
		if x.Witness == nil {
			continue
		}
		smaller, err := s.Shrink(t.Context(), *x.Witness)
		if err != nil {
			t.Fatal(text, err)
		}
		if smaller.Calls != nil { // it does without some
			continue
		}
		compared++
		size := func(f explore.Finding) []int { return []int{f.Preempted, f.Schedule.Switches(), len(f.Schedule)} }
		if before, after := size(*x.Witness), size(smaller); slices.Compare(after, before) > 0 {
			t.Errorf("%s: %v, of size %v, became %v, of size %v", text, x.Witness.Schedule, before, smaller.Schedule, after)
		}
	}
	if compared < 10 {
		t.Errorf("only %d findings were compared", compared)
	}
}

// A race that only some schedules have is found, and so is one that the
// witness does not have.
func TestRacesOfAllSchedulesAreFound(t *testing.T) {
	p := func(m *racelab.Memory) []func() {
		n, k, mu := mem.NewVar(m, "n", 0), mem.NewVar(m, "k", 0), mem.NewMutex(m, "mu")
		pass := func() { mu.Lock(); defer mu.Unlock() }
		return []func(){
			func() {
				k.Store(k.Load() + 1)
				n.Store(1)
				pass()
			},
			func() {
				pass()
				n.Store(1)
				k.Store(k.Load() + 1)
			},
		}
	}
	x, err := search(t, p, true).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]bool{}
	for _, race := range x.Races {
		objects[race.Object] = true
		schedule, err := racelab.ParseSchedule(race.Schedule)
		if err != nil {
			t.Fatal(err)
		}
		again := search(t, p, true)
		h, err := again.Runners[0](t.Context(), explore.Plan{Schedule: schedule})
		if err != nil || !slices.ContainsFunc(check.RacesIn(h), func(r check.Race) bool { return r.String() == race.String() }) {
			t.Errorf("%s does not show %s: %v", race.Schedule, race, err)
		}
	}
	if !objects["n"] || !objects["k"] || x.Witness.Judgement.Severity() != 2 {
		t.Errorf("races over %v, witness %v", objects, x.Witness.Judgement.Reason())
	}
}

// A serial order may be stuck by itself, and is then the finding.
func TestAStuckSerialOrderIsFoundAtOnce(t *testing.T) {
	for name, p := range map[string]program{
		"with itself": func(m *racelab.Memory) []func() {
			mu := mem.NewMutex(m, "mu")
			twice := func() { mu.Lock(); mu.Lock() }
			return []func(){twice, twice}
		},
		"forgotten unlock": func(m *racelab.Memory) []func() {
			mu := mem.NewMutex(m, "mu")
			return []func(){mu.Lock, mu.Lock}
		},
		"nobody rings": func(m *racelab.Memory) []func() { return []func(){(&bell{memory: m}).wait} },
	} {
		for _, reduced := range []bool{true, false} {
			x, err := search(t, p, reduced).Run(t.Context())
			if err != nil || x.FirstFound != 1 || x.Witness == nil || !x.Complete {
				t.Errorf("%s: found at run %d, complete %v: %v", name, x.FirstFound, x.Complete, err)
			}
		}
	}
}

// What was found before a budget was used up is known where it goes on.
func TestRacesAreSaved(t *testing.T) {
	whole, err := search(t, addTwo, true).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := search(t, addTwo, true)
	first.Budget = 1
	if _, err := first.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := first.Left.Text()
	if err != nil {
		t.Fatal(err)
	}
	left, err := explore.ReadFrontier(text)
	if err != nil {
		t.Fatal(err)
	}
	second := search(t, addTwo, true)
	second.Resume = &left
	x, err := second.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if summary(x) != summary(whole) || x.Raced != whole.Raced || x.Witness == nil {
		t.Errorf("in two goes\n%s\nand in one\n%s", summary(x), summary(whole))
	}
}

// A race is no witness where another part has found a violation.
func TestPartsPutTheirRacesTogether(t *testing.T) {
	race := func(line string) explore.FoundRace {
		var r explore.FoundRace
		r.First.Pos, r.Second.Pos = line, line
		return r
	}
	raced, violated := explore.Frontier{Part: "1/2", Begun: true}, explore.Frontier{Part: "2/2", Begun: true}
	raced.Report.Witness, raced.Report.Raced, raced.Report.Races = "A1", 2, []explore.FoundRace{race("a.go:1")}
	violated.Report.Witness, violated.Report.Violations = "A1 B1 A2", 1
	violated.Report.Raced, violated.Report.Races = 1, []explore.FoundRace{race("a.go:1"), race("a.go:2")}
	m, err := explore.Merge([]explore.Frontier{raced, violated})
	if err != nil {
		t.Fatal(err)
	}
	if m.Report.Witness != "A1 B1 A2" || m.Report.Raced != 3 || len(m.Report.Races) != 2 {
		t.Errorf("%+v", m.Report)
	}
}
