package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	mysql "github.com/go-sql-driver/mysql"
	"github.com/racelab/racelab/internal/sqltext"
)

const seedPrefix = "racelab_seed_"

// A seed brings the tables back to what they were.
type seed struct {
	reset   string // one message; "" if there are no tables
	deletes []int  // which of its statements delete
	remains remains
}

// A table as keepSeed found it. The lists of columns are of quoted names.
type table struct {
	name      string
	counts    bool   // its keys are made up
	next      uint64 // the next of them
	triggers  bool   // it has some
	columns   string // those that are not generated
	primary   string // the primary key's, "" if there is none, or none of whole columns
	generated bool   // a column of the primary key is
	unique    string // those of its other unique indexes
}

// keepSeed copies each table of the database beside it, and finds how to bring
// all of them back: by what differs, where a primary key tells the rows apart. A
// row that has changed is changed back in place, because what is deleted stays
// in the index until the purge comes (remains.go).
// So a table that is empty in the beginning, and whose keys are not made up by
// the database, is truncated: what waits for whom must not depend on the purge.
// For the others that would take ten times as long: it makes a new file. It is
// done all the same if the counters are to be brought back.
func keepSeed(ctx context.Context, db *sql.DB, counters bool) (seed, error) {
	c, err := db.Conn(ctx) // one connection, for its FOREIGN_KEY_CHECKS=0
	if err != nil {
		return seed{}, err
	}
	defer c.Close()
	r, err := readRemains(ctx, c)
	if err != nil {
		return seed{}, fmt.Errorf("read the indexes: %w", err)
	}
	found, err := seedTables(ctx, c)
	if err != nil {
		return seed{}, fmt.Errorf("list the tables: %w", err)
	}
	if len(found) == 0 {
		return seed{remains: r}, nil
	}
	kept := seed{remains: r}
	var truncate, reset, count []string
	for _, t := range found {
		name, copy := quote(t.name), quote(seedPrefix+t.name)
		copied, err := c.ExecContext(ctx, fmt.Sprintf("CREATE TABLE %s LIKE %s", copy, name))
		if err == nil {
			copied, err = c.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %[2]s FROM %s", copy, t.columns, name))
		}
		if err != nil {
			return seed{}, fmt.Errorf("copy table %s: %w", t.name, err)
		}
		n, err := copied.RowsAffected()
		empty := err == nil && n == 0
		switch {
		case empty && (!t.counts || counters && t.next == 1):
			truncate = append(truncate, "TRUNCATE TABLE "+name)
		case empty:
			reset = append(reset, "DELETE FROM "+name)
		case t.primary == "" || t.generated || t.triggers:
			reset = append(reset, "DELETE FROM "+name, fmt.Sprintf("INSERT INTO %s (%s) SELECT %[2]s FROM %s", name, t.columns, copy))
		default:
			reset = append(reset, t.byDifference(name, copy)...)
		}
		if counters && t.counts && !(empty && t.next == 1) {
			count = append(count, fmt.Sprintf("ALTER TABLE %s AUTO_INCREMENT = %d", name, t.next))
		}
	}
	statements := slices.Concat(truncate, []string{"START TRANSACTION"}, reset, []string{"COMMIT"}, count)
	for i, s := range statements {
		if strings.HasPrefix(s, "DELETE") {
			kept.deletes = append(kept.deletes, i)
		}
	}
	kept.reset = strings.Join(statements, "; ")
	return kept, nil
}

// putBack runs the reset, and reports whether it may have deleted rows.
func (s seed) putBack(ctx context.Context, c *sql.Conn) (deleted bool, err error) {
	err = c.Raw(func(inner any) error {
		result, err := inner.(driver.ExecerContext).ExecContext(ctx, s.reset, nil)
		if err != nil {
			deleted = true
			return err
		}
		affected := result.(mysql.Result).AllRowsAffected()
		for _, i := range s.deletes {
			deleted = deleted || i >= len(affected) || affected[i] > 0
		}
		return nil
	})
	return deleted, err
}

