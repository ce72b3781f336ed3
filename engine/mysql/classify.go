package mysql

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	driver "github.com/go-sql-driver/mysql"
	"github.com/racelab/racelab"
)

// classes are the server's error numbers, by the names of the manual's error
// reference: https://mariadb.com/kb/en/mariadb-error-codes/ and
// https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html
var classes = map[uint16]racelab.Class{
	1213: racelab.Deadlock,             // ER_LOCK_DEADLOCK
	3058: racelab.Deadlock,             // ER_USER_LOCK_DEADLOCK
	1020: racelab.SerializationFailure, // ER_CHECKREAD: the row changed since the snapshot
	1205: racelab.LockTimeout,          // ER_LOCK_WAIT_TIMEOUT
	3572: racelab.LockNotAvailable,     // ER_LOCK_NOWAIT, MySQL only

	1022: racelab.UniqueViolation, // ER_DUP_KEY
	1062: racelab.UniqueViolation, // ER_DUP_ENTRY
	1169: racelab.UniqueViolation, // ER_DUP_UNIQUE
	1586: racelab.UniqueViolation, // ER_DUP_ENTRY_WITH_KEY_NAME

	1216: racelab.ForeignKeyViolation, // ER_NO_REFERENCED_ROW
	1217: racelab.ForeignKeyViolation, // ER_ROW_IS_REFERENCED
	1451: racelab.ForeignKeyViolation, // ER_ROW_IS_REFERENCED_2
	1452: racelab.ForeignKeyViolation, // ER_NO_REFERENCED_ROW_2

	1264: racelab.CheckViolation, // ER_WARN_DATA_OUT_OF_RANGE
	1406: racelab.CheckViolation, // ER_DATA_TOO_LONG
	1690: racelab.CheckViolation, // ER_DATA_OUT_OF_RANGE: unsigned underflow
	1048: racelab.CheckViolation, // ER_BAD_NULL_ERROR
	3819: racelab.CheckViolation, // ER_CHECK_CONSTRAINT_VIOLATED, MySQL
	4025: racelab.CheckViolation, // ER_CONSTRAINT_FAILED, MariaDB

	1040: racelab.ConnectionLost, // ER_CON_COUNT_ERROR: too many connections
	1203: racelab.ConnectionLost, // ER_TOO_MANY_USER_CONNECTIONS
	1053: racelab.ConnectionLost, // ER_SERVER_SHUTDOWN
	1080: racelab.ConnectionLost, // ER_FORCING_CLOSE
	1152: racelab.ConnectionLost, // ER_ABORTING_CONNECTION
	1184: racelab.ConnectionLost, // ER_NEW_ABORTING_CONNECTION
	1927: racelab.ConnectionLost, // ER_CONNECTION_KILLED, MariaDB
	2006: racelab.ConnectionLost, // CR_SERVER_GONE_ERROR
	2013: racelab.ConnectionLost, // CR_SERVER_LOST
	4031: racelab.ConnectionLost, // ER_CLIENT_INTERACTION_TIMEOUT, MySQL

	1064: racelab.SyntaxError, // ER_PARSE_ERROR
	1149: racelab.SyntaxError, // ER_SYNTAX_ERROR

	1317: racelab.Canceled, // ER_QUERY_INTERRUPTED
}

// errNoWait marks the errors of statements that asked not to wait. MariaDB
// answers those with the number of a lock timeout.
var errNoWait = errors.New("the statement does not wait for locks")

func classify(err error) racelab.Class {
	if c := racelab.ClassOf(err); c != "" {
		return c
	}
	var answer *driver.MySQLError
	if errors.As(err, &answer) {
		c, known := classes[answer.Number]
		switch {
		case !known:
			return racelab.Other
		case c == racelab.LockTimeout && errors.Is(err, errNoWait):
			return racelab.LockNotAvailable
		case answer.Number == 1690 && strings.Contains(answer.Message, "get_lock("):
			return racelab.LockTimeout // as Dialect.AdvisoryLock has it
		}
		return c
	}
	var network net.Error
	switch {
	case errors.Is(err, driver.ErrInvalidConn), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET),
		errors.As(err, &network):
		return racelab.ConnectionLost
	}
	return racelab.Other
}
