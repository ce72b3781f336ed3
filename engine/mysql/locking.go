package mysql

import (
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// locking: plain reads lock nothing but at SERIALIZABLE, where each is FOR
// SHARE. Row locks are held until the transaction ends, also after ROLLBACK TO
// SAVEPOINT. User locks belong to the connection.
// (https://mariadb.com/kb/en/innodb-lock-modes/, https://mariadb.com/kb/en/get_lock/)
func locking(text string, l racelab.Level) racelab.Locking {
	const all = racelab.MayWait | racelab.MayHold | racelab.MayKeep | racelab.MayFree
	words := sqltext.Words(text)
	if len(words) == 0 {
		return 0
	}
	for i, w := range words {
		if w.Kind == sqltext.Word && i+1 < len(words) && words[i+1].Text == "(" && strings.HasSuffix(strings.ToUpper(w.Text), "LOCK") {
			return all
		}
	}
	first := words[0]
	switch {
	case first.Is("BEGIN"), first.Is("START"), first.Is("SAVEPOINT"), first.Is("RELEASE"), first.Is("SET"), first.Is("SHOW"),
		first.Is("COMMIT"):
		return 0
	case first.Is("ROLLBACK"): // to a savepoint before the first row: InnoDB's transaction ends
		return racelab.MayFree
	case first.Is("SELECT") && l != racelab.Serializable:
		for _, w := range words {
			if w.Is("FOR") || w.Is("LOCK") {
				return racelab.MayWait | racelab.MayHold
			}
		}
		return 0
	case first.Is("SELECT"), first.Is("INSERT"), first.Is("UPDATE"), first.Is("DELETE"), first.Is("REPLACE"):
		return racelab.MayWait | racelab.MayHold
	}
	return all
}
