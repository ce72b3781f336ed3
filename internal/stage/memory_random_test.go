package stage_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/memory"
	"github.com/racelab/racelab/internal/check"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/mem"
)

// sharedThings are one of each of what package mem has.
type sharedThings struct {
	memory    *racelab.Memory
	plain     *mem.Var[int]
	atomic    *mem.Atomic[int]
	mutex     *mem.Mutex
	rw        *mem.RWMutex
	reentrant *mem.ReentrantMutex
	semaphore *mem.Semaphore
	event     *mem.Event
	cond      *mem.Cond
	barrier   *mem.Barrier
	once      *mem.Once
	group     *mem.WaitGroup
	meet      *mem.Chan[int] // without a buffer
	other     *mem.Chan[int] // the same
	box       *mem.Chan[int] // with a buffer of one
	out       *mem.Output
}

func newSharedThings(m *racelab.Memory) any {
	t := &sharedThings{
		memory: m,
		plain:  mem.NewVar(m, "plain", 0), atomic: mem.NewAtomic(m, "atomic", 0),
		mutex: mem.NewMutex(m, "mutex"), rw: mem.NewRWMutex(m, "rw"), reentrant: mem.NewReentrantMutex(m, "reentrant"),
		semaphore: mem.NewSemaphore(m, "semaphore", 2), event: mem.NewEvent(m, "event"), barrier: mem.NewBarrier(m, "barrier", 2),
		once: mem.NewOnce(m, "once"), group: mem.NewWaitGroup(m, "group"),
		meet: mem.NewChan[int](m, "meet", 0), other: mem.NewChan[int](m, "other", 0), box: mem.NewChan[int](m, "box", 1), out: mem.NewOutput(m, "out"),
	}
	t.cond = mem.NewCond(m, "cond", t.mutex)
	return t
}

// A sharedOp does something with the things and says what it saw. Who it is
// tells one session's values from another's.
type sharedOp func(t *sharedThings, who int) any

