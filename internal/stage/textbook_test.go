package stage_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/memory"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/mem"
	"github.com/racelab/racelab/scenario"
)

// A textbook program is one over shared memory whose answer is known. It makes
// what its sessions share, and gives what they do: A, B, ..., each its calls.
type textbook func(m *racelab.Memory) [][]call

type call = func() racelab.Value

// once is sessions of one call each.
func once(calls ...call) (sessions [][]call) {
	for _, c := range calls {
		sessions = append(sessions, []call{c})
	}
	return sessions
}

func (p textbook) scenario() *racelab.Scenario {
	s := &racelab.Scenario{Name: "textbook", Strategies: []racelab.Strategy{{
		Name: "it", Body: map[string]racelab.Body{}, Process: func(m *racelab.Memory) any { return p(m) },
	}}}
	for i, calls := range p(nil) {
		role := racelab.Role{Name: string(racelab.Letter(i))}
		for n := range calls {
			role.Calls = append(role.Calls, racelab.Args{"call": int64(n)})
		}
		s.Cast = append(s.Cast, role)
		s.Strategies[0].Body[role.Name] = func(_ context.Context, env *racelab.Env) (racelab.Value, error) {
			return env.Process.([][]call)[i][env.Args.Int("call")](), nil
		}
	}
	return s
}

func (p textbook) selection(t *testing.T) (stage.Selection, racelab.Server) {
	t.Helper()
	server, err := memory.Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	s := p.scenario()
	sel, err := stage.Select(s, &s.Strategies[0], memory.Engine, "")
	if err != nil {
		t.Fatal(err)
	}
	return sel, server
}

func (p textbook) explore(t *testing.T) stage.Explored {
	t.Helper()
	sel, server := p.selection(t)
	x, err := sel.Explore(t.Context(), server, stage.Exploration{Reduced: true})
	if err != nil {
		t.Fatal(err)
	}
	if !x.Complete {
		t.Fatalf("not complete after %d schedules", x.Schedules)
	}
	return x
}

// Two sessions each store 1 in a variable of their own and read the other's.
// What is explored is sequentially consistent (L. Lamport, 1979), so one of
// them sees the other's store: both reading 0 is what the store buffers of a
// processor allow, and is not found. In Go plain variables that do this are a
// data race, and that is: with atomics Go promises what is explored.
func TestStoreBufferingIsSequentiallyConsistent(t *testing.T) {
	type cell interface {
		Load() int
		Store(int)
	}
	for name, c := range map[string]struct {
		cell  func(m *racelab.Memory, name string) cell
		raced bool
	}{
		"plain":  {func(m *racelab.Memory, name string) cell { return mem.NewVar(m, name, 0) }, true},
		"atomic": {func(m *racelab.Memory, name string) cell { return mem.NewAtomic(m, name, 0) }, false},
	} {
		x := textbook(func(m *racelab.Memory) [][]call {
			one, two := c.cell(m, "x"), c.cell(m, "y")
			return once(
				func() racelab.Value { one.Store(1); return two.Load() },
				func() racelab.Value { two.Store(1); return one.Load() },
			)
		}).explore(t)
		var got []string
		for _, o := range x.Outcomes {
			got = append(got, o.Results)
		}
		slices.Sort(got)
		want := []string{"A.1 ok (0), B.1 ok (1)", "A.1 ok (1), B.1 ok (0)", "A.1 ok (1), B.1 ok (1)"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: outcomes (-want +got):\n%s", name, diff)
		}
		if raced := x.Raced > 0; raced != c.raced {
			t.Errorf("%s: a data race is found: %v, want %v", name, raced, c.raced)
		}
	}
}

// exclusive are two sessions that add to a plain number between enter and
// leave: it is a lost update and a data race if both are in there.
func exclusive(build func(m *racelab.Memory) (enter, leave func(i int))) textbook {
	return func(m *racelab.Memory) (sessions [][]call) {
		n := mem.NewVar(m, "n", 0)
		enter, leave := build(m)
		for i := range 2 {
			sessions = append(sessions, once(func() racelab.Value {
				enter(i)
				n.Store(n.Load() + 1)
				leave(i)
				return nil
			})...)
		}
		return sessions
	}
}

