package spec

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func text(s string) *string { return &s }

func TestParseReadsWhatAFileSays(t *testing.T) {
	tests := []struct {
		name, src string
		want      Spec
	}{
		{"the smallest file", "session s step a {}",
			Spec{Sessions: []Session{{Name: "s", Steps: []Step{{"a", ""}}}}}},
		{"everything there is", `# a comment
setup { CREATE TABLE t (n int); }
setup
{
  VACUUM t; # no comment: SQL goes to the server as it is
}
teardown { }
session "a ""b"" c"
setup	{ BEGIN; }
step r1{SELECT 1}step "step" {	SELECT 2;  }
teardown { COMMIT; }
session zwölf
step w$2 { SELECT 3; }
permutation r1 w$2(*) "step" ( w$2 , w$2 notices 2 )# the end
permutation "w$2"
`,
			Spec{
				Setups:   []string{"CREATE TABLE t (n int);", "\n  VACUUM t; # no comment: SQL goes to the server as it is\n"},
				Teardown: text(""),
				Sessions: []Session{
					{`a "b" c`, text("BEGIN;"), text("COMMIT;"), []Step{{"r1", "SELECT 1"}, {"step", "SELECT 2;"}}},
					{"zwölf", nil, nil, []Step{{"w$2", "SELECT 3;"}}},
				},
				Permutations: []Permutation{
					{{Step: "r1"}, {"w$2", []Marker{{Kind: Once}}}, {"step", []Marker{{AfterStep, "w$2", 0}, {AfterNotices, "w$2", 2}}}},
					{{Step: "w$2"}},
				},
			}},
		{"a step as often as one likes", "session s step a {} permutation a a a",
			Spec{Sessions: []Session{{Name: "s", Steps: []Step{{"a", ""}}}}, Permutations: []Permutation{{{Step: "a"}, {Step: "a"}, {Step: "a"}}}}},
		{"a comment ends at a carriage return", "#\rsession s step a {}",
			Spec{Sessions: []Session{{Name: "s", Steps: []Step{{"a", ""}}}}}},
		{"comments for racelab", "# racelab: invariant SELECT 1\n#racelab:invariant\tno one:\tselect count(*) = 0 FROM t WHERE s = ';' ; \nsession s # racelab: invariant SELECT: 2\n step a { # racelab: x\n}#racelab: invariant Select-1",
			Spec{Sessions: []Session{{Name: "s", Steps: []Step{{"a", "# racelab: x\n"}}}}, Invariants: []Invariant{
				{"", "SELECT 1"}, {"no one", "select count(*) = 0 FROM t WHERE s = ';'"}, {"", "SELECT: 2"}, {"", "Select-1"}}}},
		{"two sessions of one name, and one without any", `session s step a {} session s step b {} session "" step "" {}`,
			Spec{Sessions: []Session{{Name: "s", Steps: []Step{{"a", ""}}}, {Name: "s", Steps: []Step{{"b", ""}}}, {Steps: []Step{{}}}}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Parse("x.spec", []byte(test.src))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			again, err := Parse("printed.spec", []byte(got.String()))
			if diff := cmp.Diff(got, again); diff != "" || err != nil {
				t.Errorf("printed as\n%s\nit reads as (-want +got):\n%s%v", got, diff, err)
			}
		})
	}
}

