package mysql

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/tables"
)

// roll is the table in which each process of a run enters its sessions, so that
// all of them know whose connection a lock belongs to. Servers do not use a
// connection's number twice.
const roll = "racelab_session"

// A world is one database.
type world struct {
	server *server
	name   string
	owned  bool // we made the database, and drop it
	// controlled asks for resets after which nothing is left to chance.
	controlled bool
	admin      *sql.DB
	sessions   link
	state      []string
	allTables  bool     // all tables are read, instead of what state names
	queries    []string // that are read with them
	seed       seed
	// left: statements since the last reset may have left something to the purge.
	left atomic.Bool
	// unsure: so may any that come.
	unsure atomic.Bool
	purges int // how often a reset waited for the purge

	rowHolders  func(context.Context, *sql.Conn, status) (edges, error)
	lockHolders func(context.Context, *sql.Conn, []process) (edges, error)

	mu    sync.Mutex
	conns map[*conn]bool
}

// world opens the database without changing it.
func (s *server) world(ctx context.Context, name string, level racelab.Level, state []string) (*world, error) {
	w := &world{server: s, name: name, state: state, conns: map[*conn]bool{}}
	var err error
	if w.sessions, err = s.session(name, level); err != nil {
		return nil, err
	}
	if w.admin, err = s.admin(name); err != nil {
		return nil, err
	}
	if err := w.chooseSources(ctx); err != nil {
		w.admin.Close()
		return nil, fmt.Errorf("open database %s %s: %w", name, describe(s.config), err)
	}
	return w, nil
}

// setUp runs the scenario's statements as a session would, not with racelab's
// own settings, and keeps a copy of what they made.
func (w *world) setUp(ctx context.Context, statements []string) error {
	db := sql.OpenDB(w.sessions)
	defer db.Close()
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, statement := range statements {
		if _, err := c.ExecContext(ctx, statement); err != nil {
			if class := classify(err); class != racelab.ConnectionLost && class != racelab.Canceled {
				err = fmt.Errorf("%w: %w", racelab.ErrSetup, err)
			}
			return fmt.Errorf("%w: %s", err, statement)
		}
	}
	if w.seed, err = keepSeed(ctx, w.admin, w.allTables); err != nil {
		return err
	}
	w.left.Store(true) // the set-up's
	w.unsure.Store(w.seed.remains.always)
	_, err = w.admin.ExecContext(ctx, "CREATE TABLE "+roll+" (id BIGINT UNSIGNED PRIMARY KEY) ENGINE=InnoDB")
	return err
}

func (w *world) Connect(ctx context.Context) (racelab.Conn, error) {
	inner, err := w.sessions.Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect a session %s: %w", describe(w.server.config), err)
	}
	c := &conn{world: w, inner: inner.(innerConn)}
	if c.id, err = connectionID(ctx, c.inner); err == nil {
		_, err = w.admin.ExecContext(ctx, "INSERT INTO "+roll+" VALUES ("+strconv.FormatUint(c.id, 10)+")")
	}
	if err != nil {
		inner.Close()
		return nil, fmt.Errorf("connect a session: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[c] = true
	return c, nil
}

// State reads all tables at one moment: the transaction's snapshot is that of
// its first SELECT.
func (w *world) State(ctx context.Context) (racelab.State, error) {
	c, err := w.admin.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	defer c.Close()
	state, err := w.readState(ctx, c)
	if err != nil {
		// The transaction may be open: this connection is of no more use.
		_ = c.Raw(discard)
		return nil, fmt.Errorf("read the state: %w", err)
	}
	return state, nil
}

// readState asks in one message.
func (w *world) readState(ctx context.Context, c *sql.Conn) (state racelab.State, err error) {
	names, reads := slices.Clone(w.state), []string{"START TRANSACTION READ ONLY"}
	for _, name := range names {
		reads = append(reads, "SELECT * FROM "+name)
	}
	if w.allTables {
		if names, err = w.tables(ctx, c); err != nil {
			return nil, err
		}
		for _, name := range names {
			reads = append(reads, "SELECT * FROM "+quote(name))
		}
	}
	names = append(names, w.queries...)
	message := strings.Join(append(reads, w.queries...), "\n; ") // a query may end with a comment
	rows, err := c.QueryContext(ctx, message+"\n; COMMIT")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	state = make(racelab.State, 0, len(names))
	for i, name := range names {
		if i > 0 && !rows.NextResultSet() {
			return nil, fmt.Errorf("table %s: %w", name, cmp.Or(rows.Err(), errors.New("no result")))
		}
		t, err := tables.Scan(rows)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", name, err)
		}
		t.Name = name
		tables.Sort(t.Rows)
		state = append(state, t)
	}
	rows.NextResultSet() // reads how the COMMIT went
	return state, rows.Err()
}

// tables lists the tables, but for racelab's own.
func (w *world) tables(ctx context.Context, c *sql.Conn) (names []string, err error) {
	rows, err := c.QueryContext(ctx, "SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			return nil, err
		}
		if name != roll && !strings.HasPrefix(name, seedPrefix) {
			names = append(names, name)
		}
	}
	return names, rows.Err()
}

func (w *world) Reset(ctx context.Context) error {
	if !w.owned {
		return errors.New("reset: this process has only attached to the world")
	}
	if w.seed.reset == "" {
		return nil
	}
	c, err := w.admin.Conn(ctx)
	if err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	defer c.Close()
	deleted, err := w.seed.putBack(ctx, c)
	if deleted {
		w.left.Store(true)
	}
	if err != nil {
		// The transaction may be open: this connection is of no more use.
		_ = c.Raw(discard)
		return fmt.Errorf("reset: %w", err)
	}
	if !w.controlled || !w.left.Load() && !w.unsure.Load() {
		return nil
	}
	w.purges++
	nothing, err := purged(ctx, c)
	if nothing {
		w.left.Store(false)
	}
	return err
}

// runs takes note of what a session is about to do.
func (w *world) runs(text string) {
	if !w.controlled || w.unsure.Load() {
		return
	}
	switch w.seed.remains.of(text) {
	case marks:
		w.left.Store(true)
	case anything:
		w.unsure.Store(true)
	}
}

// purged waits until InnoDB has removed what is left of the rows that were
// deleted, and reports whether it has. Until then it is locked as if it were
// there, and a statement that locks a range may wait or not, as chance has it.
// While others of the server's databases are in use there is always something
// left: then it gives up.
func purged(ctx context.Context, c *sql.Conn) (bool, error) {
	for range purgeAsks {
		var kind, name, status string
		if err := c.QueryRowContext(ctx, "SHOW ENGINE INNODB STATUS").Scan(&kind, &name, &status); err != nil {
			return false, fmt.Errorf("reset: ask what is to be purged: %w", err)
		}
		if strings.Contains(status, "History list length 0\n") {
			return true, nil
		}
	}
	return false, nil
}

// purgeAsks is a hundred times what a purge takes.
const purgeAsks = 300

// Address is for others, whose statements are not seen here.
func (w *world) Address() string {
	w.unsure.Store(true)
	config := w.server.config.Clone()
	config.DBName = w.name
	return formatDSN(config)
}

// Close ends this process's sessions too: an open transaction would keep the
// database from being dropped.
func (w *world) Close() error {
	w.mu.Lock()
	open := w.conns
	w.conns = map[*conn]bool{}
	w.mu.Unlock()
	for c := range open {
		c.end()
	}
	err := w.admin.Close()
	if w.owned {
		err = errors.Join(err, w.server.drop(w.name))
	}
	return err
}
