package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/throwaway"
)

// closeLimit bounds what is done after a run, when its context may have ended.
const closeLimit = 10 * time.Second

type server struct {
	url       *url.URL // the database that racelab is let in by
	product   racelab.Product
	superuser bool

	folder  *throwaway.Folder // nil unless private
	process *throwaway.Process

	mu   sync.Mutex
	made map[string]bool // databases that this server value created: all that it may drop
}

// startNamed looks whether the server that a DSN names is there.
func startNamed(ctx context.Context, dsn string) (racelab.Server, error) {
	u, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	s := &server{url: u, made: map[string]bool{}}
	if err := s.meet(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// parseDSN is strict, and its errors never quote: what cannot be read may be a
// password.
func parseDSN(dsn string) (*url.URL, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("the DSN is not of the form postgres://user:password@host:port/database")
	}
	if _, err := pgx.ParseConfig(dsn); err != nil {
		return nil, errors.New("the DSN starts as postgres:// does, and the rest cannot be read: check its port and its parameters")
	}
	return u, nil
}

// meet connects once and learns what the server is.
func (s *server) meet(ctx context.Context) error {
	s.product = racelab.Product{Name: "PostgreSQL", Settings: map[string]string{}}
	return s.admin(ctx, func(conn *pgx.Conn) error {
		s.product.Version = conn.PgConn().ParameterStatus("server_version")
		s.superuser = conn.PgConn().ParameterStatus("is_superuser") == "on"
		rows, err := conn.Query(ctx, `SELECT name, current_setting(name) FROM pg_settings
			WHERE name IN ('deadlock_timeout', 'fsync', 'log_lock_waits', 'max_connections', 'synchronous_commit')`)
		if err != nil {
			return err
		}
		var name, value string
		_, err = pgx.ForEachRow(rows, []any{&name, &value}, func() error {
			s.product.Settings[name] = value
			return nil
		})
		return err
	})
}

// admin lends a connection to the database of the DSN.
func (s *server) admin(ctx context.Context, use func(*pgx.Conn) error) error {
	config, err := configOf(s.url.String())
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return hide(config, err)
	}
	defer hangUp(conn)
	return use(conn)
}

// configOf reads an address that parseDSN has seen or that we made. What a
// role, a database or the environment sets is overruled where it would decide
// a race.
func configOf(address string) (*pgx.ConnConfig, error) {
	config, err := ownConfigOf(address)
	if err != nil {
		return nil, err
	}
	maps.Copy(config.RuntimeParams, map[string]string{
		"application_name":                    watcherName,
		"lock_timeout":                        "0",
		"statement_timeout":                   "0",
		"idle_in_transaction_session_timeout": "0",
		"TimeZone":                            "UTC",
	})
	return config, nil
}

// ownConfigOf overrules nothing.
func ownConfigOf(address string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, errors.New("the address of the world cannot be read")
	}
	return config, nil
}

// hide keeps the error unless its text shows the password, in which case
// neither can be kept.
func hide(config *pgx.ConnConfig, err error) error {
	if config.Password != "" && strings.Contains(err.Error(), config.Password) {
		return fmt.Errorf("connect to %s as %s: the error holds the password and is not shown", config.Host, config.User)
	}
	return err
}

func (s *server) Product() racelab.Product { return s.product }

// Named leaves out what an extension has brought, and the system's own.
func (s *server) Named(ctx context.Context) (named racelab.NamedDatabase, err error) {
	if s.folder != nil {
		return named, nil
	}
	named.Address = s.url.String()
	err = s.admin(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `
			WITH object (class, id, name, space) AS (
				SELECT 'pg_class'::regclass, oid, relname, relnamespace FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
				UNION ALL SELECT 'pg_proc'::regclass, oid, proname, pronamespace FROM pg_proc
				UNION ALL SELECT 'pg_type'::regclass, oid, typname, typnamespace FROM pg_type WHERE typtype IN ('e', 'd', 'r'))
			SELECT DISTINCT format('%I.%I', n.nspname, o.name) FROM object o JOIN pg_namespace n ON n.oid = o.space
			WHERE n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'
				AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = o.class AND d.objid = o.id AND d.deptype = 'e')
			ORDER BY 1`)
		if err != nil {
			return err
		}
		named.Holds, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return named, fmt.Errorf("look what the database holds: %w", err)
	}
	return named, nil
}

// address is the DSN of a database of this server.
func (s *server) address(database string) string {
	u := *s.url
	u.Path, u.RawPath = "/"+database, ""
	// Not with url.Query, to which a + is a space: to PostgreSQL it is a +.
	u.RawQuery = strings.Join(slices.DeleteFunc(strings.Split(u.RawQuery, "&"), func(parameter string) bool {
		key, _, _ := strings.Cut(parameter, "=")
		key, _ = url.PathUnescape(key)
		return key == "dbname" || key == "database" // it would overrule the path
	}), "&")
	return u.String()
}

// create makes an empty database and returns its name.
func (s *server) create(ctx context.Context) (string, error) {
	var random [6]byte
	rand.Read(random[:]) // never fails
	name := "racelab_" + hex.EncodeToString(random[:])
	s.mu.Lock()
	s.made[name] = true // also if the answer is lost: then it may exist
	s.mu.Unlock()
	err := s.admin(ctx, func(conn *pgx.Conn) error {
		// template1 may hold what the server's owner put there.
		_, err := conn.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE template0")
		return err
	})
	if err == nil {
		return name, nil
	}
	err = fmt.Errorf("create database %s: %w", name, err)
	var refused *pgconn.PgError
	if class := classify(err); errors.As(err, &refused) && class != racelab.Canceled && class != racelab.ConnectionLost {
		s.mu.Lock()
		delete(s.made, name) // it is not ours, and may be somebody else's
		s.mu.Unlock()
		return "", err
	}
	return "", errors.Join(err, s.drop(name))
}

// drop removes a database that create made, and refuses any other.
func (s *server) drop(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.made[name] {
		return fmt.Errorf("drop database %s: this run did not create it", name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	err := s.admin(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		return err
	})
	if err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	delete(s.made, name)
	return nil
}

func (s *server) Close() error {
	if s.folder != nil {
		if s.process != nil {
			// An immediate shutdown: what it would save is removed anyway.
			s.process.Stop(syscall.SIGQUIT, grace)
		}
		folder := s.folder
		s.folder = nil
		return folder.Remove()
	}
	s.mu.Lock()
	names := slices.Collect(maps.Keys(s.made))
	s.mu.Unlock()
	var errs []error
	for _, name := range names {
		errs = append(errs, s.drop(name))
	}
	return errors.Join(errs...)
}

// hangUp closes a connection and waits until nothing of it is left, which
// after a canceled statement takes another message to the server.
func hangUp(conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	err := conn.Close(ctx)
	select {
	case <-conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
	return err
}
