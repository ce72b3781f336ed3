package lab

import (
	"fmt"
	"net/url"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/mysql"
	"github.com/racelab/racelab/engine/postgres"
	"github.com/racelab/racelab/internal/dsn"
	"github.com/racelab/racelab/internal/load"
	"github.com/racelab/racelab/internal/stage"
)

// "The no_delay endpoints generally don't show race conditions": under load
// they lose money too, with more than one worker.
func TestNoDelayLoses(t *testing.T) {
	c := openOn(t, mysql.Engine, func(c *Config) { c.Workers = 3 })
	r := c.hit(demoPath+"non_atomic_no_delay/", 5000, 32, 1)
	t.Logf("3 workers: %d of %d lost", *r.Lost, *r.Expected)
	if *r.Lost <= 0 || r.Verdict != load.Violated {
		t.Errorf("lost %d, verdict %s", *r.Lost, r.Verdict)
	}
	if r := c.do("POST", "/api/settings", "application/json", `{"workers": 1}`); r.status != 200 {
		t.Fatalf("set one worker: %d %s", r.status, r.body)
	}
	c.reset()
	if r := c.hit(demoPath+"non_atomic_no_delay/", 5000, 32, 1); *r.Lost != 0 {
		t.Errorf("one worker lost %d", *r.Lost)
	}
}

// soak makes a test's windows those of the reference, 3 to 10 seconds, if
// there is time for that; otherwise a tenth.
func soak() stage.Span {
	if os.Getenv("RACELAB_SOAK") != "" {
		return stage.Span{Min: 3 * time.Second, Max: 10 * time.Second}
	}
	return stage.Span{Min: 300 * time.Millisecond, Max: time.Second}
}

// The figures of the reference laboratory: ten deposits of 100 at once.
func TestFiguresOfTheReference(t *testing.T) {
	for _, test := range []struct {
		engine   string
		workers  int
		endpoint string
		low      int64 // of the final balance
		high     int64
	}{
		{"mysql", 3, "atomic_long_delay", 300, 500},
		{"mysql", 8, "atomic_long_delay", 100, 200},
		{"mysql", 1, "atomic_long_delay", 1000, 1000},
		{"mysql", 3, "row_locking_atomic_long_delay", 1000, 1000},
		{"postgres", 3, "atomic_long_delay", 300, 500},
		{"postgres", 3, "row_locking_atomic_long_delay", 1000, 1000},
		{"sqlite", 3, "non_atomic_long_delay", 300, 500},
	} {
		t.Run(fmt.Sprint(test.engine, " ", test.workers, " ", test.endpoint), func(t *testing.T) {
			e, err := dsn.Named(test.engine)
			if err != nil {
				t.Fatal(err)
			}
			c := openOn(t, e, func(c *Config) {
				c.Workers = test.workers
				c.Window = soak()
			})
			// A race is luck: by simulation one run in a thousand or fewer
			// lands outside, so two in a row are no accident.
			var r load.Report
			for range 2 {
				c.reset()
				r = c.hit(demoPath+test.endpoint+"/", 10, 10, 100)
				if *r.Actual >= test.low && *r.Actual <= test.high {
					break
				}
			}
			t.Logf("final %d, lost %d, %d rows, statuses %v", *r.Actual, *r.Lost, *r.Recorded, r.Statuses)
			if *r.Actual < test.low || *r.Actual > test.high {
				t.Errorf("final balance %d, want %d to %d", *r.Actual, test.low, test.high)
			}
			if *r.Unrecorded != 0 {
				t.Errorf("%d acknowledged deposits have no row", *r.Unrecorded)
			}
		})
	}
}

// On SQLite a transaction that read before another one committed cannot write:
// it answers an error and loses nothing.
func TestSQLiteAbortsInsteadOfLosing(t *testing.T) {
	c := open(t, func(c *Config) {
		c.Workers = 3
		c.Window = soak()
	})
	r := c.hit(demoPath+"atomic_long_delay/", 10, 10, 100)
	aborted := r.Failed[string(racelab.Busy)] + r.Failed[string(racelab.SerializationFailure)]
	t.Logf("final %d, failed %v", *r.Actual, r.Failed)
	if *r.Lost != 0 || aborted == 0 || r.Acknowledged+aborted != 10 {
		t.Errorf("lost %d, %d acknowledged, failed %v", *r.Lost, r.Acknowledged, r.Failed)
	}
}