var sharedOps = map[string]sharedOp{
	"load":      func(t *sharedThings, _ int) any { return t.plain.Load() },
	"store":     func(t *sharedThings, who int) any { t.plain.Store(who); return nil },
	"increment": func(t *sharedThings, _ int) any { t.plain.Store(t.plain.Load() + 1); return nil },

	"atomic load":  func(t *sharedThings, _ int) any { return t.atomic.Load() },
	"atomic store": func(t *sharedThings, who int) any { t.atomic.Store(who); return nil },
	"swap":         func(t *sharedThings, who int) any { return t.atomic.Swap(who) },
	"compare":      func(t *sharedThings, who int) any { return t.atomic.CompareAndSwap(0, who) },
	"add":          func(t *sharedThings, _ int) any { return mem.Add(t.atomic, 1) },

	"lock":     func(t *sharedThings, _ int) any { t.mutex.Lock(); return nil },
	"try lock": func(t *sharedThings, _ int) any { return t.mutex.TryLock() },
	"unlock":   func(t *sharedThings, _ int) any { t.mutex.Unlock(); return nil },

	"rw lock":     func(t *sharedThings, _ int) any { t.rw.Lock(); return nil },
	"rw try":      func(t *sharedThings, _ int) any { return t.rw.TryLock() },
	"rw unlock":   func(t *sharedThings, _ int) any { t.rw.Unlock(); return nil },
	"read lock":   func(t *sharedThings, _ int) any { t.rw.RLock(); return nil },
	"read try":    func(t *sharedThings, _ int) any { return t.rw.TryRLock() },
	"read unlock": func(t *sharedThings, _ int) any { t.rw.RUnlock(); return nil },

	"reentrant lock":   func(t *sharedThings, who int) any { t.reentrant.Lock(who); return nil },
	"reentrant try":    func(t *sharedThings, who int) any { return t.reentrant.TryLock(who) },
	"reentrant unlock": func(t *sharedThings, who int) any { t.reentrant.Unlock(who); return nil },

	"acquire":     func(t *sharedThings, _ int) any { t.semaphore.Acquire(1); return nil },
	"acquire 2":   func(t *sharedThings, _ int) any { t.semaphore.Acquire(2); return nil },
	"try acquire": func(t *sharedThings, _ int) any { return t.semaphore.TryAcquire(1) },
	"release":     func(t *sharedThings, _ int) any { t.semaphore.Release(1); return nil },

	"set":    func(t *sharedThings, _ int) any { t.event.Set(); return nil },
	"clear":  func(t *sharedThings, _ int) any { t.event.Clear(); return nil },
	"await":  func(t *sharedThings, _ int) any { t.event.Wait(); return nil },
	"is set": func(t *sharedThings, _ int) any { return t.event.IsSet() },

	"cond wait": func(t *sharedThings, _ int) any { t.cond.Wait(); return nil },
	"signal":    func(t *sharedThings, _ int) any { t.cond.Signal(); return nil },
	"broadcast": func(t *sharedThings, _ int) any { t.cond.Broadcast(); return nil },

	"barrier": func(t *sharedThings, _ int) any { return t.barrier.Wait() },
	"once":    func(t *sharedThings, who int) any { t.once.Do(func() { t.plain.Store(who) }); return nil },

	"group add":  func(t *sharedThings, _ int) any { t.group.Add(1); return nil },
	"group done": func(t *sharedThings, _ int) any { t.group.Done(); return nil },
	"group wait": func(t *sharedThings, _ int) any { t.group.Wait(); return nil },
	"group go":   func(t *sharedThings, who int) any { t.group.Go(func() { t.atomic.Store(10 * who) }); return nil },
	"go":         func(t *sharedThings, who int) any { mem.Go(t.memory, func() { t.plain.Store(10 * who) }); return nil },

	"send":        func(t *sharedThings, who int) any { t.meet.Send(who); return nil },
	"try send":    func(t *sharedThings, who int) any { return t.meet.TrySend(who) },
	"receive":     func(t *sharedThings, _ int) any { return fmt.Sprint(t.meet.Recv()) },
	"try receive": func(t *sharedThings, _ int) any { return fmt.Sprint(t.meet.TryRecv()) },
	"close":       func(t *sharedThings, _ int) any { t.meet.Close(); return nil },
	"put":         func(t *sharedThings, who int) any { t.box.Send(who); return nil },
	"try put":     func(t *sharedThings, who int) any { return t.box.TrySend(who) },
	"take":        func(t *sharedThings, _ int) any { return fmt.Sprint(t.box.Recv()) },
	"try take":    func(t *sharedThings, _ int) any { return fmt.Sprint(t.box.TryRecv()) },
	"close box":   func(t *sharedThings, _ int) any { t.box.Close(); return nil },
	"length":      func(t *sharedThings, _ int) any { return t.box.Len() },
	"select receives": func(t *sharedThings, _ int) any {
		var v int
		var open bool
		i := mem.Select(t.memory, t.meet.Receiving(&v, &open), t.box.Receiving(&v, &open))
		return fmt.Sprint(i, v, open)
	},
	"select either": func(t *sharedThings, who int) any {
		var v int
		i := mem.Select(t.memory, t.box.Sending(who), t.meet.Receiving(&v, nil))
		return fmt.Sprint(i, v)
	},
	"try send other": func(t *sharedThings, who int) any { return t.other.TrySend(who) },
	"select both": func(t *sharedThings, _ int) any {
		return mem.Select(t.memory, t.meet.Receiving(nil, nil), t.other.Receiving(nil, nil))
	},
	"select sends": func(t *sharedThings, who int) any {
		return mem.Select(t.memory, t.meet.Sending(who), t.box.Sending(who))
	},
	"try select": func(t *sharedThings, who int) any {
		var v int
		i := mem.TrySelect(t.memory, t.meet.Receiving(&v, nil), t.box.Receiving(&v, nil), t.meet.Sending(who))
		return fmt.Sprint(i, v)
	},

	"print": func(t *sharedThings, who int) any { t.out.Print(fmt.Sprint(who), "."); return nil },
	"read":  func(t *sharedThings, _ int) any { return t.out.String() },
	"sleep": func(t *sharedThings, who int) any {
		mem.Sleep(t.memory, time.Duration(who)*time.Millisecond)
		return nil
	},
	"yield": func(t *sharedThings, _ int) any { mem.Gosched(t.memory); return nil },
}

