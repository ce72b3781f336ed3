package stage

import (
	"fmt"
	"sync"

	"github.com/racelab/racelab"
)

// A tally counts the calls of one run. One that has begun is unknown until it
// has come back, and stays so if it is cut off.
type tally struct {
	mu      sync.Mutex
	ok      int
	failed  map[racelab.Class]int
	unknown int
	odd     []error
}

func (t *tally) began() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unknown++
}

func (t *tally) ended(id racelab.SessionID, class racelab.Class, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if class == racelab.Other || class == racelab.ConnectionLost {
		t.odd = append(t.odd, fmt.Errorf("%s: %w", id, err))
	}
	switch class {
	case racelab.Canceled, racelab.ConnectionLost:
		return // its last statement may have been a COMMIT
	case racelab.OK:
		t.ok++
	default:
		t.failed[class]++
	}
	t.unknown--
}

// into adds the run's calls to a report.
func (t *tally) into(r *FreeReport) {
	const few = 3
	t.mu.Lock()
	defer t.mu.Unlock()
	r.OK += t.ok
	r.Unknown += t.unknown
	for class, n := range t.failed {
		r.Failed[class] += n
	}
	r.Errors = append(r.Errors, t.odd[:min(len(t.odd), max(few-len(r.Errors), 0))]...)
}
