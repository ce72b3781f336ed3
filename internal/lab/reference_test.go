package lab

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/engine/mysql"
	"github.com/racelab/racelab/engine/postgres"
	"github.com/racelab/racelab/internal/intake/sqlgate"
	"github.com/racelab/racelab/internal/load"
	"github.com/racelab/racelab/internal/stage"
)

// What the reference laboratory says of itself and is not so, on the engine it
// was written for. Each test also takes the cause away, and sees that the
// effect goes with it.

// openOn is open on another engine.
func openOn(t *testing.T, e racelab.Engine, with func(*Config)) *client {
	t.Helper()
	enginetest.Require(t, e)
	return open(t, func(c *Config) {
		c.Engine = e
		if with != nil {
			with(c)
		}
	})
}

// open, for statements of the test's own, the laboratory's database.
func (c *client) database() *sql.DB {
	c.t.Helper()
	i := sqlgate.New(c.lab.world, c.lab.config.Engine.Dialect, "test")
	db := i.DB(free{})
	c.t.Cleanup(func() {
		db.Close()
		i.Close()
	})
	return db
}

// free is a gate that is always open.
type free struct{}

func (free) Enter(_ context.Context, op racelab.Op) (racelab.Op, error) { return op, nil }

func (free) Leave(context.Context, racelab.Op, racelab.Result) error { return nil }

func (c *client) exec(text string) {
	c.t.Helper()
	if _, err := c.database().ExecContext(c.t.Context(), text); err != nil {
		c.t.Fatalf("%s: %v", text, err)
	}
}

// hit sends n deposits of amount to an endpoint's path and judges them.
func (c *client) hit(path string, n, concurrency int, amount int64) load.Report {
	c.t.Helper()
	target := c.url + path
	u, err := url.Parse(target)
	if err != nil {
		c.t.Fatal(err)
	}
	client := load.NewLab(u, false)
	defer client.Close()
	r, err := load.Hit{
		Plan: load.Plan{
			URL: target, N: n, Concurrency: concurrency, Prefix: load.NewPrefix(), Timeout: 5 * time.Minute,
			Fields: url.Values{"account": {"1"}, "amount": {strconv.FormatInt(amount, 10)}},
		},
		Lab: client, MustLab: true, Account: 1, Amount: amount, Settle: 5 * time.Minute,
	}.Do(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	if r.Lost == nil {
		c.t.Fatalf("%s cannot be judged: %v", path, *r.Reason)
	}
	return r
}

// "All transactions would still be recorded": the ledger row's foreign key
// takes a shared lock on the account, two of them deadlock at the update, and
// one is rolled back: 500, and no row.
func TestLedgerForeignKeyDeadlocks(t *testing.T) {
	c := openOn(t, mysql.Engine, func(c *Config) { c.Workers = 2 })
	rounds := 0
	deadlocked := func() bool {
		rounds++
		c.reset()
		r := c.hit(demoPath+"atomic_no_delay/", 2, 2, 100)
		if n := r.Failed[string(racelab.Deadlock)]; n != r.Statuses[500] {
			t.Fatalf("statuses %v, failures %v", r.Statuses, r.Failed)
		}
		if r.Failed[string(racelab.Deadlock)] == 0 {
			return false
		}
		if r.Statuses[500] != 1 || r.Statuses[200] != 1 || *r.Recorded != 1 {
			t.Errorf("statuses %v and %d rows, want one 500 and no row for it", r.Statuses, *r.Recorded)
		}
		return true
	}
	until(t, "two deposits deadlock", deadlocked)
	t.Logf("the deadlock came in round %d", rounds)

	c.exec("ALTER TABLE ledger DROP FOREIGN KEY ledger_ibfk_1")
	c.reset()
	r := c.hit(demoPath+"atomic_no_delay/", max(200, 4*rounds), 2, 100)
	if len(r.Failed) > 0 || *r.Recorded != r.Requests {
		t.Errorf("without the foreign key: failures %v, %d rows of %d", r.Failed, *r.Recorded, r.Requests)
	}
}

// "Atomic and non-atomic are effectively the same": when the balance leaves
// its range, the non-atomic deposit has written its ledger row already.
func TestOverflow(t *testing.T) {
	c := openOn(t, mysql.Engine, nil)
	for _, test := range []struct {
		endpoint string
		balance  int
		status   int
		rows     int
	}{
		{"non_atomic_no_delay", 2147483600, 500, 1},
		{"atomic_no_delay", 2147483600, 500, 0},
		{"non_atomic_no_delay", 2147483500, 200, 1},
		{"atomic_no_delay", 2147483500, 200, 1},
	} {
		t.Run(fmt.Sprint(test.endpoint, " at ", test.balance), func(t *testing.T) {
			c.reset()
			c.exec(fmt.Sprintf("UPDATE account SET balance = %d", test.balance))
			if r := c.pay(demoPath+test.endpoint+"/", "account=1&amount=100"); r.status != test.status {
				t.Errorf("status %d, want %d", r.status, test.status)
			}
			if a := c.account(); a.Rows != test.rows {
				t.Errorf("%d ledger rows, want %d", a.Rows, test.rows)
			}
		})
	}
}

// "With row locking, race conditions are impossible": only if every writer
// locks. One that does not has read before, and overwrites afterwards.
func TestRowLockNeedsEveryWriter(t *testing.T) {
	c := openOn(t, mysql.Engine, func(c *Config) { c.Workers = 2 })
	for _, test := range []struct {
		second  string
		reads   racelab.EventKind // of the second deposit's SELECT, which must come in the first one's window
		balance int64
	}{
		{demoPath + "non_atomic_no_delay/", racelab.Left, 7},
		{depositPath + "for-update", racelab.Entered, 107},
	} {
		t.Run(test.second, func(t *testing.T) {
			window := 250 * time.Millisecond
			until(t, "the second deposit reads in the first one's window", func() bool {
				window *= 2
				c.reset()
				c.lab.setWindow(stage.Span{Min: window, Max: window})
				first := c.paying(demoPath+"row_locking_atomic_long_delay/", "account=1&amount=100", requestHeader, "first")
				c.inWindow("first")
				r := c.pay(test.second, "account=1&amount=7&window=0", requestHeader, "second")
				if f := <-first; f.status != 200 || r.status != 200 {
					t.Fatalf("statuses %d and %d", f.status, r.status)
				}
				events := c.history(url.Values{"request": {"first", "second"}}).Events
				ends := slices.IndexFunc(events, func(e racelab.Event) bool { return e.Kind == racelab.Left && e.Op.Kind == racelab.Window })
				comes := slices.IndexFunc(events, func(e racelab.Event) bool {
					return e.Op.Session != events[ends].Op.Session && e.Kind == test.reads && strings.HasPrefix(e.Op.Text, "SELECT")
				})
				return comes >= 0 && comes < ends
			})
			a := c.account()
			if a.Ledger != 107 || a.Balance != test.balance {
				t.Errorf("balance %d and ledger %d, want %d and 107", a.Balance, a.Ledger, test.balance)
			}
		})
	}
}

// "Locking blocks even read-only endpoints": a plain SELECT does not ask for
// the lock. One that does ask has to wait.
func TestPlainSelectNotBlocked(t *testing.T) {
	c := openOn(t, mysql.Engine, func(c *Config) { c.Window = never })
	c.paying(demoPath+"row_locking_atomic_long_delay/", "account=1&amount=100", requestHeader, "locks")
	c.inWindow("locks")

	var balance int
	if err := c.database().QueryRowContext(t.Context(), "SELECT balance FROM account WHERE id = 1").Scan(&balance); err != nil {
		t.Fatal(err)
	}
	if s := c.settings(); s.InFlight != 1 {
		t.Errorf("%d requests in flight: the lock was free when the plain SELECT came back", s.InFlight)
	}

	locking, err := c.lab.world.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer locking.Close()
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error, 1)
	go func() {
		_, _, err := enginetest.Text(ctx, locking, "SELECT balance FROM account WHERE id = 1 FOR UPDATE")
		waited <- err
	}()
	until(t, "the SELECT ... FOR UPDATE waits", func() bool {
		blocked, err := c.lab.world.Blocked(t.Context(), []racelab.ConnID{locking.ID()})
		if err != nil {
			t.Fatal(err)
		}
		return len(blocked) == 1
	})
	cancel()
	<-waited
}

