package stage

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// longest is the longest time that can be asked for: above it, somebody has
// mistaken the unit.
const longest = time.Hour

// A Span is a range of time; a free run's window is drawn from it.
type Span struct{ Min, Max time.Duration }

// ParseSpan reads a time or a range of times: 300ms, 0.3 (seconds), 300ms..1s.
// Neither end may be negative or above an hour, nor the first above the second.
func ParseSpan(s string) (Span, error) {
	first, last, isRange := strings.Cut(s, "..")
	if !isRange {
		last = first
	}
	low, err := ParseDuration(first)
	if err != nil {
		return Span{}, err
	}
	high, err := ParseDuration(last)
	if err != nil {
		return Span{}, err
	}
	if low > high {
		return Span{}, fmt.Errorf("%q is not a range of times: it begins above its end", s)
	}
	return Span{low, high}, nil
}

// ParseDuration reads a time from 0 to an hour: 300ms, 1m30s, or a plain number
// of seconds.
func ParseDuration(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	d, err := time.ParseDuration(s)
	if err != nil {
		// Only digits and one point: strconv also takes NaN, Inf, 1e3 and 0x1p4.
		seconds, bad := strconv.ParseFloat(s, 64)
		if bad != nil || strings.Trim(s, "0123456789.") != "" && !strings.HasPrefix(s, "-") {
			return 0, fmt.Errorf("%q is not a time: write it as 300ms, 2s or 0.3 (seconds)", s)
		}
		switch {
		case seconds < 0:
			d = -1
		case seconds > longest.Seconds():
			d = longest + 1
		default:
			d = time.Duration(seconds * float64(time.Second))
		}
	}
	switch {
	case d < 0:
		return 0, fmt.Errorf("%q is a negative time", s)
	case d > longest:
		return 0, fmt.Errorf("%q is longer than %s", s, longest)
	}
	return d, nil
}

// Draw returns a time of the span, each as likely as any other.
func (s Span) Draw(r *rand.Rand) time.Duration {
	if s.Max <= s.Min {
		return s.Min
	}
	return s.Min + time.Duration(r.Int64N(int64(s.Max-s.Min)+1))
}

// String gives the span as flags take it: 2s..3s.
func (s Span) String() string {
	if s.Min == s.Max {
		return s.Min.String()
	}
	return s.Min.String() + ".." + s.Max.String()
}
