package racelab

// A VerdictKind is what a history or a set of them proves.
type VerdictKind string

const (
	Holds    VerdictKind = "holds"
	Violated VerdictKind = "violated"
	Unknown  VerdictKind = "unknown" // never to be shown as success
)

// A Verdict is what was decided, and why.
type Verdict struct {
	Kind    VerdictKind
	Why     string // one sentence
	Witness *Run   // of a violation
}
