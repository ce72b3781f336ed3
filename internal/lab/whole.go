package lab

import (
	"errors"
	"math"
	"strings"
	"unicode"
)

// mostDigits is where Python stops to read whole numbers.
// (https://docs.python.org/3/library/stdtypes.html#int-max-str-digits)
const mostDigits = 4300

var errNotWhole = errors.New("not a whole number")

// whole reads a whole number as Python's int() does, because the reference
// laboratory does: with white space around it, a sign, single underscores
// between the digits, and the decimal digits of any script. A number beyond 64
// bits gives the nearest that fits.
// (https://docs.python.org/3/library/functions.html#int)
func whole(s string) (int64, error) {
	s = strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f })
	negative := strings.HasPrefix(s, "-")
	if negative || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	var n int64
	digits, afterDigit := 0, false
	for _, r := range s {
		if r == '_' && afterDigit {
			afterDigit = false
			continue
		}
		d, ok := digit(r)
		if !ok {
			return 0, errNotWhole
		}
		afterDigit = true
		if digits++; digits > mostDigits {
			return 0, errNotWhole
		}
		if n > (math.MaxInt64-d)/10 {
			n = math.MaxInt64
		} else {
			n = n*10 + d
		}
	}
	if !afterDigit { // no digit at all, or an underscore at the end
		return 0, errNotWhole
	}
	if negative {
		n = -n
	}
	return n, nil
}

// digit returns the value of a decimal digit. Unicode has them in runs of ten,
// from 0 to 9, and some runs follow on each other.
func digit(r rune) (int64, bool) {
	if '0' <= r && r <= '9' {
		return int64(r - '0'), true
	}
	for _, run := range unicode.Nd.R16 {
		if rune(run.Lo) <= r && r <= rune(run.Hi) {
			return int64(r-rune(run.Lo)) % 10, true
		}
	}
	for _, run := range unicode.Nd.R32 {
		if rune(run.Lo) <= r && r <= rune(run.Hi) {
			return int64(r-rune(run.Lo)) % 10, true
		}
	}
	return 0, false
}
