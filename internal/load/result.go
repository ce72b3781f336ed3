package load

import "time"

// An Outcome is what is known of a request.
type Outcome string

const (
	Acknowledged Outcome = "acknowledged" // answered with 2xx, to the end
	Failed       Outcome = "failed"       // answered otherwise, or it surely never arrived
	Unknown      Outcome = "unknown"      // it may have run, or may still
	Recorded     Outcome = "recorded"     // it was unknown, and its row is in the ledger
	NotSent      Outcome = "not-sent"
)

// Classes of requests that ended without an answer that says how. The others
// are the answer's Racelab-Class, or http-NNN.
const (
	ok                = "ok"
	connectionRefused = "connection-refused"
	notConnected      = "not-connected" // no connection for another reason, or not in time
	reset             = "reset"         // the connection broke before the answer's end
	timeout           = "timeout"
	badGateway        = "bad-gateway"
	gatewayTimeout    = "gateway-timeout"
	badAnswer         = "bad-answer"  // what came is not HTTP, or too much
	interrupted       = "interrupted" // cut off when the run was stopped
	notSent           = "not-sent"
	redirect          = "redirect"
)

// A Result is what came of one request.
type Result struct {
	I       int // counted from 1
	Outcome Outcome
	Status  int // 0: no answer
	Class   string
	Detail  string // what the answer says about a failure, for people; it is the server's text
	// Strategy is what the lab says it ran.
	Strategy string

	Intended time.Duration // when it was to be sent, from the start of the run
	Sent     time.Duration // when it was written; -1 if it never was
	Latency  time.Duration // from the intended start to the end of the answer
}

// connected reports whether the request reached a server and was left to end
// by itself: what its latency says something about.
func (r Result) connected() bool {
	return r.Sent >= 0 && r.Class != interrupted
}
