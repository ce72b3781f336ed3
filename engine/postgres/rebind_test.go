package postgres

import (
	"strconv"
	"strings"
	"testing"
)

func TestRebind(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"none", "SELECT 1", "SELECT 1"},
		{"in order", "SELECT ?, ?", "SELECT $1, $2"},
		{"beside an operator", "a=?AND b<?", "a=$1AND b<$2"},
		{"in a text", "SELECT '?', ?", "SELECT '?', $1"},
		{"after a doubled quote", "SELECT 'it''s ?', ?", "SELECT 'it''s ?', $1"},
		{"a backslash does not escape", `SELECT '\', ?`, `SELECT '\', $1`},
		{"a backslash escapes in E''", `SELECT E'\'?', ?`, `SELECT E'\'?', $1`},
		{"a name that ends in e", `SELECT type'\', ?`, `SELECT type'\', $1`},
		{"in a name", `SELECT "?", ?`, `SELECT "?", $1`},
		{"in a comment", "SELECT 1 -- ?\n, ?", "SELECT 1 -- ?\n, $1"},
		{"in a nested comment", "/* /* ? */ ? */ ?", "/* /* ? */ ? */ $1"},
		{"between dollars", "SELECT $$?$$, $x$ $y$ ? $$ $x$, ?", "SELECT $$?$$, $x$ $y$ ? $$ $x$, $1"},
		{"a dollar in a name", "SELECT a$?", "SELECT a$$1"},
		{"not closed", "SELECT '?", "SELECT '?"},
		{"minus", "SELECT 1 - ?", "SELECT 1 - $1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := rebind(test.in); got != test.want {
				t.Errorf("rebind(%q) = %q, want %q", test.in, got, test.want)
			}
		})
	}
}

// FuzzRebind checks that nothing changes except some ?, which become $1, $2
// and so on in order.
func FuzzRebind(f *testing.F) {
	for _, s := range []string{"?", "'?'", `E'\'?'?`, "$a$?$a$?", "/*/*?*/", "--?\r?", `"?`, "$1$?$"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out := rebind(in)
		n, rest := 0, out
		for i := range len(in) {
			number := "$" + strconv.Itoa(n+1)
			switch {
			case in[i] == '?' && strings.HasPrefix(rest, number):
				n++
				rest = rest[len(number):]
			case rest != "" && rest[0] == in[i]:
				rest = rest[1:]
			default:
				t.Fatalf("rebind(%q) = %q: byte %d is neither kept nor numbered", in, out, i)
			}
		}
		if rest != "" {
			t.Fatalf("rebind(%q) = %q: %q was added", in, out, rest)
		}
		if n == 0 && strings.Contains(in, "?") && !strings.ContainsAny(in, `'"-/$`) {
			t.Fatalf("rebind(%q) = %q: a bare ? was left", in, out)
		}
	})
}
