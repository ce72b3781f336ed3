package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	mysql "github.com/go-sql-driver/mysql"
	"github.com/racelab/racelab"
)

func TestClassify(t *testing.T) {
	number := func(n uint16) error { return fmt.Errorf("call: %w", &mysql.MySQLError{Number: n}) }
	tests := []struct {
		err  error
		want racelab.Class
	}{
		{nil, racelab.OK},
		{sql.ErrNoRows, racelab.NotFound},
		{context.Canceled, racelab.Canceled},
		{driver.ErrBadConn, racelab.ConnectionLost},
		{mysql.ErrInvalidConn, racelab.ConnectionLost},
		{io.ErrUnexpectedEOF, racelab.ConnectionLost},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, racelab.ConnectionLost},
		{number(1213), racelab.Deadlock},
		{number(1205), racelab.LockTimeout},
		{mark("SELECT 1 FOR UPDATE", number(1205)), racelab.LockTimeout},
		{mark("SELECT 1 FOR UPDATE NOWAIT", number(1205)), racelab.LockNotAvailable},
		{mark("SELECT 1 FOR UPDATE NOWAIT", number(1213)), racelab.Deadlock},
		{number(3572), racelab.LockNotAvailable},
		{number(1020), racelab.SerializationFailure},
		{number(1062), racelab.UniqueViolation},
		{number(1451), racelab.ForeignKeyViolation},
		{number(1452), racelab.ForeignKeyViolation},
		{number(1264), racelab.CheckViolation},
		{number(1690), racelab.CheckViolation},
		{number(3819), racelab.CheckViolation},
		{number(4025), racelab.CheckViolation},
		{number(1927), racelab.ConnectionLost},
		{number(1040), racelab.ConnectionLost},
		{number(1203), racelab.ConnectionLost},
		{number(2013), racelab.ConnectionLost},
		{number(1064), racelab.SyntaxError},
		{number(1146), racelab.Other},
		{errors.New("something"), racelab.Other},
	}
	for _, test := range tests {
		if got := classify(test.err); got != test.want {
			t.Errorf("%v: %s, want %s", test.err, got, test.want)
		}
	}
}

func TestDoesNotWait(t *testing.T) {
	for statement, want := range map[string]bool{
		"SELECT 1 FOR UPDATE NOWAIT":                    true,
		"select 1 for update nowait;":                   true,
		"SELECT 1 FOR UPDATE /* now */ NOWAIT":          true,
		"SELECT 'it''s' FOR UPDATE\nWAIT 0":             true,
		"LOCK TABLE t WRITE NOWAIT":                     true,
		"SELECT 1 FOR UPDATE WAIT 05":                   false,
		"SELECT 1 FOR UPDATE WAIT 10":                   false,
		"SELECT 1 FOR UPDATE":                           false,
		"SELECT 'NOWAIT' FOR UPDATE":                    false,
		`SELECT 'a\'NOWAIT' FOR UPDATE`:                 false,
		"SELECT `NOWAIT` FROM t":                        false,
		"SELECT nowaiting FROM t":                       false,
		"SELECT 1 FOR UPDATE -- NOWAIT":                 false,
		"SELECT 1 FOR UPDATE # NOWAIT":                  false,
		"SELECT 1 # it's\nFROM t FOR UPDATE NOWAIT":     true,
		"SELECT 1 /* ' */ FROM t FOR UPDATE NOWAIT":     true,
		"SELECT \"it's\" FROM t FOR UPDATE NOWAIT":      true,
		"SELECT 1--1 AS a FROM t WHERE b FOR UPDATE":    false,
		"SELECT 1 FOR UPDATE NOWAIT -- and no more of ": true,
	} {
		if got := doesNotWait(statement); got != want {
			t.Errorf("%q: %v, want %v", statement, got, want)
		}
	}
}
