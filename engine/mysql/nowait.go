package mysql

import (
	"database/sql/driver"
	"io"
	"regexp"
)

// code matches what is no SQL word: strings, quoted names, comments; and the
// clauses with which a statement declines to wait. An alternative that starts
// earlier wins, so a clause inside a string is none.
var code = regexp.MustCompile(`(?is)'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|` + "`[^`]*`" + `|/\*.*?\*/|--[\s][^\n]*|#[^\n]*|\b(NOWAIT|WAIT\s+0)\b`)

// doesNotWait reports whether the statement asks for an error instead of a wait.
func doesNotWait(statement string) bool {
	for _, m := range code.FindAllStringSubmatch(statement, -1) {
		if m[1] != "" {
			return true
		}
	}
	return false
}

// mark adds to an error that its statement declined to wait.
func mark(statement string, err error) error {
	if err == nil || !doesNotWait(statement) {
		return err
	}
	return unwaiting{err}
}

type unwaiting struct{ error }

func (u unwaiting) Unwrap() []error { return []error{u.error, errNoWait} }

// markRows marks the errors that come in the middle of the rows.
func markRows(statement string, rows driver.Rows) driver.Rows {
	if doesNotWait(statement) {
		return unwaitingRows{rows.(innerRows)}
	}
	return rows
}

type innerRows interface {
	driver.Rows
	driver.RowsNextResultSet
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeNullable
	driver.RowsColumnTypePrecisionScale
	driver.RowsColumnTypeScanType
}

type unwaitingRows struct{ innerRows }

func (r unwaitingRows) Next(into []driver.Value) error { return markRow(r.innerRows.Next(into)) }
func (r unwaitingRows) NextResultSet() error           { return markRow(r.innerRows.NextResultSet()) }

// Close reads the rows that nobody wanted, which may end in the error.
func (r unwaitingRows) Close() error { return markRow(r.innerRows.Close()) }

func markRow(err error) error {
	if err == nil || err == io.EOF { // database/sql compares with io.EOF itself
		return err
	}
	return unwaiting{err}
}
