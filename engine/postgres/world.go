package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/tables"
)

// The names under which the server shows our connections. Sessions of all the
// processes of a run bear the same: that is how a blocker is known for ours.
const (
	sessionName = "racelab"
	watcherName = "racelab watcher"
)

type world struct {
	server    *server
	address   string
	database  string // "" if attached: not ours to reset or drop
	level     racelab.Level
	state     []string
	allTables bool     // all tables are read, instead of what state names
	queries   []string // that are read with them
	watcher   *sql.DB  // of one connection
	patient   bool     // sessions look for deadlocks only when told to
	own       bool     // sessions have the server's own settings
	reset     *reset   // nil if attached
}

// Open creates a database, or attaches to one that another process created.
func (s *server) Open(ctx context.Context, c racelab.Config) (racelab.World, error) {
	return s.process.World(s.open(ctx, c))
}

func (s *server) open(ctx context.Context, c racelab.Config) (_ racelab.World, err error) {
	level, err := dialect.Level(c.Level)
	if err != nil {
		return nil, err
	}
	if c.OwnSettings && c.Level == "" {
		level = ""
	}
	w := &world{server: s, address: c.Attach, level: level, state: c.State, allTables: c.AllTables, queries: c.Queries, own: c.OwnSettings}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open a world: %w", err), w.Close())
		}
	}()
	if c.Attach == "" {
		if w.database, err = s.create(ctx); err != nil {
			return nil, err
		}
		w.address = s.address(w.database)
		if err := w.setUp(ctx, c.Setup); err != nil {
			return nil, err
		}
	}
	config, err := configOf(w.address)
	if err != nil {
		return nil, err
	}
	if w.database != "" {
		if w.reset, err = newReset(ctx, config, s.superuser, c.AllTables); err != nil {
			return nil, fmt.Errorf("prepare the reset: %w", err)
		}
		w.reset.prepare(config)
	}
	w.patient = c.Controlled && s.superuser
	w.watcher = sql.OpenDB(stdlib.GetConnector(*config))
	w.watcher.SetMaxOpenConns(1)
	if err := w.watcher.PingContext(ctx); err != nil {
		return nil, hide(config, err)
	}
	return w, nil
}

// setUp runs the statements on a connection like a session's.
func (w *world) setUp(ctx context.Context, statements []string) error {
	config, err := configOf(w.address)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return hide(config, err)
	}
	defer hangUp(conn)
	for _, s := range statements {
		if _, err := conn.PgConn().Exec(ctx, s).ReadAll(); err != nil {
			if classify(err) != racelab.ConnectionLost && ctx.Err() == nil {
				err = fmt.Errorf("%w: %w", racelab.ErrSetup, err)
			}
			return fmt.Errorf("%w: %s", err, s)
		}
	}
	return nil
}

func (w *world) Connect(ctx context.Context) (racelab.Conn, error) {
	read := configOf
	if w.own {
		read = ownConfigOf
	}
	config, err := read(w.address)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["application_name"] = sessionName
	if w.level != "" {
		config.RuntimeParams["default_transaction_isolation"] = strings.ToLower(string(w.level))
	}
	c, err := newConn(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open a session: %w", hide(config, err))
	}
	c.patient = w.patient
	if err := c.LoseDeadlocks(ctx, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("open a session: %w", err), c.Close())
	}
	return c, nil
}

// A backend takes itself off the list after it has rolled back and freed its
// locks (proc_exit in PostgreSQL's ipc.c). Its number may be somebody else's by
// then, so only what is a session of this database is terminated.
const endQuery = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
	WHERE pid = ANY ($1::int[]) AND datname = current_database() AND application_name = $2`

// End asks until the server lists none of the connections any more.
func (w *world) End(ctx context.Context, conns []racelab.ConnID) error {
	pids, err := pidsOf(conns)
	if err != nil {
		return err
	}
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		var left int
		if err := w.watcher.QueryRowContext(ctx, endQuery, pids, sessionName).Scan(&left); err != nil {
			return fmt.Errorf("end connections: %w", err)
		}
		if left == 0 {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("end connections: %w", ctx.Err())
		}
	}
}

// tablesQuery lists the tables that keep rows of their own, spelled as SQL has
// them, as long as no session can have changed the watcher's search path.
const tablesQuery = `SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition AND c.relpersistence <> 't'
		AND n.nspname NOT IN ('information_schema', 'racelab_seed') AND n.nspname NOT LIKE 'pg\_%'
	ORDER BY 1`

// State reads all tables at one moment: the transaction's snapshot is that of
// its first SELECT.
func (w *world) State(ctx context.Context) (racelab.State, error) {
	state, err := w.readState(ctx)
	if err != nil && w.allTables && ctx.Err() == nil {
		// What is prepared on the connection that has failed may be of tables
		// that are other ones by now.
		state, err = w.readState(ctx)
	}
	return state, err
}

func (w *world) readState(ctx context.Context) (racelab.State, error) {
	names := w.state
	if w.allTables {
		found, err := pipeline{tablesQuery}.run(ctx, w.watcher)
		if err != nil {
			return nil, fmt.Errorf("list the tables: %w", err)
		}
		names = nil
		for _, row := range found[0].Rows {
			names = append(names, fmt.Sprint(row[0]))
		}
	}
	read := pipeline{"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}
	for _, name := range names {
		read = append(read, "SELECT * FROM "+name)
	}
	read = append(read, w.queries...)
	names = slices.Concat(names, w.queries)
	results, err := append(read, "COMMIT").run(ctx, w.watcher)
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	state := racelab.State(results[1 : len(results)-1])
	for i := range state {
		state[i].Name = names[i]
		tables.Sort(state[i].Rows)
	}
	return state, nil
}

func (w *world) Reset(ctx context.Context) error {
	if w.reset == nil {
		return errors.New("reset: another process set this world up, and only that one may reset it")
	}
	if err := w.reset.run(ctx, w.watcher); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	return nil
}

func (w *world) Address() string { return w.address }

func (w *world) Close() error {
	var errs []error
	if w.watcher != nil {
		if w.database != "" {
			errs = append(errs, w.forget())
		}
		errs = append(errs, w.watcher.Close())
		w.watcher = nil
	}
	if w.database != "" {
		errs = append(errs, w.server.drop(w.database))
		w.database = ""
	}
	return errors.Join(errs...)
}

// forget rolls back what sessions have left prepared: it would keep the database.
func (w *world) forget() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	var statements []string
	rows, err := w.watcher.QueryContext(ctx, "SELECT 'ROLLBACK PREPARED ' || quote_literal(gid) FROM pg_prepared_xacts WHERE database = current_database()")
	if err != nil {
		return nil // the server is gone, and what was prepared is for its next start
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return fmt.Errorf("look for prepared transactions: %w", err)
		}
		statements = append(statements, s)
	}
	if err := rows.Close(); err != nil {
		return fmt.Errorf("look for prepared transactions: %w", err)
	}
	for _, s := range statements {
		if _, err := w.watcher.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("end a prepared transaction: %w", err)
		}
	}
	return nil
}