// peterson is G. Peterson, Myths about the mutual exclusion problem, 1981. To
// yield first, and say only then that one wants to, is to let both in.
func peterson(broken bool) textbook {
	return exclusive(func(m *racelab.Memory) (enter, leave func(int)) {
		wants := [2]*mem.Atomic[bool]{mem.NewAtomic(m, "A wants", false), mem.NewAtomic(m, "B wants", false)}
		turn := mem.NewAtomic(m, "turn", 0)
		return func(i int) {
			if broken {
				turn.Store(1 - i)
				wants[i].Store(true)
			} else {
				wants[i].Store(true)
				turn.Store(1 - i)
			}
			for wants[1-i].Load() && turn.Load() == 1-i {
				mem.Gosched(m)
			}
		}, func(i int) { wants[i].Store(false) }
	})
}

// dekker is the first solution there was (E. W. Dijkstra, EWD 35, 1962). To look
// first, and say only then that one wants to, is to let both in.
func dekker(broken bool) textbook {
	return exclusive(func(m *racelab.Memory) (enter, leave func(int)) {
		wants := [2]*mem.Atomic[bool]{mem.NewAtomic(m, "A wants", false), mem.NewAtomic(m, "B wants", false)}
		turn := mem.NewAtomic(m, "turn", 0)
		return func(i int) {
			if !broken {
				wants[i].Store(true)
			}
			for wants[1-i].Load() {
				if turn.Load() != i {
					wants[i].Store(false)
					for turn.Load() != i {
						mem.Gosched(m)
					}
					wants[i].Store(true)
				}
				mem.Gosched(m)
			}
			wants[i].Store(true)
		}, func(i int) { turn.Store(1 - i); wants[i].Store(false) }
	})
}

// ticketLock is J. Mellor-Crummey and M. Scott, Algorithms for Scalable
// Synchronization, 1991, 2.2. A ticket that is read and counted up in two steps
// is given to two.
func ticketLock(broken bool) textbook {
	return exclusive(func(m *racelab.Memory) (enter, leave func(int)) {
		next, serves := mem.NewAtomic(m, "next", 0), mem.NewAtomic(m, "serves", 0)
		return func(int) {
			var mine int
			if broken {
				mine = next.Load()
				next.Store(mine + 1)
			} else {
				mine = mem.Add(next, 1) - 1
			}
			for serves.Load() < mine {
				mem.Gosched(m)
			}
		}, func(int) { mem.Add(serves, 1) }
	})
}

// readersWriters is P. Courtois, F. Heymans and D. Parnas, Concurrent Control
// with "Readers" and "Writers", 1971, problem 1. Readers that do not count
// themselves under a mutex let the writer in too early.
func readersWriters(broken bool) textbook {
	return func(m *racelab.Memory) [][]call {
		x, y := mem.NewVar(m, "x", 0), mem.NewVar(m, "y", 0)
		readers, mutex, room := mem.NewAtomic(m, "readers", 0), mem.NewMutex(m, "mutex"), mem.NewSemaphore(m, "room", 1)
		counted := func(do func()) {
			if !broken {
				mutex.Lock()
				defer mutex.Unlock()
			}
			do()
		}
		read := func() racelab.Value {
			counted(func() {
				n := readers.Load() + 1
				readers.Store(n)
				if n == 1 {
					room.Acquire(1)
				}
			})
			seen := fmt.Sprint(x.Load(), y.Load())
			counted(func() {
				n := readers.Load() - 1
				readers.Store(n)
				if n == 0 {
					room.Release(1)
				}
			})
			return seen
		}
		write := func() racelab.Value {
			room.Acquire(1)
			x.Store(1)
			y.Store(1)
			room.Release(1)
			return nil
		}
		return once(read, read, write)
	}
}

// A place is what the top of a stack is: a node, and how many have been there
// before, if they are counted.
type place struct{ node, tag int }

