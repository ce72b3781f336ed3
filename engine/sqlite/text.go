package sqlite

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/racelab/racelab"
)

// textOf prints a value as SQLite's shell does: a float always with a point.
func textOf(v racelab.Value) racelab.Value {
	switch v := v.(type) {
	case nil:
		return nil
	case float64:
		s := strconv.FormatFloat(v, 'g', 15, 64)
		if !strings.ContainsAny(s, ".eIN") {
			s += ".0"
		}
		return s
	case bool:
		if v {
			return "1"
		}
		return "0"
	default:
		return fmt.Sprint(v)
	}
}
