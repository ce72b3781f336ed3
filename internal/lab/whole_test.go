package lab

import (
	"math"
	"strings"
	"testing"
	"unicode"
)

func TestWholeReadsAsPythonDoes(t *testing.T) {
	for text, want := range map[string]int64{
		"5": 5, "+5": 5, " 5 ": 5, "-5": -5, "-0": 0, "007": 7, "1_000": 1000, "\t5\n": 5, "\u00a05\u2003": 5, "\x1f5": 5,
		"٣": 3, "१२": 12, "\U0001d7d9": 1, "9223372036854775807": math.MaxInt64, "9223372036854775808": math.MaxInt64,
		"-99999999999999999999": -math.MaxInt64, strings.Repeat("9", mostDigits): math.MaxInt64, strings.Repeat("0", 100) + "7": 7,
	} {
		if got, err := whole(text); err != nil || got != want {
			t.Errorf("whole(%.40q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", " ", "+", "-", "_", "5_", "_5", "+_5", "5__0", "--5", "+-5", "+ 5", "5 5", "5.0", "1e3", "0x10", "five", "5\x00", "\x005",
		"½", "²", "五", "5\xff", "∞", "NaN", strings.Repeat("9", mostDigits+1),
	} {
		if got, err := whole(text); err == nil {
			t.Errorf("whole(%.40q) = %d; want an error", text, got)
		}
	}
}

// digit relies on it.
func TestUnicodeHasDecimalDigitsInRunsOfTen(t *testing.T) {
	for _, run := range unicode.Nd.R16 {
		if run.Stride != 1 || (run.Hi-run.Lo+1)%10 != 0 {
			t.Errorf("%x..%x by %d", run.Lo, run.Hi, run.Stride)
		}
	}
	for _, run := range unicode.Nd.R32 {
		if run.Stride != 1 || (run.Hi-run.Lo+1)%10 != 0 {
			t.Errorf("%x..%x by %d", run.Lo, run.Hi, run.Stride)
		}
	}
}
