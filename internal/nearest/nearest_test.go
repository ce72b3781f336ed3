package nearest

import (
	"strings"
	"testing"
)

func TestUnknown(t *testing.T) {
	known := []string{"for-update", "immediate", "transaction"}
	for name, want := range map[string]string{
		"for-updat":   "did you mean for-update?",
		"Imediate":    "did you mean immediate?",
		"transcation": "did you mean transaction?",
		"zzz":         "there is for-update, immediate, transaction",
		"":            "there is for-update, immediate, transaction",
	} {
		if got := Unknown("strategy", name, known).Error(); !strings.HasSuffix(got, want) {
			t.Errorf("Unknown(%q) says %q, want %q", name, got, want)
		}
	}
}

func TestLevenshtein(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}} {
		if got := levenshtein(c.a, c.b); got != c.want {
			t.Errorf("levenshtein(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
