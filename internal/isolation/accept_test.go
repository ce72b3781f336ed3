package isolation_test

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/internal/spec"
)

// words are what small files are made of: whole parts, their pieces, and what
// is between or beside them.
var words = []string{
	"setup { x }", "teardown {}", "session s", `session "s"`, "step a { SELECT 1; }", "step b {\n}", `step "c d" { } `, "permutation a", "permutation b a",
	"(*)", "(b)", "( b notices 2 )", "(a, *)", `("c d" , b notices 0)`, "a", "b",
	"setup", "teardown", "session", "step", "permutation", "notices", "{", "}", "{x}", "(", ")", ",", "*", "1", "23", "a1", "1a", "_", "é", "$", "a$",
	`"`, `""`, `"a""b"`, "\"\n\"", "#", "# c\n", "# c\r", "\n", "\r", "\t", "\f", "\v", ";", "'}'", "\x01",
}

// valid are files into which words are thrown.
var valid = []string{
	"session s step a {} session t step b {}",
	`setup { x } session s setup { y } step a {} teardown {} session t step b {} step "c d" { z } teardown {} permutation a b "c d" permutation b a`,
}

// A syntax error comes first, then what is wrong with names, and only then is a
// database missing, which is as far as the reference program can get here.
func TestParseAcceptsWhatTheReferenceProgramAccepts(t *testing.T) {
	program := enginetest.RequireIsolationTester(t)
	accepted, rejected := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom(words)
		parts := rapid.SliceOfN(word, 0, 6).Draw(t, "words")
		if base := rapid.SampledFrom(append([]string{""}, valid...)).Draw(t, "file"); base != "" {
			parts = strings.SplitAfter(base, " ")
			for range rapid.IntRange(0, 2).Draw(t, "changes") {
				at := rapid.IntRange(0, len(parts)).Draw(t, "at")
				end := min(len(parts), at+rapid.IntRange(0, 1).Draw(t, "removed"))
				parts = append(append(append([]string{}, parts[:at]...), word.Draw(t, "word")), parts[end:]...)
			}
		}
		src := strings.Join(parts, rapid.SampledFrom([]string{"", " "}).Draw(t, "between"))

		cmd := exec.Command(program, "host=/nowhere")
		cmd.Stdin = strings.NewReader(src)
		said, _ := cmd.CombinedOutput() // it never succeeds
		want := bytes.Contains(said, []byte("Parsed test spec with "))
		_, err := spec.Parse("x.spec", []byte(src))
		if want != (err == nil) {
			t.Fatalf("%q\nthe reference program: %s\nracelab: %v", src, said, err)
		}
		if want {
			accepted++
		} else {
			rejected++
		}
	})
	t.Logf("%d files were accepted by both, and %d rejected", accepted, rejected)
	if accepted == 0 || rejected == 0 {
		t.Errorf("%d files were accepted and %d rejected: the comparison says nothing", accepted, rejected)
	}
}
