package stage_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/mem"
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
	return selectedInMemory(t, p.scenario())
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
