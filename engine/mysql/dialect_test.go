package mysql

import (
	"testing"

	"github.com/racelab/racelab"
)

// MariaDB answers NULL then, and no error: the caller would believe that it has
// the lock.
func TestAnAdvisoryLockThatWasNotGotIsAnError(t *testing.T) {
	w := openWorld(t, "")
	a, b := connectTo(t, w), connectTo(t, w)
	do(t, a, Dialect.AdvisoryLock(3))
	waiting := begin(t, b, Dialect.AdvisoryLock(3))
	do(t, a, "KILL QUERY "+string(b.ID()))
	if err := <-waiting; classify(err) != racelab.LockTimeout {
		t.Errorf("a wait that was killed ended with %v", err)
	}
	do(t, a, Dialect.AdvisoryUnlock(3))
	do(t, b, Dialect.AdvisoryLock(3), Dialect.AdvisoryUnlock(3))
}
