package scenario

import (
	"context"
	"fmt"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

var lazyMap = racelab.Scenario{
	Name:    "lazy-map",
	Summary: "two requests find no entry in a map, and both compute it",
	Story: `A map as a cache: if the key is not in it, compute the value and put it there. Two
requests for the same key both find nothing and both compute. Where that is only
work, it is work at the worst moment: when the cache is empty and everybody comes.
Where the value is an object that others keep, a connection or a lock, there are two
of it. In Go a map adds its own comment: "fatal error: concurrent map writes", which
ends the program, when it happens to be noticed.`,
	Reading: []string{
		"The Go Blog, Go maps in action: concurrency",
		"golang.org/x/sync/singleflight: suppress duplicate calls",
		"A. Donovan and B. Kernighan, The Go Programming Language, 2015, 9.7: a concurrent non-blocking cache",
	},
	Cast: []racelab.Role{
		{Name: "reader", Calls: []racelab.Args{{"key": int64(0)}}},
		{Name: "reader", Calls: []racelab.Args{{"key": int64(0)}}},
		{Name: "reader", Calls: []racelab.Args{{"key": int64(1)}}},
	},
	Invariants: []racelab.Invariant{{Name: "each key was computed once", Measure: computedOnce}},
	Strategies: []racelab.Strategy{
		{
			Name:    "check-then-act",
			Summary: "look into the map; if the key is not there, compute and put it there",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "lost-update"}},
			Fix:     []string{"once-per-key"},
			Process: newLazyMap,
			Body:    reader(lazyCheckThenAct),
		},
		{
			Name:    "locked-accesses",
			Summary: "a mutex around the look and around the write, but not around both",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "lost-update"}},
			Fix:     []string{"once-per-key"},
			Process: newLazyMap,
			Body:    reader(lazyLockedAccesses),
		},
		{
			Name:    "locked",
			Summary: "a mutex around all of it, the computation too",
			Safe:    true,
			Process: newLazyMap,
			Body:    reader(lazyLocked),
		},
		{
			Name:    "once-per-key",
			Summary: "a mutex for the map, and a Once for each entry",
			Safe:    true,
			Process: newLazyMap,
			Body:    reader(lazyOncePerKey),
		},
	},
}

func reader(b racelab.Body) map[string]racelab.Body { return map[string]racelab.Body{"reader": b} }

// The talk's singleton once more, for each key of a map. Both look before either
// has written, both compute, and the second write replaces the first: who has got
// the first value keeps one that nobody else will ever see.
func lazyCheckThenAct(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	c, key := env.Process.(*lazyCache), env.Args.Int("key")
	value := c.entries[key].Load()
	if value == 0 {
		if err := env.Window(ctx); err != nil {
			return nil, err
		}
		value = compute(c, key)
		c.entries[key].Store(value)
	}
	return value, nil
}

// No access is without the mutex, so the map is never broken, and the race detector
// is content. The decision is as wrong as before: it is made from a look that was
// over when the mutex was given back. A sync.Map with Load and Store is the same.
func lazyLockedAccesses(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	c, key := env.Process.(*lazyCache), env.Args.Int("key")
	c.mutex.Lock()
	value := c.entries[key].Load()
	c.mutex.Unlock()
	if value == 0 {
		if err := env.Window(ctx); err != nil {
			return nil, err
		}
		value = compute(c, key)
		c.mutex.Lock()
		c.entries[key].Store(value)
		c.mutex.Unlock()
	}
	return value, nil
}

// Right, and slow where the computation is: everybody waits for it, also those
// who want a key that is there already.
func lazyLocked(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	c, key := env.Process.(*lazyCache), env.Args.Int("key")
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.entries[key].Load() == 0 {
		c.entries[key].Store(compute(c, key))
	}
	return c.entries[key].Load(), nil
}

// The mutex is for the map and is held as long as it takes to find the entry. The
// entry has a Once: who comes first computes, who wants the same key waits for it,
// and who wants another one does not. It is what singleflight does.
func lazyOncePerKey(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	c, key := env.Process.(*lazyCache), env.Args.Int("key")
	c.mutex.Lock()
	entry, once := c.entries[key], c.onces[key]
	c.mutex.Unlock()
	once.Do(func() { entry.Store(compute(c, key)) })
	return entry.Load(), nil
}

// compute makes a key's value, another one each time.
func compute(c *lazyCache, key int64) int64 { return 10*(key+1) + mem.Add(c.computed[key], 1) }

// A lazyCache is a map with place for two keys, each of which is a variable: those
// who write different keys do not meet here, as they would in a Go map.
type lazyCache struct {
	entries  [2]*mem.Var[int64] // 0 is not there
	onces    [2]*mem.Once
	computed [2]*mem.Atomic[int64] // how many times
	mutex    *mem.Mutex
}

func newLazyMap(m *racelab.Memory) any {
	c := &lazyCache{mutex: mem.NewMutex(m, "the mutex")}
	for i := range c.entries {
		key := fmt.Sprint("key ", i+1)
		c.entries[i], c.onces[i] = mem.NewVar(m, key, int64(0)), mem.NewOnce(m, key+"'s computation")
		c.computed[i] = mem.NewAtomic(m, key+" computed", int64(0))
	}
	return c
}

// computedOnce counts the computations that were not the first of their key.
func computedOnce(s racelab.State) (expected, actual int64, err error) {
	for _, name := range []string{"key 1 computed", "key 2 computed"} {
		n, err := intIn(s, name)
		if err != nil {
			return 0, 0, err
		}
		actual += max(n-1, 0)
	}
	return 0, actual, nil
}
