package mysql

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/racelab/racelab"
)

var sessionTimeouts = fmt.Sprintf("innodb_lock_wait_timeout=%d, lock_wait_timeout=%d", rowForever, forever)

// A server is one instance of MariaDB or MySQL.
type server struct {
	config  *driver.Config
	private *private // nil: it was named by a DSN, and is not ours
	named   string   // the database of the DSN, which worlds do not use; "" if it names none
	product racelab.Product
}

func (s *server) Product() racelab.Product { return s.product }

func (s *server) Close() error {
	if s.private == nil {
		return nil
	}
	return s.private.stop()
}

// Named has no address: a world keeps a table of its own in its database.
func (s *server) Named(ctx context.Context) (named racelab.NamedDatabase, err error) {
	if s.named == "" {
		return named, nil
	}
	db, err := s.admin("")
	if err != nil {
		return named, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, `SELECT table_name FROM information_schema.tables WHERE table_schema = ?
		UNION SELECT routine_name FROM information_schema.routines WHERE routine_schema = ? ORDER BY 1`, s.named, s.named)
	if err != nil {
		return named, fmt.Errorf("look what the database holds: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return named, err
		}
		named.Holds = append(named.Holds, name)
	}
	return named, rows.Err()
}

func (s *server) hasSnapshots() bool {
	_, has := s.product.Settings["innodb_snapshot_isolation"]
	return has
}

func readProduct(ctx context.Context, db *sql.DB) (racelab.Product, error) {
	p := racelab.Product{Name: "MySQL", Settings: map[string]string{}}
	conn, err := db.Conn(ctx)
	if err != nil {
		return p, err
	}
	defer conn.Close()
	if err := conn.QueryRowContext(ctx, "SELECT VERSION()").Scan(&p.Version); err != nil {
		return p, err
	}
	if strings.Contains(p.Version, "MariaDB") {
		p.Name = "MariaDB"
	}
	// The timeouts are what sessions run with, the rest is the server's.
	if _, err := conn.ExecContext(ctx, "SET SESSION "+sessionTimeouts); err != nil {
		return p, err
	}
	for _, scope := range []string{"GLOBAL", "SESSION"} {
		rows, err := conn.QueryContext(ctx, "SHOW "+scope+" VARIABLES WHERE Variable_name IN ('"+strings.Join(settings, "','")+"')")
		if err != nil {
			return p, err
		}
		for rows.Next() {
			var name, value string
			if err := rows.Scan(&name, &value); err != nil {
				return p, errors.Join(err, rows.Close())
			}
			if scope == "GLOBAL" || strings.HasSuffix(name, "wait_timeout") {
				p.Settings[name] = value
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return p, err
		}
	}
	// Its old name, until 11.1.
	if level, old := p.Settings["tx_isolation"]; old {
		p.Settings["transaction_isolation"] = level
		delete(p.Settings, "tx_isolation")
	}
	return p, nil
}

func (s *server) Open(ctx context.Context, config racelab.Config) (racelab.World, error) {
	if s.private == nil {
		return s.open(ctx, config)
	}
	return s.private.process.World(s.open(ctx, config))
}

func (s *server) open(ctx context.Context, config racelab.Config) (racelab.World, error) {
	level, err := Dialect.Level(config.Level)
	if err != nil {
		return nil, err
	}
	if level == racelab.RepeatableReadSnapshot && !s.hasSnapshots() {
		return nil, fmt.Errorf("%s is MariaDB's, from 10.6.18 on: %s %s has no innodb_snapshot_isolation", level, s.product.Name, s.product.Version)
	}
	if config.Attach != "" {
		return s.attach(ctx, level, config)
	}
	name := "racelab_" + strings.ToLower(rand.Text()[:16])
	admin, err := s.admin("")
	if err != nil {
		return nil, err
	}
	_, err = admin.ExecContext(ctx, "CREATE DATABASE "+name+" CHARACTER SET utf8mb4")
	admin.Close()
	switch classify(err) {
	case racelab.Canceled, racelab.ConnectionLost: // it may be there all the same
		_ = s.drop(name)
	}
	if err != nil {
		return nil, fmt.Errorf("create database %s %s: %w", name, describe(s.config), err)
	}
	w, err := s.world(ctx, name, level, config.State)
	if err != nil {
		return nil, errors.Join(err, s.drop(name))
	}
	w.owned, w.controlled = true, config.Controlled && s.private != nil
	w.allTables, w.queries = config.AllTables, config.Queries
	if err := w.setUp(ctx, config.Setup); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// attach opens the world of another process, which may be on another server
// than s only in so far as that one has another address for it.
func (s *server) attach(ctx context.Context, level racelab.Level, config racelab.Config) (racelab.World, error) {
	there, err := parseDSN(config.Attach)
	if err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	if there.DBName == "" {
		return nil, errors.New("attach: the address names no database")
	}
	w, err := (&server{config: there, product: s.product}).world(ctx, there.DBName, level, config.State)
	if err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	return w, nil
}

// drop removes a database that this process created. It does not wait for
// ever on whoever still uses it.
func (s *server) drop(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	admin, err := s.admin("")
	if err != nil {
		return err
	}
	defer admin.Close()
	if _, err := admin.ExecContext(ctx, "SET SESSION lock_wait_timeout=10; DROP DATABASE "+name); err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return nil
}
