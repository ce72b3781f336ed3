package check

import (
	"fmt"
	"math"
	"strconv"

	"github.com/racelab/racelab"
)

// appendOutcome appends to b what a run comes to, to the letter: what its calls
// returned and the final state. Two runs that append the same are judged alike,
// if they are whole: all calls have returned, and none in a way that its own
// steps explain.
func appendOutcome(b []byte, h racelab.History) (text []byte, whole bool) {
	open, broken := 0, false
	for i := range h.Events {
		switch e := &h.Events[i]; e.Kind {
		case racelab.Called:
			open++
		case racelab.Returned:
			open--
			broken = broken || e.Result.Class == racelab.Misuse || e.Result.Class == racelab.Panicked
			b = appendText(b, string(e.Op.Call))
			b = appendText(b, string(e.Result.Class))
			b = appendValue(b, e.Result.Value)
		}
	}
	for _, t := range h.Final {
		b = appendText(b, t.Name)
		for _, c := range t.Columns { // of memory they stand in the order in which a run made them
			b = appendText(b, c)
		}
		b = append(strconv.AppendInt(b, int64(len(t.Rows)), 10), ';')
		for _, row := range t.Rows {
			for _, v := range row {
				b = appendValue(b, v)
			}
		}
	}
	return b, open == 0 && !broken
}

// appendText appends a text with its length, so that no two lists of texts are
// the same.
func appendText(b []byte, s string) []byte {
	b = strconv.AppendInt(b, int64(len(s)), 10)
	return append(append(b, ':'), s...)
}

func appendValue(b []byte, v racelab.Value) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, 'n')
	case bool:
		return strconv.AppendBool(b, v)
	case int64:
		return append(strconv.AppendInt(append(b, 'i'), v, 10), ';')
	case float64:
		return append(strconv.AppendUint(append(b, 'f'), math.Float64bits(v), 16), ';')
	case string:
		return appendText(append(b, 's'), v)
	default:
		return appendText(append(b, 'x'), fmt.Sprintf("%T %v", v, v))
	}
}
