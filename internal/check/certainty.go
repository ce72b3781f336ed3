package check

// A certainty is an answer that may be open. An explanation is built on yes
// first, and on maybe only where there is none otherwise.
type certainty uint8

const (
	no certainty = iota
	maybe
	yes
)

func decide(b bool) certainty {
	if b {
		return yes
	}
	return no
}
