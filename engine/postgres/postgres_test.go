package postgres_test

import (
	"database/sql"
	"fmt"
	"os"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/engine/postgres"
)

var snippets = enginetest.Dialect{
	Level: "SHOW transaction_isolation",
	// Chapter 13.2 of the manual: READ UNCOMMITTED behaves like READ COMMITTED,
	// and REPEATABLE READ is snapshot isolation.
	Allows: map[racelab.Level][]enginetest.Phenomenon{
		racelab.ReadUncommitted: {enginetest.NonRepeatableRead, enginetest.LostUpdate, enginetest.WriteSkew},
		racelab.ReadCommitted:   {enginetest.NonRepeatableRead, enginetest.LostUpdate, enginetest.WriteSkew},
		racelab.RepeatableRead:  {enginetest.WriteSkew},
	},
	Stale: map[racelab.Level]racelab.Class{
		racelab.RepeatableRead: racelab.SerializationFailure,
		racelab.Serializable:   racelab.SerializationFailure,
	},
	AfterError:  racelab.TransactionFailed,
	LockTimeout: "SET lock_timeout = '50ms'",
	Notice:      "DO $$BEGIN RAISE NOTICE 'careful'; END$$",
	Busy:        "SELECT pg_sleep(60)",
	Kill:        func(id racelab.ConnID) string { return fmt.Sprintf("SELECT pg_terminate_backend(%s)", id) },
	Databases:   "SELECT datname FROM pg_database",
	Open:        func(address string) (*sql.DB, error) { return sql.Open("pgx", address) },
	Unreachable: "postgres://someone:hunter2@127.0.0.1:1/nowhere",
}

var dsn = os.Getenv("RACELAB_TEST_POSTGRES_DSN")

func TestEngine(t *testing.T)       { enginetest.Run(t, postgres.Engine, dsn, snippets) }
func BenchmarkReset(b *testing.B)   { enginetest.BenchmarkReset(b, postgres.Engine, dsn) }
func BenchmarkBlocked(b *testing.B) { enginetest.BenchmarkBlocked(b, postgres.Engine, dsn) }
func BenchmarkState(b *testing.B)   { enginetest.BenchmarkState(b, postgres.Engine, dsn) }
