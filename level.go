package racelab

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// A Level is an isolation level, by its SQL name.
type Level string

const (
	ReadUncommitted Level = "READ UNCOMMITTED"
	ReadCommitted   Level = "READ COMMITTED"
	RepeatableRead  Level = "REPEATABLE READ"
	// RepeatableReadSnapshot is MariaDB's REPEATABLE READ with
	// innodb_snapshot_isolation=ON: a write to a row that changed since the
	// snapshot fails, instead of overwriting what it never read.
	RepeatableReadSnapshot Level = "REPEATABLE READ SNAPSHOT"
	Serializable           Level = "SERIALIZABLE"
	// SequentialConsistency is no level of a database, but what shared memory
	// is taken to promise (L. Lamport, 1979): every operation is done at once,
	// and all sessions see them in the same order.
	SequentialConsistency Level = "SEQUENTIAL CONSISTENCY"
)

var levels = []Level{ReadUncommitted, ReadCommitted, RepeatableRead, RepeatableReadSnapshot, Serializable, SequentialConsistency}

// ParseLevel reads a level's SQL name, in any case, with spaces, hyphens or
// underscores between the words.
func ParseLevel(s string) (Level, error) {
	l := Level(strings.ToUpper(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" -_", r) }), " ")))
	if slices.Contains(levels, l) {
		return l, nil
	}
	return "", fmt.Errorf("unknown isolation level %q", s)
}

// Compare orders levels by what they forbid, the weakest first.
func (l Level) Compare(o Level) int { return slices.Index(levels, l) - slices.Index(levels, o) }

// SQL returns the level as database/sql spells it.
func (l Level) SQL() sql.IsolationLevel {
	switch l {
	case ReadUncommitted:
		return sql.LevelReadUncommitted
	case ReadCommitted:
		return sql.LevelReadCommitted
	case RepeatableRead, RepeatableReadSnapshot:
		return sql.LevelRepeatableRead
	case Serializable:
		return sql.LevelSerializable
	}
	return sql.LevelDefault
}

// LevelOf returns the level that database/sql calls i, or "" for the
// connection's own default and for levels that no engine here has.
func LevelOf(i sql.IsolationLevel) Level {
	for _, l := range levels {
		if l.SQL() == i && l != RepeatableReadSnapshot && l != SequentialConsistency {
			return l
		}
	}
	return ""
}
