package racelab

// An EventKind says what an event of a history is.
type EventKind string

const (
	Called   EventKind = "called"   // a call began; Op holds its session and call
	Entered  EventKind = "entered"  // an operation was let in
	Waiting  EventKind = "waiting"  // it waits, on On
	Left     EventKind = "left"     // it is done, with Result
	Returned EventKind = "returned" // a call ended, with Result
	Ticked   EventKind = "ticked"   // virtual time passed, to when the next sleeper wakes
)

// An Event is one thing that happened. It holds no time, no process number and
// no message of a server: the same schedule gives the same events.
type Event struct {
	Op   Op          `json:"op"`
	Kind EventKind   `json:"kind"`
	On   []SessionID `json:"on,omitempty"`
	What string      `json:"what,omitempty"` // of a wait: the kind of lock
	// Outside is why control was lost: nobody of this run is waited for.
	Outside string `json:"outside,omitempty"`
	Result  Result `json:"result,omitzero"`
	// Ready are, under control, the choices there were when an operation was
	// let in or time passed, its own among them, in the order of the sessions,
	// each with its faults and other victims after it.
	Ready []Choice `json:"-"`
}

// A History is what happened in a run, in order, and what it left.
type History struct {
	Events []Event `json:"events"`
	Final  State   `json:"final"`
}

// Choice returns the decision of a schedule that an event is, if it is one.
func (e Event) Choice() (Choice, bool) {
	switch e.Kind {
	case Entered:
		return Choice{Session: e.Op.Session, Step: e.Op.Step, Fault: e.Op.Fault, Victim: e.Op.Victim, Case: e.Op.Case}, true
	case Ticked:
		return Choice{Tick: true}, true
	}
	return Choice{}, false
}