// sharedHabits are what programs do, beside any single thing.
var sharedHabits = [][]string{
	{"lock", "increment", "unlock"}, {"lock", "cond wait", "unlock"}, {"lock", "signal", "unlock"}, {"lock", "broadcast", "unlock"},
	{"rw lock", "store", "rw unlock"}, {"read lock", "load", "read unlock"}, {"read lock", "read lock"}, {"read lock", "read unlock"},
	{"reentrant lock", "reentrant lock", "reentrant unlock", "reentrant unlock"}, {"acquire", "release"}, {"acquire 2", "increment", "release", "release"},
	{"group add", "group wait"}, {"group go", "group wait"}, {"put", "take"}, {"store", "set"}, {"await", "load"}, {"store", "send"}, {"receive", "load"},
}

// sharedFamilies are operations that have to do with each other.
var sharedFamilies = [][]string{
	{"load", "store", "increment", "atomic load", "atomic store", "swap", "compare", "add", "yield"},
	{"lock", "try lock", "unlock", "cond wait", "signal", "broadcast", "increment"},
	{"rw lock", "rw try", "rw unlock", "read lock", "read try", "read unlock", "load", "store"},
	{"reentrant lock", "reentrant try", "reentrant unlock", "acquire", "acquire 2", "try acquire", "release", "load", "store"},
	{"set", "clear", "await", "is set", "barrier", "once", "load", "store"},
	{"group add", "group done", "group wait", "group go", "go", "atomic load"},
	{"send", "try send", "receive", "try receive", "close", "put", "try put", "take", "try take", "close box", "length"},
	{"send", "receive", "try send", "try receive", "put", "take", "try put", "try take", "select receives", "select either", "select sends", "try select", "close", "close box"},
	{"select both", "try send", "try send other", "send", "select either", "close"},
	{"print", "read", "store", "load"},
	{"sleep", "go", "set", "await", "load", "store", "atomic store", "compare"},
}

// A sharedProgram is what each session does.
type sharedProgram [][]string

func (p sharedProgram) String() string {
	var b strings.Builder
	for i, ops := range p {
		fmt.Fprintf(&b, "%s: %s\n", racelab.Letter(i), strings.Join(ops, "; "))
	}
	return b.String()
}

var sharedPrograms = rapid.Custom(func(t *rapid.T) sharedProgram {
	all := slices.Sorted(maps.Keys(sharedOps))
	family := rapid.SampledFrom(sharedFamilies).Draw(t, "family")
	p := make(sharedProgram, rapid.IntRange(2, 3).Draw(t, "sessions"))
	for i := range p {
		for n := rapid.IntRange(1, 8-2*len(p)).Draw(t, "operations"); len(p[i]) < n; {
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				p[i] = append(p[i], rapid.SampledFrom(all).Draw(t, "operation"))
			case 1:
				p[i] = append(p[i], rapid.SampledFrom(sharedHabits).Draw(t, "habit")...)
			default:
				p[i] = append(p[i], rapid.SampledFrom(family).Draw(t, "related"))
			}
		}
	}
	return p
})

// outcomesOf explores a program of which at most so many schedules are run, and
// returns the first schedule of each outcome and of each pair of lines that
// race, and how many schedules there were.
func outcomesOf(ctx context.Context, server racelab.Server, p sharedProgram, reduced bool, most int) (outcomes map[string]string, schedules int, complete bool, err error) {
	s := &racelab.Scenario{
		Name: "program", Strategies: []racelab.Strategy{{Name: "it", Body: map[string]racelab.Body{}, Process: newSharedThings}},
		// Once something is found nobody hunts for it.
		Invariants: []racelab.Invariant{{Name: "something is wrong", Measure: func(racelab.State) (int64, int64, error) { return 0, 1, nil }}},
	}
	for i, ops := range p {
		role := string(racelab.Letter(i))
		s.Cast = append(s.Cast, racelab.Role{Name: role, Calls: []racelab.Args{nil}})
		s.Strategies[0].Body[role] = func(_ context.Context, env *racelab.Env) (racelab.Value, error) {
			var seen []string
			for _, op := range ops {
				if v := sharedOps[op](env.Process.(*sharedThings), i+1); v != nil {
					seen = append(seen, fmt.Sprint(v))
				}
			}
			return strings.Join(seen, "; "), nil
		}
	}
	sel, err := stage.Select(s, &s.Strategies[0], memory.Engine, "")
	if err != nil {
		return nil, 0, false, err
	}
	cell, err := sel.NewCell(ctx, server, stage.Controlled{})
	if err != nil {
		return nil, 0, false, err
	}
	defer func() { err = errors.Join(err, cell.Close()) }()
	search := sel.Search([]*stage.Cell{cell})
	search.Judge.InvariantsOnly, search.Budget = true, most
	if reduced {
		search.Relation = cell.Relation()
	}
	outcomes = map[string]string{}
	search.Judged = func(h racelab.History) {
		o := check.OutcomeOf(h, s, nil)
		text := o.Results(nil) + " | " + o.State
		if _, known := outcomes[text]; !known {
			outcomes[text] = explore.ScheduleOf(h).String()
		}
	}
	report, err := search.Run(ctx)
	for _, r := range report.Races {
		outcomes[fmt.Sprint("race for ", r.Object, " at ", r.Lines())] = r.Schedule
	}
	return outcomes, report.Schedules, report.Complete, err
}

