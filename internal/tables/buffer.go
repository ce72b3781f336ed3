package tables

import (
	"database/sql/driver"
	"errors"
	"io"

	"github.com/racelab/racelab"
)

// A Buffer is a statement's rows, read to their end. It is a driver.Rows.
type Buffer struct {
	columns []string
	rows    [][]driver.Value
	next    int
}

// Drain reads rows to their end and closes them, so that everything the
// statement does in the engine has happened when it returns.
func Drain(rows driver.Rows) (*Buffer, error) {
	if b, ok := rows.(*Buffer); ok {
		return b, nil
	}
	b := &Buffer{columns: rows.Columns()}
	for {
		row := make([]driver.Value, len(b.columns))
		err := rows.Next(row)
		if errors.Is(err, io.EOF) {
			return b, rows.Close()
		}
		if err != nil {
			rows.Close()
			return nil, err
		}
		for i, v := range row {
			if bytes, ok := v.([]byte); ok { // valid only until the next row
				row[i] = append([]byte{}, bytes...)
			}
		}
		b.rows = append(b.rows, row)
	}
}

// Table returns the rows as the nouns have them.
func (b *Buffer) Table() racelab.Table {
	t := racelab.Table{Columns: b.columns}
	for _, row := range b.rows {
		values := make([]racelab.Value, len(row))
		for i, v := range row {
			values[i] = racelab.ValueOf(v)
		}
		t.Rows = append(t.Rows, values)
	}
	return t
}

func (b *Buffer) Columns() []string { return b.columns }
func (b *Buffer) Close() error      { return nil }

func (b *Buffer) Next(dest []driver.Value) error {
	if b.next == len(b.rows) {
		return io.EOF
	}
	copy(dest, b.rows[b.next])
	b.next++
	return nil
}
