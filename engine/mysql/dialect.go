package mysql

import (
	"fmt"
	"slices"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// Dialect is how MariaDB and MySQL speak.
var Dialect = racelab.Dialect{
	Levels: []racelab.Level{
		racelab.ReadCommitted,
		racelab.ReadUncommitted,
		racelab.RepeatableRead,
		racelab.RepeatableReadSnapshot, // MariaDB only: opening a world says so
		racelab.Serializable,
	},
	// MySQL 8 has FOR UPDATE OF; to MariaDB it is a syntax error.
	Features: racelab.SQL | racelab.RowLocks | racelab.NoWait | racelab.SkipLocked | racelab.AdvisoryLocks |
		racelab.Savepoints | racelab.Concurrent,

	Rebind: func(s string) string { return s },

	// GET_LOCK's names are the whole server's, so the world's is part of them.
	// Without the lock it answers 0, or NULL when its query is killed, and the
	// caller would go on. Here it is the exponent of a number out of range.
	AdvisoryLock: func(key int64) string {
		return fmt.Sprintf("SELECT EXP(IF(GET_LOCK(%s, %d) = 1, 0, 710))", lockName(key), forever)
	},
	AdvisoryUnlock: func(key int64) string { return fmt.Sprintf("SELECT RELEASE_LOCK(%s)", lockName(key)) },

	AutoKey:  func(column string) string { return column + " BIGINT AUTO_INCREMENT PRIMARY KEY" },
	Int32:    func(column string) string { return column + " INT" },
	Unsigned: func(column string) string { return column + " INT UNSIGNED" },

	// It looks at all unique keys of the table.
	Upsert: func(string) string { return "ON DUPLICATE KEY UPDATE" },

	// It is the connection's, and stays when the transaction ends.
	LockTimeout: func(seconds int) string { return fmt.Sprintf("SET innodb_lock_wait_timeout = %d", seconds) },

	Transactions: racelab.Transactions{Commits: commits},

	Locking:   locking,
	Isolation: isolation,
	Classify:  classify,
}

// commits: https://mariadb.com/kb/en/sql-statements-that-cause-an-implicit-commit/
func commits(text string) bool {
	words := sqltext.Words(text)
	if len(words) > 1 && words[1].Is("TEMPORARY") {
		return false
	}
	return len(words) > 0 && slices.ContainsFunc([]string{
		"BEGIN", "START", "ALTER", "ANALYZE", "CACHE", "CHANGE", "CHECK", "CREATE", "DROP", "FLUSH", "GRANT", "INSTALL", "LOCK",
		"OPTIMIZE", "RENAME", "REPAIR", "RESET", "REVOKE", "TRUNCATE", "UNINSTALL",
	}, words[0].Is)
}

func lockName(key int64) string { return fmt.Sprintf("CONCAT(DATABASE(), '-%d')", key) }

const (
	// forever is a year in seconds: the most that lock_wait_timeout takes.
	forever = 31536000
	// rowForever is the most that MariaDB's innodb_lock_wait_timeout takes;
	// from 10.6.3 on it means no limit. A timeout would end the statement and
	// leave the transaction going, which is no outcome of the schedule.
	rowForever = 100000000
)

// settings are the variables that change what a race does.
var settings = []string{
	"autocommit", "innodb_autoinc_lock_mode", "innodb_deadlock_detect", "innodb_lock_wait_timeout",
	"innodb_rollback_on_timeout", "innodb_snapshot_isolation", "lock_wait_timeout", "sql_mode",
	"transaction_isolation", "tx_isolation",
}