// compareShared compares what brute force and reduction find in a program of
// which at most so many schedules are run. complete is false if it has more.
func compareShared(ctx context.Context, t interface{ Fatalf(string, ...any) }, server racelab.Server, p sharedProgram, most int) (all, few int, complete bool) {
	want, all, complete, err := outcomesOf(ctx, server, p, false, most)
	if err != nil {
		t.Fatalf("%v\n%v", err, p)
	}
	if !complete {
		return all, 0, false
	}
	got, few, _, err := outcomesOf(ctx, server, p, true, 2*most)
	if err != nil {
		t.Fatalf("reduced: %v\n%v", err, p)
	}
	for outcome, schedule := range want {
		if _, found := got[outcome]; !found {
			t.Fatalf("missed: %s\n%s\n%v", schedule, outcome, p)
		}
	}
	for outcome, schedule := range got {
		if _, found := want[outcome]; !found {
			t.Fatalf("not there by brute force: %s\n%s\n%v", schedule, outcome, p)
		}
	}
	return all, few, true
}

// Each of these has lost an outcome to a rule that was not there yet.
func TestReducedMissesNothingOfWhatItOnceMissed(t *testing.T) {
	server, err := memory.Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for name, p := range map[string]sharedProgram{
		"a lock that is never had":               {{"try lock", "atomic store"}, {"lock", "compare", "unlock"}},
		"an unlock hides the lock before it":     {{"rw lock", "rw unlock"}, {"atomic load"}, {"atomic store", "read lock", "read lock"}},
		"a yield is let by anybody":              {{"atomic load", "load"}, {"increment"}, {"yield", "compare"}},
		"a yield is after another one's step":    {{"lock", "increment", "unlock"}, {"acquire", "yield", "store"}},
		"a reader's lock is given up by another": {{"read lock", "load", "read unlock"}, {"read unlock", "acquire", "read lock"}},
		"a select is taken from other channels":  {{"select both"}, {"store", "try send"}, {"load", "try send other"}},
		"an end of a group is one too many":      {{"group done", "group go", "group wait", "atomic load"}, {"group go"}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, complete := compareShared(t.Context(), t, server, p, 0); !complete {
				t.Error("not complete")
			}
		})
	}
}

// What operations say that they touch is what the reduction goes by. If they
// say too little it misses what brute force finds.
func TestReducedFindsWhatBruteForceFindsInSharedMemory(t *testing.T) {
	server, err := memory.Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	rounds, most := 2, 2_000
	if os.Getenv("RACELAB_SOAK") != "" {
		rounds, most = 200, 30_000
	}
	compared, large, all, few := 0, 0, 0, 0
	used := map[string]bool{}
	for range rounds {
		rapid.Check(t, func(rt *rapid.T) {
			p := sharedPrograms.Draw(rt, "program")
			n, m, complete := compareShared(t.Context(), rt, server, p, most)
			if !complete {
				large++
				return
			}
			compared, all, few = compared+1, all+n, few+m
			for _, op := range slices.Concat(p...) {
				used[op] = true
			}
		})
	}
	t.Logf("compared %d programs of %d kinds of operations: %d of %d schedules; %d more had too many", compared, len(used), few, all, large)
	if compared == 0 || large > compared {
		t.Errorf("%d programs were compared, and %d had too many schedules", compared, large)
	}
}
