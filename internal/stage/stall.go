package stage

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/control"
)

// A Stall is a run that did not end in time.
type Stall struct {
	Run racelab.Run // until then; without events if it never began
	Who []string    // who was in the middle of what, one sentence each
}

const (
	longWait = 3 * time.Second // until a run that goes on is said to wait, and again
	mercy    = 2 * time.Second // for calls to come back when they have been cut off
)

// wait waits for a run's calls. When the time is over it cuts them off, and
// returns how they stood just before. A call that does not come back even then,
// because it waits for something of the program's own, is left behind.
func wait(ctx context.Context, cut func(), f Free, calls func(), tape *control.Tape, who func([]racelab.Event) []string) (stall *Stall) {
	ended := make(chan struct{})
	go func() { calls(); close(ended) }()
	look := time.NewTicker(longWait)
	defer look.Stop()
	var limit, gone <-chan time.Time
	if f.Timeout > 0 {
		timer := time.NewTimer(f.Timeout)
		defer timer.Stop()
		limit = timer.C
	}
	stopped := ctx.Done()
	for {
		select {
		case <-ended:
			return stall
		case <-gone:
			return stall
		case <-look.C:
			if f.Waiting != nil {
				events, _ := tape.History()
				f.Waiting(who(events))
			}
		case <-limit:
			events, at := tape.History()
			stall = &Stall{Run: racelab.Run{History: racelab.History{Events: events}, At: at}, Who: who(events)}
			cut()
		case <-stopped:
			stopped = nil
			timer := time.NewTimer(mercy)
			defer timer.Stop()
			gone = timer.C
		}
	}
}

// whereabouts says who is in a call when a history of shared memory ends. It has no
// operations, so the runtime is asked where each one is.
func whereabouts(recorder *control.Recorder) func([]racelab.Event) []string {
	return func(events []racelab.Event) []string {
		last := map[racelab.SessionID]racelab.Event{}
		for _, e := range events {
			last[e.Op.Session] = e
		}
		var who []string
		for _, id := range slices.Sorted(maps.Keys(last)) {
			switch e := last[id]; {
			case e.Kind == racelab.Returned:
			case e.Kind == racelab.Entered:
				who = append(who, middle(e)) // its window
			default:
				who = append(who, fmt.Sprintf("%s %s", id, cmp.Or(recorder.Waits(id), "runs, and does not come to an end")))
			}
		}
		if who == nil {
			who = []string{"the calls have returned, and something that they have started has not ended"}
		}
		return who
	}
}

// pending says of each session that is in a call when the history ends what it
// is in the middle of, first of those that wait for others.
func pending(events []racelab.Event) []string {
	last := map[racelab.SessionID]racelab.Event{}
	for _, e := range events {
		if e.Kind == racelab.Returned {
			delete(last, e.Op.Session)
		} else {
			last[e.Op.Session] = e
		}
	}
	ids := make([]racelab.SessionID, 0, len(last))
	for id := range last {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b racelab.SessionID) int {
		if waits := last[a].Kind == racelab.Waiting; waits != (last[b].Kind == racelab.Waiting) {
			if waits {
				return -1
			}
			return 1
		}
		return cmp.Or(len(a)-len(b), strings.Compare(string(a), string(b)))
	})
	who := make([]string, len(ids))
	for i, id := range ids {
		who[i] = middle(last[id])
	}
	return who
}

// middle says what a session whose latest event that is does.
func middle(e racelab.Event) string {
	at := fmt.Sprintf("%s (%s)", e.Op.Name(), strings.Join(strings.Fields(e.Op.Text), " "))
	switch {
	case e.Kind == racelab.Called:
		return fmt.Sprintf("%s is in its own code, before its first statement", e.Op.Session)
	case e.Kind == racelab.Left:
		return fmt.Sprintf("%s is in its own code, after %s", e.Op.Session, at)
	case e.Kind == racelab.Entered && e.Op.Kind == racelab.Window:
		return fmt.Sprintf("%s lets its window (%s) pass", e.Op.Session, e.Op.Text)
	case e.Kind == racelab.Entered:
		return fmt.Sprintf("%s has no answer yet", at)
	}
	lock := "a lock"
	if e.What != "" {
		lock = "the " + e.What + " lock"
	}
	text := at + " waits for " + lock
	holders := make([]string, len(e.On))
	for i, s := range e.On {
		holders[i] = string(s)
	}
	switch {
	case len(holders) > 0:
		return text + ", which " + strings.Join(holders, " and ") + " holds"
	case e.Outside != "":
		return text + ": " + e.Outside
	}
	return text
}
