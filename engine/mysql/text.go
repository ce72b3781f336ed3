package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/racelab/racelab"
)

// diagnostics matches the statements that show the list of warnings.
var diagnostics = regexp.MustCompile(`(?i)^\s*(SHOW\s+(WARNINGS|ERRORS|COUNT)|GET\s+(CURRENT\s+)?DIAGNOSTICS)\b`)

// Text gives the results of all the statements in sql, and the warnings of the
// last one: the server keeps no others. Those it keeps until a statement that
// reads a table, so they are cleared before they could show twice. Of
// statements without rows the driver passes on some.
func (c *conn) Text(ctx context.Context, sql string, heard func(racelab.Answer)) error {
	c.world.runs(sql)
	asks := diagnostics.MatchString(sql)
	if c.warned && !asks {
		if _, err := c.inner.ExecContext(ctx, "SELECT 1 FROM (SELECT 1) x LIMIT 0", nil); err != nil {
			return c.finish(err)
		}
		c.warned = false
	}
	results, err := readText(ctx, c.inner, sql)
	for _, t := range results {
		heard(racelab.Answer{Table: &t})
	}
	if err != nil {
		c.warned = true
		return c.finish(worded(mark(sql, err)))
	}
	if asks {
		return nil
	}
	warnings, err := readText(ctx, c.inner, "SHOW WARNINGS")
	if err != nil {
		return c.finish(err)
	}
	for _, row := range warnings[0].Rows { // level, code, message
		heard(racelab.Answer{Notice: &racelab.Notice{Severity: fmt.Sprint(row[0]), Message: fmt.Sprint(row[2])}})
	}
	c.warned = len(warnings[0].Rows) > 0
	return nil
}

// worded gives an error of the server's its own words. The server does not say
// how bad it is.
func worded(err error) error {
	var said *mysql.MySQLError
	if !errors.As(err, &said) {
		return err
	}
	severity := "ERROR"
	if classify(err) == racelab.ConnectionLost {
		severity = racelab.Fatal
	}
	return &racelab.ServerError{Notice: racelab.Notice{Severity: severity, Message: said.Message}, Err: err}
}

func readText(ctx context.Context, c innerConn, sql string) (results []racelab.Table, err error) {
	found, err := c.QueryContext(ctx, sql, nil)
	if err != nil {
		return nil, err
	}
	rows := found.(innerRows)
	defer func() {
		if e := rows.Close(); err == nil {
			err = e
		}
	}()
	for {
		t := racelab.Table{Columns: rows.Columns()}
		into := make([]driver.Value, len(t.Columns))
		for {
			if err = rows.Next(into); err != nil {
				break
			}
			row := make([]racelab.Value, len(into))
			for i, v := range into {
				row[i] = textOf(v, rows, i)
			}
			t.Rows = append(t.Rows, row)
		}
		if len(t.Columns) > 0 || err == io.EOF {
			results = append(results, t)
		}
		if err != io.EOF {
			return results, err
		}
		if !rows.HasNextResultSet() {
			return results, nil
		}
		if err = rows.NextResultSet(); err == io.EOF {
			return results, nil // the rest had no rows
		} else if err != nil {
			return results, err
		}
	}
}

// textOf brings a value back to the text that the server sent, which the
// driver has read already. The zeros of ZEROFILL are lost.
func textOf(v driver.Value, rows innerRows, column int) racelab.Value {
	switch v := v.(type) {
	case nil:
		return nil
	case []byte:
		return string(v)
	case float32:
		return floatText(float64(v), 32, rows, column)
	case float64:
		return floatText(v, 64, rows, column)
	case time.Time:
		layout := time.DateTime
		if rows.ColumnTypeDatabaseTypeName(column) == "DATE" {
			layout = time.DateOnly
		} else if _, digits, ok := rows.ColumnTypePrecisionScale(column); ok && 0 < digits && digits <= 6 {
			layout += "." + strings.Repeat("0", int(digits))
		}
		if v.IsZero() { // the server's "zero" date, which is no day of a calendar
			return strings.Map(func(r rune) rune {
				if '0' <= r && r <= '9' {
					return '0'
				}
				return r
			}, layout)
		}
		return v.Format(layout)
	default:
		return fmt.Sprint(v)
	}
}

// floatText writes as the server's my_gcvt does: without an exponent while the
// point is within 15 digits of the first one.
func floatText(f float64, bits int, rows innerRows, column int) string {
	if _, digits, ok := rows.ColumnTypePrecisionScale(column); ok && digits < 31 {
		return strconv.FormatFloat(f, 'f', int(digits), bits)
	}
	if size := math.Abs(f); size == 0 || 1e-15 <= size && size < 1e15 {
		return strconv.FormatFloat(f, 'f', -1, bits)
	}
	s := strconv.FormatFloat(f, 'e', -1, bits) // 1e+20, 1e-07
	digits, exponent, _ := strings.Cut(s, "e")
	sign := strings.TrimLeft(exponent[:1], "+")
	return digits + "e" + sign + strings.TrimLeft(exponent[1:], "0")
}