// stack is R. Treiber's, Systems Programming: Coping with Parallelism, 1986, of
// the nodes 1, 2 and 3, where B pops two and pushes the first of them again. To
// a compare and swap that does not count the top is the same then, though what
// is below it is not (M. Michael, ABA Prevention Using Single-Word
// Instructions, 2004).
func stack(tagged bool) textbook {
	return func(m *racelab.Memory) [][]call {
		top := mem.NewAtomic(m, "top", place{node: 1})
		below := [4]*mem.Atomic[int]{1: mem.NewAtomic(m, "below 1", 2), 2: mem.NewAtomic(m, "below 2", 3), 3: mem.NewAtomic(m, "below 3", 0)}
		after := func(is place, node int) place {
			if tagged {
				return place{node, is.tag + 1}
			}
			return place{node: node}
		}
		pop := func() int {
			for {
				is := top.Load()
				if is.node == 0 || top.CompareAndSwap(is, after(is, below[is.node].Load())) {
					return is.node
				}
			}
		}
		push := func(node int) {
			for {
				is := top.Load()
				below[node].Store(is.node)
				if top.CompareAndSwap(is, after(is, node)) {
					return
				}
			}
		}
		var first int
		return [][]call{
			{func() racelab.Value { return int64(pop()) }},
			{
				func() racelab.Value { first = pop(); return int64(first) },
				func() racelab.Value { return int64(pop()) },
				func() racelab.Value { push(first); return nil },
			},
		}
	}
}

// treiber is the same stack with nodes that are not used again. Without compare
// and swap a push is lost.
func treiber(broken bool) textbook {
	return func(m *racelab.Memory) [][]call {
		top := mem.NewAtomic(m, "top", 0)
		below := [3]*mem.Atomic[int]{1: mem.NewAtomic(m, "below 1", 0), 2: mem.NewAtomic(m, "below 2", 0)}
		swap := func(is, node int) bool {
			if broken {
				top.Store(node)
				return true
			}
			return top.CompareAndSwap(is, node)
		}
		push := func(node int) func() racelab.Value {
			return func() racelab.Value {
				for {
					is := top.Load()
					below[node].Store(is)
					if swap(is, node) {
						return nil
					}
				}
			}
		}
		return once(push(1), push(2), func() racelab.Value {
			for {
				is := top.Load()
				if is == 0 || swap(is, below[is].Load()) {
					return is
				}
			}
		})
	}
}

// boundedBuffer is C. A. R. Hoare, Monitors, 1974, with place for one item.
// With one condition for both, a signal may wake one who has nothing to do: the
// producer's wakes the consumer, whose own wakes the other consumer.
func boundedBuffer(broken bool) textbook {
	return func(m *racelab.Memory) [][]call {
		items, mutex := mem.NewVar(m, "items", 0), mem.NewMutex(m, "mutex")
		filled, emptied := mem.NewCond(m, "filled", mutex), mem.NewCond(m, "emptied", mutex)
		if broken {
			emptied = filled
		}
		put := func() {
			mutex.Lock()
			defer mutex.Unlock()
			for items.Load() == 1 {
				emptied.Wait()
			}
			items.Store(1)
			filled.Signal()
		}
		take := func() racelab.Value {
			mutex.Lock()
			defer mutex.Unlock()
			for items.Load() == 0 {
				filled.Wait()
			}
			items.Store(0)
			emptied.Signal()
			return nil
		}
		return once(take, take, func() racelab.Value { put(); put(); return nil })
	}
}

func TestTextbookProgramsComeToTheirKnownAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		program textbook
		want    racelab.CellResult
		anomaly string
	}{
		{"Peterson", peterson(false), racelab.CellHolds, ""},
		{"Peterson, the turn first", peterson(true), racelab.CellViolated, "lost-update"},
		{"Dekker", dekker(false), racelab.CellHolds, ""},
		{"Dekker, the look first", dekker(true), racelab.CellViolated, "lost-update"},
		{"ticket lock", ticketLock(false), racelab.CellHolds, ""},
		{"ticket lock, a ticket in two steps", ticketLock(true), racelab.CellViolated, "lost-update"},
		{"readers and writers", readersWriters(false), racelab.CellHolds, ""},
		{"readers and writers, counted without a mutex", readersWriters(true), racelab.CellViolated, ""},
		{"a stack whose nodes are used again", stack(false), racelab.CellViolated, ""},
		{"a stack whose nodes are used again, with a tag", stack(true), racelab.CellHolds, ""},
		{"Treiber's stack", treiber(false), racelab.CellHolds, ""},
		{"Treiber's stack, without compare and swap", treiber(true), racelab.CellViolated, "lost-update"},
		{"bounded buffer", boundedBuffer(false), racelab.CellHolds, ""},
		{"bounded buffer, one condition for both", boundedBuffer(true), racelab.CellDeadlock, "deadlock"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := c.program.explore(t)
			result, anomaly, why := x.CellResult(stage.Exploration{Reduced: true}, nil)
			t.Logf("%d schedules: %s %s: %s", x.Schedules, result, anomaly, why)
			if result != c.want || c.anomaly != "" && anomaly != c.anomaly {
				t.Errorf("%s %s, want %s %s: %s\n%s", result, anomaly, c.want, c.anomaly, why, x.Schedule)
			}
			if result == racelab.CellHolds && x.Raced > 0 {
				t.Errorf("a data race: %v", x.Races)
			}
		})
	}
}

