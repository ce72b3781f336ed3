package lab

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/racelab/racelab"
)

const (
	mostRecords = 100_000 // that the tape keeps
	mostEvents  = 20_000  // in one answer
)

// A recording is what the workers did, in one order: of the calls that were
// asked for, or of all.
type recording struct {
	Events  []racelab.Event `json:"events"`
	At      []time.Duration `json:"at"`      // nanoseconds, from the first of them
	Dropped int             `json:"dropped"` // records of any request that the tape has forgotten
	Cut     int             `json:"cut"`     // events that were asked for and are above what one answer holds
}

// history answers with the events of the requests that are named, each by
// request=ID or all by prefix=START; with neither, of all requests.
func (l *Lab) history(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	wanted := func(name string) bool {
		prefix := query.Get("prefix")
		return slices.Contains(query["request"], name) || prefix != "" && strings.HasPrefix(name, prefix)
	}
	if !query.Has("request") && !query.Has("prefix") {
		wanted = func(string) bool { return true }
	}
	events, at := l.tape.History()
	found := recording{Events: []racelab.Event{}, At: []time.Duration{}, Dropped: l.tape.Dropped()}
	calls := map[racelab.CallID]bool{}
	first := time.Duration(0)
	for i, e := range events {
		if e.Kind == racelab.Called {
			name := ""
			if len(e.Op.Args) > 0 {
				name, _ = e.Op.Args[0].(string)
			}
			calls[e.Op.Call] = wanted(name)
			e.Op.Args = nil // it was for us
		}
		switch {
		case !calls[e.Op.Call]:
			continue
		case len(found.Events) == mostEvents:
			found.Cut++
			continue
		case len(found.Events) == 0:
			first = at[i]
		}
		found.Events = append(found.Events, e)
		found.At = append(found.At, at[i]-first)
	}
	reply(w, found)
}