func TestParseSaysWhatIsWrongAndWhere(t *testing.T) {
	const session = "session s step a {} session t step b {}\n"
	tests := []struct{ name, src, want string }{
		{"nothing", "", "1:1: expected setup, teardown or session, found end of file"},
		{"only a comment", "# é\n", "2:1: expected setup, teardown or session, found end of file"},
		{"no SQL", "setup setup", "1:7: expected { SQL }, found setup"},
		{"a teardown after another", "teardown {} teardown {}", "1:13: expected session, found teardown"},
		{"a session without a step", "session s\npermutation a", "2:1: expected setup or step, found permutation"},
		{"two set-ups of a session", "session s setup {} setup {}", "1:20: expected step, found setup"},
		{"a step after the teardown", "session s step a {} teardown {} step b {}", "1:33: expected session, permutation or end of file, found step"},
		{"a session after a permutation", session + "permutation a session u", "2:15: expected \"(\", a name, permutation or end of file, found session"},
		{"a keyword as a name", "session step", "1:9: expected a name, found step"},
		{"a keyword in capitals", "Session s", `1:1: expected setup, teardown or session, found "Session"`},
		{"a number as a name", "session 1", "1:9: expected a name, found 1"},
		{"a strange character", "setup {é} ;", `1:11: expected a word, a name, a marker or { SQL }, found ";"`},
		{"a permutation of nothing", session + "permutation", "2:12: expected a name, found end of file"},
		{"no marker", session + "permutation a()", `2:15: expected "*" or a name, found ")"`},
		{"a list of markers that ends early", session + "permutation a(b,)", `2:17: expected "*" or a name, found ")"`},
		{"a marker that does not end", session + "permutation a(b", `2:16: expected notices, "," or ")", found end of file`},
		{"notices without a number", session + "permutation a(b notices)", `2:24: expected a number, found ")"`},
		{"too many notices", session + "permutation a(b notices 2147483648)", "2:25: expected a number up to 2147483647, found 2147483648"},
		{"a step that is defined twice", "session s step a {}\nsession t\n step a {}", `3:7: expected a name that no other step has, found "a"`},
		{"an unknown step", session + "permutation a c", `2:15: expected a step of this file, found "c"`},
		{"a marker with a step of another permutation", session + "permutation b permutation a(b)", `2:29: expected a step of this permutation, found "b"`},
		{"a marker with a step of its own session", session + "permutation a b(b)", `2:17: expected a step of another session, found "b"`},
		{"a block that does not end", "setup {\n SELECT 1;\n", "1:7: expected a } that closes this SQL block, found end of file"},
		{"a name that does not end", `session "s`, `1:9: expected a " that closes this name, found end of file`},
		{"a name in two lines", "session \"s\n\"", `1:9: expected a " that closes this name, found the end of its line`},
		{"a NUL", "setup { ä\x00 }", "1:10: expected text, found a NUL"},
		{"what is no UTF-8", "setup {\n\xff }", "2:1: expected text in UTF-8, found the byte 0xff"},
		{"a control character", "session s\x1b", `1:10: expected a word, a name, a marker or { SQL }, found "\x1b"`},
		{"a long name", "session s step a {} permutation " + strings.Repeat("x", 1000), `1:33: expected a step of this file, found "` + strings.Repeat("x", 40) + `…"`},
		{"a comment for racelab that says nothing", "# racelab: \n" + session, `1:12: expected invariant, found the end of the comment`},
		{"a comment for racelab that says something else", session + "  # racelab: invariant2 SELECT 1", `2:14: expected invariant, found "invariant2 SELECT 1"`},
		{"an invariant that is no query", session + "# racelab: invariant a: UPDATE t SET n = 1", `2:25: expected a query that begins with SELECT, found "UPDATE t SET n = 1"`},
		{"an invariant without a query", session + "# racelab: invariant", `2:21: expected a query that begins with SELECT, found the end of the comment`},
		{"an invariant whose name is empty", session + "# racelab: invariant : SELECT 1", `2:22: expected a name before the colon, found ": SELECT 1"`},
		{"an invariant of two queries", session + "# racelab: invariant SELECT 1; SELECT 2", `2:22: expected one query, found "SELECT 1; SELECT 2"`},
		{"a file that is too long", "#" + strings.Repeat(" ", MaxSize), "1:1: expected at most 10 MB, found more"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Parse("x.spec", []byte(test.src))
			if err == nil {
				t.Fatalf("it is read as\n%s", got)
			}
			if !strings.HasPrefix(err.Error(), "x.spec:"+test.want) {
				t.Errorf("got  %s\nwant x.spec:%s", err, test.want)
			}
		})
	}
}

func TestALongFileIsReadInTime(t *testing.T) {
	src := "session s step a {} session t step b {}" + strings.Repeat("permutation a(b, b notices 1) b(*)\n", 10000) + "#"
	src += strings.Repeat(" ", MaxSize-len(src))
	if _, err := Parse("x.spec", []byte(src)); err != nil {
		t.Error(err)
	}
}

func TestUnusedStepsAreListedByName(t *testing.T) {
	const sessions = "session s step z {} step b {} session t step a {} "
	for src, want := range map[string][]string{sessions: nil, sessions + "permutation b": {"a", "z"}, sessions + "permutation b a z": nil} {
		s, err := Parse("x.spec", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, s.Unused()); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", src, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`setup { x } teardown {} session "a""b" setup {} step a { y } teardown { } session t step "b c" {} permutation a(*, "b c" notices 3) "b c"(a)`))
	f.Add([]byte("# c\rsession s step a {\n \n}"))
	f.Add([]byte("session \""))
	f.Add([]byte("# racelab: invariant a b: SELECT 'x;' ;\rsession s step a {}#racelab:invariant SELECT 1"))
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := Parse("x.spec", src)
		if err != nil {
			var at *Error
			if !errors.As(err, &at) || at.Line < 1 || at.Column < 1 || at.Line > 1+bytes.Count(src, []byte("\n")) {
				t.Fatalf("%q: %#v", src, err)
			}
			return
		}
		again, err := Parse("printed.spec", []byte(s.String()))
		if diff := cmp.Diff(s, again); diff != "" || err != nil {
			t.Fatalf("%q is printed as %q, which reads as (-want +got):\n%s%v", src, s, diff, err)
		}
	})
}