// class is the Mazurkiewicz trace of a run, in a form that all runs of it have:
// for each value the accesses in their order, those between two writes sorted.
func class(h racelab.History) string {
	type object struct{ done, readers []string }
	objects := map[string]*object{}
	for _, e := range h.Events {
		if e.Kind != racelab.Left {
			continue
		}
		for _, touch := range e.Op.Touches {
			o := objects[touch.Object]
			if o == nil {
				o = &object{}
				objects[touch.Object] = o
			}
			if touch.Mode&racelab.Writes == 0 {
				o.readers = append(o.readers, e.Op.Name())
				continue
			}
			slices.Sort(o.readers)
			o.done, o.readers = append(append(o.done, o.readers...), "|"+e.Op.Name()+"|"), nil
		}
	}
	var all []string
	for name, o := range objects {
		slices.Sort(o.readers)
		all = append(all, name+": "+strings.Join(append(o.done, o.readers...), " "))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// classes explores a program and returns the classes of the schedules that were
// run, and how many those were, without the serial ones.
func (p textbook) classes(t *testing.T, reduced bool) (classes map[string]bool, runs int) {
	t.Helper()
	sel, server := p.selection(t)
	cell, err := sel.NewCell(t.Context(), server, stage.Controlled{})
	if err != nil {
		t.Fatal(err)
	}
	defer cell.Close()
	// Once something is found nobody hunts for it.
	sel.Scenario.Invariants = []racelab.Invariant{{Name: "something is wrong", Measure: func(racelab.State) (int64, int64, error) { return 0, 1, nil }}}
	search := sel.Search([]*stage.Cell{cell})
	search.Judge.InvariantsOnly = true
	if reduced {
		search.Relation = cell.Relation()
	}
	classes = map[string]bool{}
	search.Judged = func(h racelab.History) { classes[class(h)] = true }
	report, err := search.Run(t.Context())
	if err != nil || !report.Complete {
		t.Fatalf("complete %v after %d schedules: %v", report.Complete, report.Schedules, err)
	}
	return classes, report.Schedules - report.Serial
}

// fileSystem is C. Flanagan and P. Godefroid, Dynamic Partial-Order Reduction
// for Model Checking Software, 2005, figure 3: so many sessions each look for a
// free one of so many blocks.
func fileSystem(sessions, blocks int) textbook {
	return func(m *racelab.Memory) (all [][]call) {
		lock, busy := make([]*mem.Mutex, blocks), make([]*mem.Var[bool], blocks)
		for i := range blocks {
			lock[i], busy[i] = mem.NewMutex(m, fmt.Sprint("lock of block ", i)), mem.NewVar(m, fmt.Sprint("block ", i), false)
		}
		for i := range sessions {
			inodes, inode := mem.NewMutex(m, fmt.Sprint("lock of inode ", i)), mem.NewVar(m, fmt.Sprint("inode ", i), 0)
			all = append(all, once(func() racelab.Value {
				inodes.Lock()
				defer inodes.Unlock()
				if inode.Load() != 0 {
					return nil
				}
				for b := i * 2 % blocks; ; b = (b + 1) % blocks {
					lock[b].Lock()
					if !busy[b].Load() {
						busy[b].Store(true)
						inode.Store(b + 1)
						lock[b].Unlock()
						return nil
					}
					lock[b].Unlock()
				}
			})...)
		}
		return all
	}
}

// indexer is the same paper's figure 1: so many sessions each put messages into
// a hash table of that size, by compare and swap.
func indexer(sessions, messages, size int) textbook {
	return func(m *racelab.Memory) (all [][]call) {
		table := make([]*mem.Atomic[int], size)
		for i := range table {
			table[i] = mem.NewAtomic(m, fmt.Sprint("table ", i), 0)
		}
		for i := range sessions {
			all = append(all, once(func() racelab.Value {
				for n := range messages {
					w := (n+1)*11 + i
					for h := w * 7 % size; !table[h].CompareAndSwap(0, w); h = (h + 1) % size {
					}
				}
				return nil
			})...)
		}
		return all
	}
}

// lastZero is P. Abdulla et al., Optimal Dynamic Partial Order Reduction, 2014:
// n sessions each make a place one more than the one before it, and one looks for
// the last place that is 0.
func lastZero(n int) textbook {
	return func(m *racelab.Memory) (all [][]call) {
		places := make([]*mem.Var[int], n+1)
		for i := range places {
			places[i] = mem.NewVar(m, fmt.Sprint("place ", i), 0)
		}
		all = append(all, once(func() racelab.Value {
			i := n
			for places[i].Load() != 0 {
				i--
			}
			return i
		})...)
		for i := 1; i <= n; i++ {
			all = append(all, once(func() racelab.Value { places[i].Store(places[i-1].Load() + 1); return nil })...)
		}
		return all
	}
}

// The reduced search runs a schedule of each class, and few of them twice. Where
// there are not too many schedules the classes are counted by running them all;
// where papers say how many there are, that is held against the count.
func TestEachClassOfTheClassicsIsRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		program textbook
		known   int  // classes; 0 is not known
		brute   bool // few enough to run all
	}{
		{"file system, 3 sessions that do not meet", fileSystem(3, 26), 1, false},
		{"file system, 2 sessions, 2 blocks", fileSystem(2, 2), 0, true},
		{"file system, 3 sessions, 4 blocks", fileSystem(3, 4), 0, false},
		{"file system, 6 sessions, 10 blocks", fileSystem(6, 10), 2, false},
		{"indexer, 3 sessions that do not meet", indexer(3, 4, 128), 1, false},
		{"indexer, 2 sessions, 2 messages, 4 places", indexer(2, 2, 4), 0, true},
		{"last zero 2", lastZero(2), 5, true},
		{"last zero 3", lastZero(3), 12, true},
		{"last zero 4", lastZero(4), 28, false},
		{"last zero 5", lastZero(5), 64, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, runs := c.program.classes(t, true)
			t.Logf("%d classes in %d runs beside the serial ones", len(got), runs)
			if c.known != 0 && len(got) != c.known {
				t.Errorf("%d classes, want %d", len(got), c.known)
			}
			if runs > 2*len(got) {
				t.Errorf("%d runs for %d classes, want twice as many at most", runs, len(got))
			}
			if !c.brute {
				return
			}
			want, all := c.program.classes(t, false)
			t.Logf("%d classes in %d schedules", len(want), all)
			for trace := range want {
				if !got[trace] {
					t.Errorf("no run of\n%s", trace)
				}
			}
			for trace := range got {
				if !want[trace] {
					t.Errorf("brute force has no run of\n%s", trace)
				}
			}
		})
	}
}