// A statement waits for SQLite's write lock for as long as its worker lives, as
// one waits for a row lock elsewhere, and not until SQLite's own limit.
func TestSQLiteWaitsAsLongAsTheWorkerLives(t *testing.T) {
	c := open(t, nil)
	lock, err := c.lab.world.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	text := func(text string) {
		t.Helper()
		if _, _, err := enginetest.Text(t.Context(), lock, text); err != nil {
			t.Fatal(err)
		}
	}
	text("BEGIN IMMEDIATE")
	answer := c.paying(demoPath+"row_locking_atomic_long_delay/", "account=1&amount=5")
	select {
	case r := <-answer:
		t.Fatalf("%d %s", r.status, r.body)
	case <-time.After(stage.BusyLimit + time.Second):
	}
	text("COMMIT")
	if r := <-answer; r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// A worker is killed while its INSERT waits for the row that its foreign key
// refers to, which somebody else has locked. The server would let it go on
// afterwards; but nothing is in flight then.
func TestNothingOfAKilledWorkerRunsLater(t *testing.T) {
	for _, e := range []racelab.Engine{postgres.Engine, mysql.Engine} {
		t.Run(e.Name, func(t *testing.T) {
			c := openOn(t, e, func(c *Config) { c.WorkerTimeout = 3 * time.Second })
			lock, err := c.database().BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer lock.Rollback()
			var balance int
			if err := lock.QueryRowContext(t.Context(), "SELECT balance FROM account WHERE id = 1 FOR UPDATE").Scan(&balance); err != nil {
				t.Fatal(err)
			}
			if r := c.pay(demoPath+"non_atomic_no_delay/", "account=1&amount=5", requestHeader, "killed"); r.status != 502 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			if s := c.settings(); s.InFlight != 0 {
				t.Errorf("%d in flight", s.InFlight)
			}
			events := c.history(url.Values{"request": {"killed"}}).Events
			if last := events[len(events)-1]; !strings.HasPrefix(last.Op.Text, "INSERT") {
				t.Fatalf("the worker was killed at %+v: this test tests nothing", last)
			}
			if err := lock.Rollback(); err != nil {
				t.Fatal(err)
			}
			c.exec("ALTER TABLE ledger ADD COLUMN more integer") // waits for whoever writes there
			if a := c.account(); a.Rows != 0 || a.Balance != 0 {
				t.Errorf("the account is %+v", a)
			}
		})
	}
}
