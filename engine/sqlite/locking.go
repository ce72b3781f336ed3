package sqlite

import (
	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// locking: there is one lock, for writing. Readers neither take it nor wait.
func locking(text string, _ racelab.Level) racelab.Locking {
	words := sqltext.Words(text)
	switch {
	case len(words) == 0:
		return 0
	case words[0].Is("BEGIN") && len(words) > 1 && (words[1].Is("IMMEDIATE") || words[1].Is("EXCLUSIVE")):
		return racelab.MayWait | racelab.MayHold
	case words[0].Is("BEGIN"), words[0].Is("COMMIT"), words[0].Is("END"), words[0].Is("SAVEPOINT"), words[0].Is("PRAGMA"):
		return 0
	case words[0].Is("ROLLBACK"), words[0].Is("RELEASE"):
		return racelab.MayFree
	case writes(words):
		return racelab.MayWait | racelab.MayHold
	}
	return 0
}