// What is small enough to run all of is run both ways.
func TestReducedFindsWhatBruteForceFindsInTheExhibitsOfMemory(t *testing.T) {
	t.Parallel()
	server, err := memory.Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	compared := 0
	for _, row := range rowsOf(scenario.All...) {
		if !row.Scenario.Fits(memory.Engine) {
			continue
		}
		sel, err := stage.Select(row.Scenario, row.Strategy, memory.Engine, "")
		if err != nil {
			t.Fatal(err)
		}
		var outcomes [2][]string
		var x stage.Explored
		for i := range outcomes {
			if x, err = sel.Explore(t.Context(), server, stage.Exploration{Reduced: i == 1, Budget: 3000}); err != nil {
				t.Fatal(err)
			}
			if !x.Complete {
				break
			}
			for _, o := range x.Outcomes {
				outcomes[i] = append(outcomes[i], fmt.Sprint(o.Results, " | ", o.State, " ", o.Serial, o.Broken))
			}
			outcomes[i] = append(outcomes[i], fmt.Sprint("a data race: ", x.Raced > 0))
			slices.Sort(outcomes[i])
		}
		if !x.Complete {
			continue
		}
		compared++
		if diff := cmp.Diff(outcomes[0], outcomes[1]); diff != "" {
			t.Errorf("%s (-all +reduced):\n%s", sel.Name(), diff)
		}
	}
	t.Logf("compared %d strategies", compared)
	if compared < 30 {
		t.Errorf("only %d strategies were compared", compared)
	}
}
