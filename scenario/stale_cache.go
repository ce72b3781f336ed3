package scenario

import (
	"context"
	"errors"
	"fmt"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/mem"
)

var staleCache = racelab.Scenario{
	Name:    "stale-cache",
	Summary: "a cache is filled with what the database no longer has",
	Story: `A process keeps a price beside the database that has it. Who reads looks into the
cache first, and after a miss fills it from the database; who writes updates the
database and empties the cache. Both are right, and in this order: database first,
then the cache. Yet a reader may have read the old price before the write, and fill
it in after the cache was emptied. Nobody will empty it again. The old price stays
until somebody changes it the next time, for days, and the database, when it is
looked at, is right. It is the race behind many a "clear the cache and try again".`,
	Reading: []string{
		"R. Nishtala et al., Scaling Memcache at Facebook, 2013, 3.2.1: leases, against stale sets",
		"M. Herlihy and N. Shavit, The Art of Multiprocessor Programming, 2012, 5.8: compare and swap",
	},
	Setup: func(d racelab.Dialect) []string {
		return []string{
			"CREATE TABLE product (id INTEGER PRIMARY KEY, " + d.Int32("price") + " NOT NULL)",
			"INSERT INTO product (id, price) VALUES (1, 100)",
		}
	},
	State: []string{"product"},
	Cast: []racelab.Role{
		{Name: "reader", Calls: []racelab.Args{nil}},
		{Name: "writer", Calls: []racelab.Args{{"price": int64(120)}}},
	},
	Invariants: []racelab.Invariant{{Name: "the cache has nothing, or what the database has", Measure: cacheIsFresh}},
	Strategies: []racelab.Strategy{
		{
			Name:    "fill-after-miss",
			Summary: "fill the cache after a miss, empty it after a write",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "lost-update"}},
			Fix:     []string{"compare-and-swap"},
			Process: newPriceCache,
			Body:    cached(cacheFill, cacheInvalidate),
		},
		{
			Name:    "write-through",
			Summary: "the writer puts the new price into the cache: still filled over",
			Expect:  []racelab.Expect{{Result: racelab.CellViolated, Anomaly: "lost-update"}},
			Fix:     []string{"compare-and-swap"},
			Process: newPriceCache,
			Body:    cached(cacheFill, cacheWriteThrough),
		},
		{
			Name:    "locked",
			Summary: "a mutex around reading and filling, and around writing and emptying",
			Expect:  []racelab.Expect{{Result: racelab.CellHolds}}, // in one process
			Process: newPriceCache,
			Body:    cached(cacheFillLocked, cacheInvalidateLocked),
		},
		{
			Name:    "compare-and-swap",
			Summary: "fill the cache only if nobody has written to it since the miss",
			Expect:  []racelab.Expect{{Result: racelab.CellHolds}}, // in one process
			Process: newPriceCache,
			Body:    cached(cacheCompareAndSwap, cacheWriteThroughLocked),
		},
	},
}

func cached(reader, writer racelab.Body) map[string]racelab.Body {
	return map[string]racelab.Body{"reader": reader, "writer": writer}
}

// A miss, a look into the database, and the answer is kept. Between the look and
// the keeping the writer may do all of its work, and then the answer is old when it
// is kept.
func cacheFill(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	c := env.Process.(*priceCache)
	if price := c.price.Load(); price > 0 {
		return price, nil
	}
	price, err := readPrice(ctx, env)
	if err != nil {
		return nil, err
	}
	c.price.Store(price)
	return price, nil
}

// The database first, then the cache: the other way round the next reader would
// fill in the old price again before the database has the new one.
func cacheInvalidate(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	if err := writePrice(ctx, env); err != nil {
		return nil, err
	}
	env.Process.(*priceCache).price.Store(0)
	return nil, nil
}

// Instead of emptying the cache the writer fills it. That saves the next reader a
// miss, and does not help: the slow reader's fill comes after this one, too, and
// replaces the new price by the old one.
func cacheWriteThrough(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	if err := writePrice(ctx, env); err != nil {
		return nil, err
	}
	env.Process.(*priceCache).price.Store(env.Args.Int("price"))
	return nil, nil
}

// Who has missed holds the mutex until the cache is filled, and the writer comes
// before or after that. All misses of the process now stand in a queue, each with a
// look into the database; and the mutex is this process's own: with --processes 2
// the other one has another cache, which nobody empties.
func cacheFillLocked(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	c := env.Process.(*priceCache)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return cacheFill(ctx, env)
}

// The writer takes the same mutex, from the database to the cache. Those who find
// a price there wait, too: a lock for reading would be enough for them.
func cacheInvalidateLocked(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	c := env.Process.(*priceCache)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return cacheInvalidate(ctx, env)
}

// The fill says what it has seen: nothing. If that is still so the price is kept;
// otherwise a writer was faster, what it has put there is newer, and the reader
// begins again. Readers take no lock. It relies on the cache's never being emptied:
// where it is, the empty place needs a version, or memcache's lease, so that the
// nothing before can be told from the nothing after.
func cacheCompareAndSwap(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	c := env.Process.(*priceCache)
	for {
		if price := c.price.Load(); price > 0 {
			return price, nil
		}
		price, err := readPrice(ctx, env)
		if err != nil {
			return nil, err
		}
		if c.price.CompareAndSwap(0, price) {
			return price, nil
		}
	}
}

// The writers have a mutex among themselves: two of them must not write to the
// database in one order and to the cache in the other one.
func cacheWriteThroughLocked(ctx context.Context, env *racelab.Env) (racelab.Value, error) {
	c := env.Process.(*priceCache)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return cacheWriteThrough(ctx, env)
}

func readPrice(ctx context.Context, env *racelab.Env) (price int64, err error) {
	err = env.DB.QueryRowContext(ctx, "SELECT price FROM product WHERE id = 1").Scan(&price)
	if err != nil {
		return 0, err
	}
	return price, env.Window(ctx)
}

func writePrice(ctx context.Context, env *racelab.Env) error {
	_, err := env.DB.ExecContext(ctx, "UPDATE product SET price = ? WHERE id = 1", env.Args.Int("price"))
	return err
}

type priceCache struct {
	price *mem.Atomic[int64] // 0 is none
	mutex *mem.Mutex
}

func newPriceCache(m *racelab.Memory) any {
	return &priceCache{mem.NewAtomic(m, "cached price", int64(0)), mem.NewMutex(m, "the cache's mutex")}
}

// cacheIsFresh compares what the caches of all processes have with the database.
func cacheIsFresh(s racelab.State) (expected, actual int64, err error) {
	product, ok := s.Table("product")
	if !ok || len(product.Rows) != 1 {
		return 0, 0, errors.New("the state holds no product")
	}
	if expected, err = product.Int(0, "price"); err != nil {
		return 0, 0, err
	}
	for process := 1; ; process++ {
		name := "cached price"
		if process > 1 {
			name = fmt.Sprintf("%s of process %d", name, process)
		}
		has, err := intIn(s, name)
		switch {
		case err != nil && process == 1:
			return 0, 0, err
		case err != nil:
			return expected, expected, nil
		case has > 0 && has != expected:
			return expected, has, nil
		}
	}
}
