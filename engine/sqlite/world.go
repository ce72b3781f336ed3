package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/tables"
)

// seedPrefix names the tables that keep what the set-up made, for Reset.
const seedPrefix = "racelab_seed_"

// world is one file.
type world struct {
	path   string
	config racelab.Config
	reset  []string // statements; none if attached
	spare  bool     // nobody looks for the file once it is closed

	watching sync.Mutex
	watcher  *preparedConn // guarded by watching; nil if closed

	mu    sync.Mutex
	last  int // number of the newest connection
	conns map[racelab.ConnID]*conn
	queue []*conn // those that wait, in order of arrival
	ended int     // counts the statements after which a lock may be free
}

func openWorld(ctx context.Context, path string, spare bool, c racelab.Config) (_ racelab.World, err error) {
	w := &world{path: path, config: c, spare: spare, conns: map[racelab.ConnID]*conn{}}
	// The watcher waits by SQLite's own timer: nobody looks at its waits.
	pragmas := []string{"busy_timeout(10000)", "foreign_keys(0)"}
	if c.Attach == "" {
		// Before the file is in WAL mode, so that its header says it at once.
		pragmas = append(pragmas, fmt.Sprintf("application_id(%d)", applicationID))
	}
	w.watcher, err = connect(path, pragmas...)
	if err == nil && c.Attach == "" {
		err = w.setup(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), w.Close())
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
		if _, err := w.watcher.ExecContext(ctx, s, nil); err != nil {
			return fmt.Errorf("%w (%s): %w", racelab.ErrSetup, s, err)
		}
	}
	// What counts up (AUTOINCREMENT) comes last: putting rows back moves it.
	made, err := w.watcher.read(ctx, `SELECT name,
			(SELECT group_concat('"' || replace(name, '"', '""') || '"', ', ') FROM pragma_table_info(m.name))
		FROM sqlite_master m WHERE type = 'table' AND (name NOT LIKE 'sqlite\_%' ESCAPE '\' OR name = 'sqlite_sequence')
		ORDER BY name = 'sqlite_sequence', rowid`)
	if err != nil {
		return err
	}
	triggers, err := w.watcher.read(ctx, "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
	if err != nil {
		return err
	}
	w.reset = []string{"BEGIN IMMEDIATE"}
	for _, t := range triggers.Rows { // they would fire
		w.reset = append(w.reset, "DROP TRIGGER "+quote(t[0].(string)))
	}
	for _, row := range made.Rows {
		name, columns := row[0].(string), row[1].(string)
		table, seed := quote(name), quote(seedPrefix+name)
		if _, err := w.watcher.ExecContext(ctx, fmt.Sprintf("CREATE TABLE %s AS SELECT %s FROM %s", seed, columns, table), nil); err != nil {
			return fmt.Errorf("keep the seed of %s: %w", name, err)
		}
		w.reset = append(w.reset, "DELETE FROM "+table, fmt.Sprintf("INSERT INTO %s (%s) SELECT %[2]s FROM %s", table, columns, seed))
	}
	for _, t := range triggers.Rows {
		w.reset = append(w.reset, t[1].(string))
	}
	w.reset = append(w.reset, "COMMIT")
	return nil
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func (w *world) Connect(ctx context.Context) (racelab.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	inner, err := connect(w.path, "busy_timeout(0)", "foreign_keys(1)")
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", w.path, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last++
	c := newConn(w, w.last, inner)
	w.conns[c.id] = c
	return c, nil
}

// End has nothing to do: a connection ends with its process, and so do its locks.
func (w *world) End(context.Context, []racelab.ConnID) error { return nil }

// State reads all tables in one transaction, which sees one moment.
func (w *world) State(ctx context.Context) (racelab.State, error) {
	state := make(racelab.State, 0, len(w.config.State))
	err := w.watch(func(c *preparedConn) (err error) {
		if _, err := c.ExecContext(ctx, "BEGIN", nil); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.rollback()) }()
		names, reads := slices.Clone(w.config.State), []string{}
		for _, name := range names {
			reads = append(reads, "SELECT * FROM "+name)
		}
		if w.config.AllTables {
			found, err := c.read(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
				AND name NOT LIKE 'racelab\_seed\_%' ESCAPE '\' ORDER BY name`)
			if err != nil {
				return err
			}
			names = nil
			for _, row := range found.Rows {
				names = append(names, row[0].(string))
				reads = append(reads, "SELECT * FROM "+quote(row[0].(string)))
			}
		}
		names, reads = append(names, w.config.Queries...), append(reads, w.config.Queries...)
		for i, name := range names {
			t, err := c.read(ctx, reads[i])
			if err != nil {
				return fmt.Errorf("table %s: %w", name, err)
			}
			t.Name = name
			tables.Sort(t.Rows)
			state = append(state, t)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	return state, nil
}

func (w *world) Reset(ctx context.Context) error {
	if w.config.Attach != "" {
		return errors.New("reset a world: this process did not set it up")
	}
	err := w.watch(func(c *preparedConn) error {
		for _, s := range w.reset {
			if _, err := c.ExecContext(ctx, s, nil); err != nil {
				_ = c.rollback() // fails if nothing was begun
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reset %s: %w", w.path, err)
	}
	return nil
}

// watch lends the watcher to one at a time.
func (w *world) watch(use func(*preparedConn) error) error {
	w.watching.Lock()
	defer w.watching.Unlock()
	if w.watcher == nil {
		return errors.New("the world is closed")
	}
	return use(w.watcher)
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
	w.watching.Lock()
	defer w.watching.Unlock()
	if w.watcher != nil {
		errs = append(errs, w.watcher.Close())
		w.watcher = nil
		if w.spare {
			errs = append(errs, removeFiles(w.path))
		}
	}
	return errors.Join(errs...)
}

// freed notes that a statement ended after which a lock may be free, and lets
// the first of the queue try again. w.mu is held.
func (w *world) freed() {
	w.ended++
	if len(w.queue) > 0 {
		w.queue[0].wake()
	}
}

// Blocked leaves out who has only met somebody just then: where no connection
// of this world holds the lock, it is tried again until that says something.
func (w *world) Blocked(_ context.Context, of []racelab.ConnID) ([]racelab.ConnID, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var blocked []racelab.ConnID
	for _, id := range of {
		if c := w.conns[id]; c != nil && c.parked && (w.held(c) || c.tries > foreignTries) {
			blocked = append(blocked, id)
		}
	}
	return blocked, nil
}

// foreignTries is after how many tries in vain another process must hold the lock.
const foreignTries = 20

// held reports whether another connection than c holds the lock. w.mu is held.
func (w *world) held(c *conn) bool {
	for _, other := range w.conns {
		if other != c && other.writes {
			return true
		}
	}
	return false
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
