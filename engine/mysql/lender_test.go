package mysql

import (
	"context"
	"database/sql/driver"
)

// A lender gives database/sql a session's connection.
type lender struct{ c *conn }

func (l lender) Connect(context.Context) (driver.Conn, error) { return l.c.Driver(), nil }
func (l lender) Driver() driver.Driver                        { return nil }
