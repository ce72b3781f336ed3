package stage_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/mem"
)

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
