package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/racelab/racelab"
)

// A pipeline is statements that go to the server as one message. Without a
// BEGIN among them it runs them as one transaction. Each is prepared once for
// each connection: to plan a statement takes the server as long as to run it.
type pipeline []string

// run returns what each statement returned. After an error the connection is
// closed: it may be in a transaction, or have prepared a statement for a table
// that is another one by now.
func (p pipeline) run(ctx context.Context, db *sql.DB) (results []racelab.Table, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.Raw(func(c any) error {
		if results, err = p.send(ctx, c.(*stdlib.Conn).Conn()); err != nil {
			return driver.ErrBadConn
		}
		return nil
	})
	return results, err
}

func (p pipeline) send(ctx context.Context, conn *pgx.Conn) ([]racelab.Table, error) {
	batch := &pgconn.Batch{}
	for _, text := range p {
		s, err := conn.Prepare(ctx, text, text) // asks the server only the first time
		if err != nil {
			return nil, err
		}
		formats := make([]int16, len(s.Fields))
		for i, f := range s.Fields {
			if hasValue(f.DataTypeOID) {
				formats[i] = pgx.BinaryFormatCode
			}
		}
		batch.ExecStatement(s, nil, nil, formats)
	}
	answers := conn.PgConn().ExecBatch(ctx, batch)
	var results []racelab.Table
	var wrong error
	for answers.NextResult() {
		t, err := readValues(conn.TypeMap(), answers.ResultReader())
		wrong = errors.Join(wrong, err)
		results = append(results, t)
	}
	return results, errors.Join(answers.Close(), wrong)
}

// readValues reads a result to its end, or to the error that the batch's Close
// gives. The values are those that database/sql would give.
func readValues(types *pgtype.Map, r *pgconn.ResultReader) (t racelab.Table, err error) {
	fields := r.FieldDescriptions()
	for _, f := range fields {
		t.Columns = append(t.Columns, f.Name)
	}
	for r.NextRow() {
		row := make([]racelab.Value, len(fields))
		for i, raw := range r.Values() {
			f := fields[i]
			switch known, _ := types.TypeForOID(f.DataTypeOID); {
			case raw == nil:
			case f.Format == pgx.BinaryFormatCode:
				v, wrong := known.Codec.DecodeDatabaseSQLValue(types, f.DataTypeOID, f.Format, raw)
				row[i], err = racelab.ValueOf(v), errors.Join(err, wrong)
			default:
				row[i] = string(raw)
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t, err
}

// hasValue tells the types that are more than their text.
func hasValue(oid uint32) bool {
	switch oid {
	case pgtype.BoolOID, pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.OIDOID, pgtype.XIDOID, pgtype.CIDOID,
		pgtype.Float4OID, pgtype.Float8OID, pgtype.ByteaOID, pgtype.DateOID, pgtype.TimestampOID, pgtype.TimestamptzOID:
		return true
	}
	return false
}
