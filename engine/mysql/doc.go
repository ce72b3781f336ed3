// Package mysql is the engine for MariaDB and MySQL.
//
// Without a DSN it starts a private server from the binaries on this machine:
// on a unix socket in a folder of its own, without grant tables, and without
// any care for what a power failure would lose. With a DSN it works in new
// databases named racelab_..., and drops only those.
//
// Who waits is read from SHOW ENGINE INNODB STATUS, after its TRANSACTIONS
// header, and from the process list, which knows of the waits outside InnoDB:
// metadata locks and GET_LOCK. The tables innodb_trx and innodb_lock_waits come
// from a cache that is filled only after a tenth of a second without readers,
// so a fast poller reads the past there for ever.
//
// What is here was tested on MariaDB. What differs on MySQL 8 is written from
// its manual.
package mysql
