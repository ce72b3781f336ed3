package postgres

import (
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// locking: every statement takes table locks, but those of plain statements
// conflict only with DDL, which is none of the ordinary. Row locks are taken by
// writes and by SELECT ... FOR; a function may do anything.
// (https://www.postgresql.org/docs/15/explicit-locking.html)
func locking(text string, _ racelab.Level) racelab.Locking {
	const all = racelab.MayWait | racelab.MayHold | racelab.MayKeep | racelab.MayFree
	words := sqltext.Words(text)
	if len(words) == 0 {
		return 0
	}
	first := words[0]
	switch {
	case several(words):
		return all
	case first.Is("BEGIN"), first.Is("START"), first.Is("SAVEPOINT"), first.Is("RELEASE"), first.Is("SET"), first.Is("SHOW"):
		return 0
	case first.Is("ROLLBACK"):
		return racelab.MayFree
	case callsUnknown(words):
		return all
	case first.Is("SELECT"):
		for _, w := range words {
			if w.Is("FOR") {
				return racelab.MayWait | racelab.MayHold
			}
		}
		return 0
	case first.Is("INSERT"), first.Is("UPDATE"), first.Is("DELETE"), first.Is("WITH"), first.Is("COMMIT"):
		return racelab.MayWait | racelab.MayHold
	}
	return all
}

// several reports whether a text is more than one statement, or may be.
func several(words []sqltext.Token) bool {
	for i, w := range words {
		if w.Text == ";" && i < len(words)-1 || w.Text == "$" || strings.HasPrefix(w.Text, "$") {
			return true
		}
	}
	return false
}

// harmless are what may stand before a parenthesis without locking anything.
var harmless = map[string]bool{
	"count": true, "sum": true, "min": true, "max": true, "avg": true, "coalesce": true, "now": true, "length": true,
	"lower": true, "upper": true, "abs": true, "values": true, "in": true, "exists": true, "and": true, "or": true, "not": true,
	"as": true, "on": true, "using": true, "from": true, "where": true, "select": true, "returning": true, "conflict": true, "cast": true,
}

// callsUnknown reports whether a statement may call a function that is not
// known to be harmless. INSERT INTO t (...) looks like a call and is none.
func callsUnknown(words []sqltext.Token) bool {
	for i := 1; i+1 < len(words); i++ {
		if words[i].Kind == sqltext.Word && words[i+1].Text == "(" && !words[i-1].Is("INTO") && !harmless[strings.ToLower(words[i].Text)] {
			return true
		}
	}
	return false
}
