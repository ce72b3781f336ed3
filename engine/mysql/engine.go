package mysql

import (
	"context"
	"fmt"

	driver "github.com/go-sql-driver/mysql"
	"github.com/racelab/racelab"
)

// Engine is MariaDB and MySQL.
var Engine = racelab.Engine{
	Name:    "mysql",
	Aliases: []string{"mariadb"},
	Dialect: Dialect,
	Find:    find,
	Start:   start,
}

// start opens the server that dsn names, or with an empty dsn a private one.
// The database that a dsn names is not used: worlds make their own.
func start(ctx context.Context, dsn string) (racelab.Server, error) {
	if dsn == "" {
		return startPrivate(ctx)
	}
	config, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	named := config.DBName
	config.DBName = ""
	s, err := connect(ctx, config, nil)
	if err != nil {
		return nil, err
	}
	s.named = named
	return s, nil
}

// connect asks the server what it is.
func connect(ctx context.Context, config *driver.Config, private *private) (*server, error) {
	s := &server{config: config, private: private}
	admin, err := s.admin("")
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	if s.product, err = readProduct(ctx, admin); err != nil {
		return nil, fmt.Errorf("connect to the server %s: %w", describe(config), err)
	}
	return s, nil
}
