package lab

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/racelab/racelab"
)

// Headers of the laboratory's answers, and of requests to it.
const (
	strategyHeader = "Racelab-Strategy" // which strategy ran, or would have
	classHeader    = "Racelab-Class"    // how the call ended: a racelab.Class, or one of those below
	requestHeader  = "Racelab-Request"  // the request's name, kept in its ledger row

	// Between front and worker only.
	windowHeader  = "Racelab-Window"
	recordsHeader = "Racelab-Records"
)

// How a request ended that is no finished call of a strategy.
const (
	badRequest   racelab.Class = "bad-request"   // it makes no sense here, and did not run
	notAvailable racelab.Class = "not-available" // the strategy is not, on this engine
	overloaded   racelab.Class = "overloaded"    // it was turned away unrun
	unknown      racelab.Class = "unknown"       // it may have run, or may still: no answer came
)

// A problem is an error for programs: RFC 9457.
type problem struct {
	Type   string        `json:"type"`
	Title  string        `json:"title"`
	Status int           `json:"status"`
	Detail string        `json:"detail"`
	Class  racelab.Class `json:"class"`
}

// An answer is a worker's, or the front's own.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// problemAnswer is the answer that something failed.
func problemAnswer(status int, class racelab.Class, detail string) answer {
	a := answer{status: status, header: http.Header{}}
	a.header.Set("Content-Type", "application/problem+json")
	a.header.Set(classHeader, string(class))
	a.body, _ = json.Marshal(problem{"about:blank", http.StatusText(status), status, detail, class}) // strings and a number
	a.body = append(a.body, '\n')
	return a
}

// write gives the answer, with those of its headers that are for the outside.
func (a answer) write(w http.ResponseWriter) {
	for _, name := range []string{"Content-Type", classHeader} {
		if v := a.header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // whoever asked may be gone
}

func fail(w http.ResponseWriter, status int, class racelab.Class, detail string) {
	problemAnswer(status, class, detail).write(w)
}

// reply answers with v as JSON.
func reply(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		fail(w, http.StatusInternalServerError, racelab.Other, "write the answer as JSON: "+err.Error())
		return
	}
	answer{http.StatusOK, http.Header{"Content-Type": {"application/json"}}, append(b, '\n')}.write(w)
}
