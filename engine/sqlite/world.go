package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/tables"
	"modernc.org/sqlite"
)

// seedPrefix names the tables that keep what the set-up made, for Reset.
const seedPrefix = "racelab_seed_"

// world is one file.
type world struct {
	path   string
	config racelab.Config
	admin  *sql.DB
	reset  string // one message; "" if attached

	mu    sync.Mutex
	last  int // number of the newest connection
	conns map[racelab.ConnID]*conn
	queue []*conn // those that wait, in order of arrival
	ended int     // counts the statements after which a lock may be free
}

func openWorld(ctx context.Context, path string, c racelab.Config) (_ racelab.World, err error) {
	w := &world{path: path, config: c, conns: map[racelab.ConnID]*conn{}}
	// The watcher waits by SQLite's own timer: nobody looks at its waits.
	pragmas := []string{"busy_timeout(10000)", "foreign_keys(0)"}
	if c.Attach == "" {
		// Before the file is in WAL mode, so that its header says it at once.
		pragmas = append(pragmas, fmt.Sprintf("application_id(%d)", applicationID))
	}
	w.admin, err = sql.Open("sqlite", source(path, pragmas...))
	if err != nil {
		return nil, err
	}
	w.admin.SetMaxOpenConns(1)
	if c.Attach == "" {
		err = w.setup(ctx)
	} else {
		err = w.admin.PingContext(ctx)
	}
	if err != nil {
		w.admin.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return w, nil
}

// source spells a data source name for modernc.org/sqlite.
func source(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append(pragmas, "journal_mode(wal)", "synchronous(off)")}
	return "file:" + escape(path) + "?" + q.Encode()
}

func escape(path string) string { return (&url.URL{Path: path}).EscapedPath() }

func (w *world) setup(ctx context.Context) error {
	statements := append([]string{"BEGIN"}, w.config.Setup...)
	for _, s := range append(statements, "COMMIT") {
		if _, err := w.admin.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("set up (%s): %w", s, err)
		}
	}
	names, err := w.admin.QueryContext(ctx, `SELECT name FROM sqlite_master
		WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY rowid`)
	if err != nil {
		return err
	}
	made, err := tables.Scan(names)
	if err != nil {
		return err
	}
	var script strings.Builder
	script.WriteString("BEGIN IMMEDIATE;")
	for _, row := range made.Rows {
		name := row[0].(string)
		table, seed := quote(name), quote(seedPrefix+name)
		if _, err := w.admin.ExecContext(ctx, fmt.Sprintf("CREATE TABLE %s AS SELECT * FROM %s", seed, table)); err != nil {
			return fmt.Errorf("keep the seed of %s: %w", name, err)
		}
		fmt.Fprintf(&script, "DELETE FROM %s; INSERT INTO %[1]s SELECT * FROM %s;", table, seed)
	}
	script.WriteString("COMMIT")
	w.reset = script.String()
	return nil
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func (w *world) Connect(ctx context.Context) (racelab.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	inner, err := (&sqlite.Driver{}).Open(source(w.path, "busy_timeout(0)", "foreign_keys(1)"))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", w.path, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last++
	c := newConn(w, w.last, inner.(innerConn))
	w.conns[c.id] = c
	return c, nil
}

// State reads all tables in one transaction, which sees one moment.
// End has nothing to do: a connection ends with its process, and so do its locks.
func (w *world) End(context.Context, []racelab.ConnID) error { return nil }

func (w *world) State(ctx context.Context) (racelab.State, error) {
	tx, err := w.admin.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	return tables.Read(ctx, tx, w.config.State)
}

func (w *world) Reset(ctx context.Context) error {
	if w.config.Attach != "" {
		return errors.New("reset a world: this process did not set it up")
	}
	if _, err := w.admin.ExecContext(ctx, w.reset); err != nil {
		_, _ = w.admin.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") // fails if nothing was begun
		return fmt.Errorf("reset %s: %w", w.path, err)
	}
	return nil
}

func (w *world) Address() string { return "sqlite:" + w.path }

func (w *world) Close() error {
	w.mu.Lock()
	open := make([]*conn, 0, len(w.conns))
	for _, c := range w.conns {
		open = append(open, c)
	}
	w.mu.Unlock()
	var errs []error
	for _, c := range open {
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, w.admin.Close())...)
}

// freed notes that a statement ended after which a lock may be free, and lets
// the first of the queue try again. w.mu is held.
func (w *world) freed() {
	w.ended++
	if len(w.queue) > 0 {
		w.queue[0].wake()
	}
}

func (w *world) Blocked(_ context.Context, of []racelab.ConnID) ([]racelab.ConnID, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var blocked []racelab.ConnID
	for _, id := range of {
		if c := w.conns[id]; c != nil && c.parked {
			blocked = append(blocked, id)
		}
	}
	return blocked, nil
}

func (w *world) Waits(ctx context.Context, of []racelab.ConnID) ([]racelab.Wait, error) {
	blocked, err := w.Blocked(ctx, of)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var waits []racelab.Wait
	for _, id := range blocked {
		wait := racelab.Wait{Conn: id, What: "database"}
		for n := 1; n <= w.last; n++ {
			if c := w.conns[connID(n)]; c != nil && c.writes && c.id != id {
				wait.On = append(wait.On, c.id)
			}
		}
		if wait.On == nil {
			wait.Outside = "another process holds the write lock"
		}
		waits = append(waits, wait)
	}
	return waits, nil
}

// retryEvery is how often a waiting statement is tried again when nothing in
// this process has ended: only another process can then free the lock.
const retryEvery = time.Millisecond