// What the laboratory proposes to try.
func TestWhatIsSaidToLoseDoesAndToHoldToo(t *testing.T) {
	for _, e := range dsn.SQL {
		t.Run(e.Name, func(t *testing.T) {
			c := openOn(t, e, func(c *Config) {
				c.Workers = 3
				c.Window = soak()
			})
			loses, holds := Try(c.url)
			if loses != "racelab hit non_atomic_long_delay --lab "+c.url+" --wait 0" || holds != "racelab hit atomic-update --lab "+c.url+" --wait 0" {
				t.Fatalf("%s; %s", loses, holds)
			}
			if r := c.hit(demoPath+"non_atomic_long_delay/", 10, 10, 100); *r.Lost <= 0 || r.Acknowledged != 10 {
				t.Errorf("lost %d, statuses %v", *r.Lost, r.Statuses)
			}
			c.reset()
			if r := c.hit(depositPath+"atomic-update", 10, 10, 100); *r.Lost != 0 || r.Acknowledged != 10 {
				t.Errorf("lost %d, statuses %v", *r.Lost, r.Statuses)
			}
		})
	}
}

// As many as may be, all at work, on a private server.
func TestTheMostWorkers(t *testing.T) {
	for _, e := range []racelab.Engine{postgres.Engine, mysql.Engine} {
		t.Run(e.Name, func(t *testing.T) {
			c := openOn(t, e, func(c *Config) { c.Workers = mostWorkers })
			window := time.Second
			until(t, "every worker has a request at the same time", func() bool {
				c.reset()
				var answers []<-chan replied
				for i := range mostWorkers {
					answers = append(answers, c.paying(depositPath+"read-modify-write", "account=1&amount=1&window="+window.String(), requestHeader, "all-"+strconv.Itoa(i)))
				}
				window *= 2
				for _, answer := range answers {
					if r := <-answer; r.status != 200 {
						t.Fatalf("%d %s", r.status, r.body)
					}
				}
				sessions := map[racelab.SessionID]bool{}
				for _, e := range c.history(url.Values{"prefix": {"all-"}}).Events {
					sessions[e.Op.Session] = true
				}
				return len(sessions) == mostWorkers
			})
			if r := c.do("POST", "/api/settings", "application/json", `{"level":"repeatable read"}`); r.status != 200 {
				t.Errorf("replace them all: %d %s", r.status, r.body)
			}
			if s := c.settings(); len(s.Pids) != mostWorkers || s.Level != racelab.RepeatableRead {
				t.Errorf("%+v", s)
			}
		})
	}
}

// SQLite has one write lock and no queue for it, so one of three processes may
// never get its turn and give up; but what takes the lock first loses nothing.
func TestSQLiteImmediateLosesNothing(t *testing.T) {
	c := open(t, func(c *Config) {
		c.Workers = 3
		c.Window = soak()
	})
	r := c.hit(demoPath+"row_locking_atomic_long_delay/", 10, 10, 100)
	t.Logf("final %d, failed %v", *r.Actual, r.Failed)
	if *r.Lost != 0 || r.Acknowledged == 0 || r.Acknowledged+r.Failed[string(racelab.Busy)] != 10 {
		t.Errorf("lost %d, %d acknowledged, failed %v", *r.Lost, r.Acknowledged, r.Failed)
	}
}

// With row locks requests stand in a line; some wait longer than the front has
// patience. They run to their end all the same: nothing is lost.
func TestRowLockingOutlivesTheFront(t *testing.T) {
	c := openOn(t, mysql.Engine, func(c *Config) {
		c.Workers = 3
		c.Window = soak()
		c.FrontTimeout = 6 * soak().Min
	})
	r := c.hit(demoPath+"row_locking_atomic_long_delay/", 10, 10, 100)
	t.Logf("statuses %v", r.Statuses)
	if r.Statuses[504] == 0 {
		t.Errorf("statuses %v: no 504", r.Statuses)
	}
	if *r.Actual != 1000 || *r.Lost != 0 || r.Unknown != 0 {
		t.Errorf("final %d, lost %d, %d unknown", *r.Actual, *r.Lost, r.Unknown)
	}
}

// With many workers they wait for the lock so long that they are killed: some
// deposits are not made, and none is half made.
func TestRowLockingWorkersAreKilledWhole(t *testing.T) {
	c := openOn(t, mysql.Engine, func(c *Config) {
		c.Workers = 8
		c.Window = soak()
		c.WorkerTimeout = 6 * soak().Min
	})
	r := c.hit(demoPath+"row_locking_atomic_long_delay/", 10, 10, 100)
	t.Logf("statuses %v, final %d, %d rows", r.Statuses, *r.Actual, *r.Recorded)
	if r.Statuses[502] == 0 {
		t.Errorf("statuses %v: no 502", r.Statuses)
	}
	if *r.Actual != 100*int64(*r.Recorded) || *r.Lost != 0 {
		t.Errorf("final %d with %d rows", *r.Actual, *r.Recorded)
	}
}
