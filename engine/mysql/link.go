package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"

	mysql "github.com/go-sql-driver/mysql"
	"github.com/racelab/racelab"
)

// A link is a connector whose connections start with some statements.
type link struct {
	driver.Connector
	first string
}

func newLink(config *mysql.Config, database, first string) (link, error) {
	config = config.Clone()
	config.DBName = database
	c, err := mysql.NewConnector(config)
	return link{c, first}, err
}

func (l link) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := l.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := c.(driver.ExecerContext).ExecContext(ctx, l.first, nil); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// admin gives racelab's own connections: resets must not trip over foreign
// keys, over a strict mode that came after the data, or over a generated key 0.
func (s *server) admin(database string) (*sql.DB, error) {
	l, err := newLink(s.config, database, "SET SESSION autocommit=1, foreign_key_checks=0, sql_mode='NO_AUTO_VALUE_ON_ZERO'; "+
		"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(l)
	db.SetMaxIdleConns(4)
	return db, nil
}

// session gives the sessions' connections.
func (s *server) session(database string, level racelab.Level) (link, error) {
	base, snapshot := level, "OFF"
	if level == racelab.RepeatableReadSnapshot {
		base, snapshot = racelab.RepeatableRead, "ON"
	}
	first := "SET SESSION " + sessionTimeouts + ", autocommit=1"
	if s.hasSnapshots() {
		first += ", innodb_snapshot_isolation=" + snapshot
	}
	return newLink(s.config, database, first+"; SET SESSION TRANSACTION ISOLATION LEVEL "+string(base))
}
