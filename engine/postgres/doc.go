// Package postgres is the engine for PostgreSQL 13 and later: a private server
// that it starts itself, or one that a DSN names.
//
// # Who waits for whom
//
// pg_blocking_pids reads the lock table under its locks, so its answer is exact
// at the moment it is asked, in some 50 µs. It sees heavyweight locks: rows (as
// a wait for the transaction that wrote them), tables, advisory locks. The
// wait of a SERIALIZABLE READ ONLY DEFERRABLE transaction for a safe snapshot
// is asked for beside it.
//
// # Reset
//
// A new database takes 200 ms and TRUNCATE a file per table, so a reset deletes
// all rows and copies them back from a second schema, racelab_seed, in one
// message. Sequences go on counting: who compares keys labels them.
package postgres
