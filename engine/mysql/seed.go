package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
)

const seedPrefix = "racelab_seed_"

// keepSeed copies each table of the database beside it, and returns the
// message that brings all of them back. DELETE and INSERT, not TRUNCATE: that
// makes a new file, which takes ten times as long. But what is deleted stays in
// the index until the purge comes, whenever that is, and until then a locking
// read of a key that is not there locks what is left of it, instead of the gap.
// So a table that is empty in the beginning, and whose keys are not made up by
// the database, is truncated: what waits for whom must not depend on the purge.
func keepSeed(ctx context.Context, db *sql.DB) (reset string, err error) {
	c, err := db.Conn(ctx) // one connection, for its FOREIGN_KEY_CHECKS=0
	if err != nil {
		return "", err
	}
	defer c.Close()
	// Tables with triggers go first: what those write elsewhere is then undone.
	rows, err := c.QueryContext(ctx, `SELECT t.TABLE_NAME, t.AUTO_INCREMENT IS NOT NULL, (
			SELECT GROUP_CONCAT(CONCAT('`+"`', REPLACE(c.COLUMN_NAME, '`', '``'), '`"+`') ORDER BY c.ORDINAL_POSITION)
			FROM information_schema.COLUMNS c
			WHERE c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME AND c.EXTRA NOT LIKE '%GENERATED%')
		FROM information_schema.TABLES t
		WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_TYPE = 'BASE TABLE'
		ORDER BY EXISTS (SELECT 1 FROM information_schema.TRIGGERS g
			WHERE g.EVENT_OBJECT_SCHEMA = t.TABLE_SCHEMA AND g.EVENT_OBJECT_TABLE = t.TABLE_NAME) DESC, t.TABLE_NAME`)
	if err != nil {
		return "", fmt.Errorf("list the tables: %w", err)
	}
	type table struct {
		name    string
		counts  bool // its keys are made up
		columns string
	}
	var found []table
	for rows.Next() {
		var t table
		if err := rows.Scan(&t.name, &t.counts, &t.columns); err != nil {
			return "", errors.Join(err, rows.Close())
		}
		found = append(found, t)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", nil
	}
	var truncate, message strings.Builder
	message.WriteString("START TRANSACTION")
	for _, t := range found {
		name, seed := quote(t.name), quote(seedPrefix+t.name)
		copied, err := c.ExecContext(ctx, fmt.Sprintf("CREATE TABLE %s LIKE %s", seed, name))
		if err == nil {
			copied, err = c.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %[2]s FROM %s", seed, t.columns, name))
		}
		if err != nil {
			return "", fmt.Errorf("copy table %s: %w", t.name, err)
		}
		n, err := copied.RowsAffected()
		if err == nil && n == 0 && !t.counts {
			fmt.Fprintf(&truncate, "TRUNCATE TABLE %s; ", name)
			continue
		}
		fmt.Fprintf(&message, "; DELETE FROM %s", name)
		if err != nil || n > 0 {
			fmt.Fprintf(&message, "; INSERT INTO %s (%s) SELECT %[2]s FROM %s", name, t.columns, seed)
		}
	}
	message.WriteString("; COMMIT")
	return truncate.String() + message.String(), nil
}

func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// discard is for sql.Conn.Raw: the pool then closes the connection.
func discard(any) error { return driver.ErrBadConn }
