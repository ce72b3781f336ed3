package sqltext

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTokens(t *testing.T) {
	for text, want := range map[string][]Token{
		"": nil,
		"SELECT a.b, 'it''s' -- why?\nFROM \"T\"": {
			{Word, "SELECT", 0}, {Word, "a", 7}, {Symbol, ".", 8}, {Word, "b", 9}, {Symbol, ",", 10},
			{String, "'it''s'", 12}, {Word, "FROM", 28}, {Name, `"T"`, 33}},
		"x=? /* ? */ + 1.5": {{Word, "x", 0}, {Symbol, "=", 1}, {Placeholder, "?", 2}, {Symbol, "+", 12}, {Number, "1.5", 14}},
		"'open":             {{String, "'open", 0}},
		"/* open":           nil,
	} {
		if diff := cmp.Diff(want, Tokens(text), cmp.Transformer("empty", func(ts []Token) []Token {
			if len(ts) == 0 {
				return nil
			}
			return ts
		})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	if got := (Token{Kind: String, Text: "'it''s'"}).Inside(); got != "it's" {
		t.Errorf("inside is %q", got)
	}
}

func FuzzScan(f *testing.F) {
	f.Add("SELECT 'a' -- b\n/* c */ ? `d`\x00\xff")
	f.Fuzz(func(t *testing.T, text string) {
		var b strings.Builder
		for _, token := range Scan(text) {
			if token.Text == "" || token.At != b.Len() {
				t.Fatalf("token %+v at %d", token, b.Len())
			}
			_ = token.Inside()
			b.WriteString(token.Text)
		}
		if b.String() != text {
			t.Errorf("the tokens of %q are %q", text, b.String())
		}
	})
}
