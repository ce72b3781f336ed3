package mysql

import (
	"context"
	"database/sql"
	"strings"

	"github.com/racelab/racelab/internal/sqltext"
)

// InnoDB only marks what a statement deletes. The mark goes with the purge,
// whenever that comes, and until then is locked like a row. Changing a column
// of an index deletes the index's entry too. Inserting marks nothing, also if it
// is rolled back; nor does changing what no index has.

// remains says what a world's statements may leave to the purge.
type remains struct {
	// indexed are the columns, in lower case, of all the tables' indexes.
	indexed map[string]bool
	// always: the tables are such that a statement's text does not tell.
	always bool
}

// What a statement may leave to the purge.
type leaving int

const (
	nothing leaving = iota
	marks
	anything // also in the statements after it: it may change what the tables are
)

// readRemains reads the tables' indexes, and what changes rows that no
// statement's text names: triggers, functions, views, generated columns.
// Foreign keys change others than the text says only from a column with an index.
func readRemains(ctx context.Context, c *sql.Conn) (remains, error) {
	r := remains{indexed: map[string]bool{}}
	rows, err := c.QueryContext(ctx, `SELECT COALESCE(s.INDEX_TYPE NOT IN ('BTREE', 'HASH')
				OR c.EXTRA LIKE '%GENERATED%' OR c.EXTRA LIKE '%on update%', 1), COALESCE(s.COLUMN_NAME, '')
			FROM information_schema.STATISTICS s
			LEFT JOIN information_schema.COLUMNS c USING (TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME)
			WHERE s.TABLE_SCHEMA = DATABASE()
		UNION SELECT 1, '' FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE <> 'BASE TABLE'
		UNION SELECT 1, '' FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()
		UNION SELECT 1, '' FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE()
		UNION SELECT 1, '' FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = DATABASE() AND PARTITION_NAME IS NOT NULL`)
	if err != nil {
		return r, err
	}
	defer rows.Close()
	for rows.Next() {
		var hidden bool
		var column string
		if err := rows.Scan(&hidden, &column); err != nil {
			return r, err
		}
		r.always = r.always || hidden
		r.indexed[strings.ToLower(column)] = true
	}
	return r, rows.Err()
}

// of reads the text as if names were keywords and the other way round: what it
// is not sure of leaves something.
func (r remains) of(text string) leaving {
	// Where strings and comments end depends on the session's mode; a comment
	// with an exclamation mark is run.
	for _, s := range []string{`\`, "#", "--", "/*!", "/*M!"} {
		if strings.Contains(text, s) {
			return anything
		}
	}
	words := sqltext.Words(text)
	for len(words) > 0 && words[len(words)-1].Text == ";" {
		words = words[:len(words)-1]
	}
	if len(words) == 0 {
		return nothing
	}
	for _, w := range words {
		if w.Text == ";" {
			return anything
		}
	}
	is := func(keywords ...string) bool {
		for _, k := range keywords {
			if words[0].Is(k) {
				return true
			}
		}
		return false
	}
	switch {
	case is("SELECT", "BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SHOW", "KILL", "LOCK", "UNLOCK"):
		return nothing
	case is("SET") && !(len(words) > 1 && words[1].Is("STATEMENT")):
		return nothing
	case is("INSERT"):
		return r.assigning(words, "UPDATE") // ON DUPLICATE KEY
	case is("UPDATE"):
		return r.assigning(words, "SET")
	case is("DELETE", "REPLACE"):
		return marks
	}
	return anything
}

// assigning judges a statement by what stands behind the keyword.
func (r remains) assigning(words []sqltext.Token, keyword string) leaving {
	assigns, depth := false, 0
	for _, w := range words {
		switch {
		case w.Is("PORTION"): // UPDATE t FOR PORTION OF: inserts, and moves ends
			return marks
		case !assigns:
			assigns = w.Is(keyword)
			continue
		case w.Text == "(":
			depth++
		case w.Text == ")":
			depth--
		case w.Is("WHERE") && depth == 0:
			return nothing
		}
		if r.names(w) {
			return marks
		}
	}
	return nothing
}

// names reports whether the token may be the name of a column of an index.
func (r remains) names(t sqltext.Token) bool {
	if t.Kind == sqltext.Symbol || t.Kind == sqltext.Placeholder || t.Kind == sqltext.String {
		return false
	}
	name := strings.ToLower(t.Inside())
	if t.Kind == sqltext.Number { // of a table whose name is one
		name = name[strings.LastIndexByte(name, '.')+1:]
	}
	for i := range len(name) {
		if name[i] >= 0x80 { // the server has é for e
			return true
		}
	}
	return r.indexed[name]
}
