package postgres

import (
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/racelab/racelab"
)

// classify reads SQLSTATEs, which the manual lists in appendix A.
func classify(err error) racelab.Class {
	if class := racelab.ClassOf(err); class != "" {
		return class
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return classOf(pg)
	}
	var connect *pgconn.ConnectError
	var network net.Error
	if errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, pgconn.ErrConnClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return racelab.ConnectionLost
	}
	return racelab.Other
}

func classOf(err *pgconn.PgError) racelab.Class {
	switch err.Code {
	case "40P01":
		return racelab.Deadlock
	case "40001":
		return racelab.SerializationFailure
	case "55P03":
		// lock_timeout and NOWAIT share the code. The message may be in any
		// language; the name of the server's function is not.
		if err.Routine == "ProcessInterrupts" {
			return racelab.LockTimeout
		}
		return racelab.LockNotAvailable
	case "23505", "23P01": // an exclusion constraint is a unique one in general
		return racelab.UniqueViolation
	case "23503":
		return racelab.ForeignKeyViolation
	case "23514", "23502", "22003", "22001":
		return racelab.CheckViolation
	case "25P02":
		return racelab.TransactionFailed
	case "57014":
		return racelab.Canceled
	// Shut down, crashed, starting, dropped, idle for too long, too many connections.
	case "57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "53300":
		return racelab.ConnectionLost
	case "42501": // insufficient privilege stands among the syntax errors
		return racelab.Other
	}
	switch {
	case strings.HasPrefix(err.Code, "08"):
		return racelab.ConnectionLost
	case strings.HasPrefix(err.Code, "42"):
		return racelab.SyntaxError
	}
	return racelab.Other
}