// seedTables lists those with triggers first: what those write elsewhere is
// then undone.
func seedTables(ctx context.Context, c *sql.Conn) (found []table, err error) {
	if _, err := c.ExecContext(ctx, "SET SESSION group_concat_max_len = 1000000"); err != nil {
		return nil, err
	}
	list := func(column, from, where, order string) string {
		return "COALESCE((SELECT GROUP_CONCAT(CONCAT('`', REPLACE(" + column + ", '`', '``'), '`') ORDER BY " + order + ") FROM information_schema." + from +
			" WHERE c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME AND " + where + "), '')"
	}
	const primary = "information_schema.STATISTICS c WHERE c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME AND c.INDEX_NAME = 'PRIMARY'"
	rows, err := c.QueryContext(ctx, `SELECT t.TABLE_NAME, t.AUTO_INCREMENT IS NOT NULL, COALESCE(t.AUTO_INCREMENT, 1),
			EXISTS (SELECT 1 FROM information_schema.TRIGGERS g
				WHERE g.EVENT_OBJECT_SCHEMA = t.TABLE_SCHEMA AND g.EVENT_OBJECT_TABLE = t.TABLE_NAME) AS triggers,
			`+list("c.COLUMN_NAME", "COLUMNS c", "c.EXTRA NOT LIKE '%GENERATED%'", "c.ORDINAL_POSITION")+`,
			IF(EXISTS (SELECT 1 FROM `+primary+` AND c.SUB_PART IS NOT NULL), '',
				`+list("c.COLUMN_NAME", "STATISTICS c", "c.INDEX_NAME = 'PRIMARY'", "c.SEQ_IN_INDEX")+`),
			EXISTS (SELECT 1 FROM information_schema.COLUMNS k WHERE k.TABLE_SCHEMA = t.TABLE_SCHEMA AND k.TABLE_NAME = t.TABLE_NAME
				AND k.EXTRA LIKE '%GENERATED%' AND k.COLUMN_NAME IN (SELECT c.COLUMN_NAME FROM `+primary+`)),
			`+list("c.COLUMN_NAME", "STATISTICS c", "c.INDEX_NAME <> 'PRIMARY' AND c.NON_UNIQUE = 0", "c.INDEX_NAME, c.SEQ_IN_INDEX")+`
		FROM information_schema.TABLES t
		WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_TYPE = 'BASE TABLE'
		ORDER BY triggers DESC, t.TABLE_NAME`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var t table
		if err := rows.Scan(&t.name, &t.counts, &t.next, &t.triggers, &t.columns, &t.primary, &t.generated, &t.unique); err != nil {
			return nil, err
		}
		found = append(found, t)
	}
	return found, rows.Err()
}

// byDifference deletes the rows that the copy does not have, and puts back what
// is missing or has changed. Rows that have another unique key than they had are
// deleted too: two may have changed places, and neither could go back first.
func (t table) byDifference(name, copy string) []string {
	var same, differs []string
	keys := columnNames(t.primary)
	for _, k := range keys {
		same = append(same, fmt.Sprintf("t.%s = s.%[1]s", k))
	}
	differs = append(differs, "s."+keys[0]+" IS NULL")
	for _, k := range columnNames(t.unique) {
		differs = append(differs, fmt.Sprintf("NOT t.%s <=> s.%[1]s", k))
	}
	var back []string
	for _, k := range columnNames(t.columns) {
		back = append(back, fmt.Sprintf("%s = VALUES(%[1]s)", k))
	}
	return []string{
		fmt.Sprintf("DELETE t FROM %s t LEFT JOIN %s s ON %s WHERE %s", name, copy, strings.Join(same, " AND "), strings.Join(differs, " OR ")),
		fmt.Sprintf("INSERT INTO %s (%s) SELECT %[2]s FROM %s ON DUPLICATE KEY UPDATE %s", name, t.columns, copy, strings.Join(back, ", ")),
	}
}

// columnNames cuts a list of quoted names.
func columnNames(list string) (names []string) {
	for _, t := range sqltext.Words(list) {
		if t.Kind == sqltext.Name {
			names = append(names, t.Text)
		}
	}
	return names
}

func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// discard is for sql.Conn.Raw: the pool then closes the connection.
func discard(any) error { return driver.ErrBadConn }
