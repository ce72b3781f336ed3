package mysql

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
)

var suite = enginetest.Dialect{
	Level: "SELECT IF(@@SESSION.tx_isolation = 'REPEATABLE-READ' AND @@SESSION.innodb_snapshot_isolation, 'REPEATABLE READ SNAPSHOT', @@SESSION.tx_isolation)",
	Allows: map[racelab.Level][]enginetest.Phenomenon{
		racelab.ReadUncommitted:        {enginetest.DirtyRead, enginetest.NonRepeatableRead, enginetest.LostUpdate, enginetest.WriteSkew},
		racelab.ReadCommitted:          {enginetest.NonRepeatableRead, enginetest.LostUpdate, enginetest.WriteSkew},
		racelab.RepeatableRead:         {enginetest.LostUpdate, enginetest.WriteSkew},
		racelab.RepeatableReadSnapshot: {enginetest.WriteSkew},
	},
	Stale: map[racelab.Level]racelab.Class{
		racelab.RepeatableReadSnapshot: racelab.SerializationFailure,
		racelab.Serializable:           racelab.Deadlock,
	},
	LockTimeout: "SET SESSION innodb_lock_wait_timeout = 1",
	Notice:      "SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT = 'careful'",
	Busy:        "SELECT BENCHMARK(1000000000000, MD5('racelab'))",
	Kill:        func(id racelab.ConnID) string { return "KILL " + string(id) },
	Databases:   "SHOW DATABASES",
	Open: func(address string) (*sql.DB, error) {
		config, err := parseDSN(address)
		if err != nil {
			return nil, err
		}
		return sql.Open("mysql", config.FormatDSN())
	},
	Unreachable: "mysql://somebody:hunter2@127.0.0.1:1/",
}

func TestPrivateServer(t *testing.T) { enginetest.Run(t, Engine, "", suite) }

// The named server may be MySQL 8, which has no level of snapshots. If nobody
// names one, it is one of our own that does not know it.
func TestNamedServer(t *testing.T) {
	dsn := os.Getenv("RACELAB_TEST_MYSQL_DSN")
	if dsn == "" {
		enginetest.Require(t, Engine)
		own, err := Engine.Start(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		dsn = "mysql://root@/before?socket=" + url.QueryEscape(own.(*server).config.Addr)
		admin, err := own.(*server).admin("")
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		if _, err := admin.ExecContext(t.Context(), "CREATE DATABASE `before`"); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Engine.Start(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	product := s.Product()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	e, d := Engine, suite
	if product.Name == "MySQL" {
		e.Dialect.Levels = nil
		for _, level := range Engine.Dialect.Levels {
			if level != racelab.RepeatableReadSnapshot {
				e.Dialect.Levels = append(e.Dialect.Levels, level)
			}
		}
		d.Level = "SELECT @@SESSION.transaction_isolation"
	}
	t.Log(fmt.Sprint("runs on ", product.Name, " ", product.Version))
	enginetest.Run(t, e, dsn, d)
}

func BenchmarkReset(b *testing.B)   { enginetest.BenchmarkReset(b, Engine, "") }
func BenchmarkBlocked(b *testing.B) { enginetest.BenchmarkBlocked(b, Engine, "") }
func BenchmarkState(b *testing.B)   { enginetest.BenchmarkState(b, Engine, "") }
