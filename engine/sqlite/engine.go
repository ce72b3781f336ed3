// Package sqlite is the embedded engine: SQLite in WAL mode, one file a world.
//
// SQLite has one writer at a time and no lock queue: a statement that finds
// the write lock taken fails with SQLITE_BUSY, and its client tries again.
// Here a connection does what SQLite's own busy handler does, without the
// timer: if it holds no read snapshot it waits until another connection of the
// world has finished a transaction, and tries again; if it holds one, waiting
// could not help, and the error is the session's to see. So a world reports
// waits like a server does. (https://www.sqlite.org/c3ref/busy_handler.html,
// https://www.sqlite.org/isolation.html)
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/racelab/racelab"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// Engine is SQLite, compiled into racelab. A DSN is sqlite:PATH.
var Engine = racelab.Engine{
	Name: "sqlite",
	Dialect: racelab.Dialect{
		Levels:   []racelab.Level{racelab.Serializable},
		Features: racelab.SQL | racelab.Immediate | racelab.Savepoints,
		Rebind:   func(sql string) string { return sql },
		AutoKey:  func(column string) string { return column + " INTEGER PRIMARY KEY" },
		Int32: func(column string) string {
			return fmt.Sprintf("%s INTEGER CHECK (%[1]s BETWEEN -2147483648 AND 2147483647)", column)
		},
		Unsigned: func(column string) string {
			return fmt.Sprintf("%s INTEGER CHECK (%[1]s BETWEEN 0 AND 4294967295)", column)
		},
		Upsert:    func(key string) string { return "ON CONFLICT (" + key + ") DO UPDATE SET" },
		Locking:   locking,
		Isolation: isolation,
		Classify:  classify,
	},
	Find: func(context.Context) racelab.Found {
		return racelab.Found{Engine: "sqlite", Found: true, Version: lib.SQLITE_VERSION}
	},
	Start: start,
}

// classify reads SQLite's result codes (https://www.sqlite.org/rescode.html).
func classify(err error) racelab.Class {
	if c := racelab.ClassOf(err); c != "" {
		return c
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return racelab.Other
	}
	switch e.Code() {
	case lib.SQLITE_BUSY_SNAPSHOT:
		return racelab.SerializationFailure
	case lib.SQLITE_CONSTRAINT_UNIQUE, lib.SQLITE_CONSTRAINT_PRIMARYKEY, lib.SQLITE_CONSTRAINT_ROWID:
		return racelab.UniqueViolation
	case lib.SQLITE_CONSTRAINT_FOREIGNKEY:
		return racelab.ForeignKeyViolation
	case lib.SQLITE_CONSTRAINT_CHECK, lib.SQLITE_CONSTRAINT_DATATYPE:
		return racelab.CheckViolation
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return racelab.Busy
	case lib.SQLITE_INTERRUPT:
		return racelab.Canceled
	case lib.SQLITE_ERROR:
		if strings.Contains(e.Error(), "syntax error") || strings.Contains(e.Error(), "incomplete input") {
			return racelab.SyntaxError
		}
	case lib.SQLITE_IOERR, lib.SQLITE_CANTOPEN, lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return racelab.ConnectionLost
	}
	return racelab.Other
}
