package mysql

import (
	"database/sql"
	"regexp"
	"strings"
)

// A process is a line of the process list.
type process struct {
	id              uint64
	db, state, info string
}

// scanProcesses reads SHOW PROCESSLIST, whose columns differ between products.
func scanProcesses(rows *sql.Rows) ([]process, error) {
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var id uint64
	var db, state, info sql.NullString
	into := make([]any, len(columns))
	for i, name := range columns {
		switch strings.ToLower(name) {
		case "id":
			into[i] = &id
		case "db":
			into[i] = &db
		case "state":
			into[i] = &state
		case "info":
			into[i] = &info
		default:
			into[i] = new(sql.RawBytes)
		}
	}
	var list []process
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		list = append(list, process{id, db.String, state.String, info.String})
	}
	return list, rows.Err()
}

// waitsFor returns what kind of lock outside InnoDB the connection waits for,
// "" if none. The states are those of the manuals' "general thread states".
func (p process) waitsFor() string {
	switch {
	case p.state == "User lock":
		return "advisory"
	case p.state == "Waiting for table level lock":
		return "table"
	case strings.HasPrefix(p.state, "Waiting for ") && strings.HasSuffix(p.state, " lock"),
		p.state == "Waiting for table flush":
		return "metadata"
	}
	return ""
}

var userLock = regexp.MustCompile(`(?i)\bGET_LOCK\s*\(\s*(CONCAT\(DATABASE\(\), )?'([^'\\]*)'\)?\s*,`)

// userLockName returns the name of the lock that the connection's statement
// asks for, if it stands there as a text or as the dialect writes it.
func (p process) userLockName() (string, bool) {
	m := userLock.FindStringSubmatch(p.info)
	switch {
	case m == nil:
		return "", false
	case m[1] != "":
		return p.db + m[2], true
	}
	return m[2], true
}
