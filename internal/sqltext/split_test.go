package sqltext

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStatements(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                     nil,
		" ; ;":                                 nil,
		"SELECT 1":                             {"SELECT 1"},
		"SELECT 1; SELECT 2;":                  {"SELECT 1", "SELECT 2"},
		"SELECT ';' ; SELECT \"a;b\"":          {"SELECT ';'", "SELECT \"a;b\""},
		"SELECT 1 -- a; b\n; SELECT 2 /* ; */": {"SELECT 1 -- a; b", "SELECT 2 /* ; */"},
		"CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; DELETE FROM c; END; SELECT 1": {
			"CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; DELETE FROM c; END", "SELECT 1"},
		"CREATE TRIGGER t AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION f(); SELECT 1": {
			"CREATE TRIGGER t AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION f()", "SELECT 1"},
		"DO $$ BEGIN a; b; END $$; SELECT $x$;$x$, $1": {"DO $$ BEGIN a; b; END $$", "SELECT $x$;$x$, $1"},
		"SELECT $$open; SELECT 1":                      {"SELECT $$open", "SELECT 1"},
		"SELECT 'open":                                 {"SELECT 'open"},
	} {
		if diff := cmp.Diff(want, Statements(text)); diff != "" {
			t.Errorf("Statements(%q) (-want +got):\n%s", text, diff)
		}
	}
}

func FuzzStatements(f *testing.F) {
	f.Add("SELECT 1; -- x\nSELECT 'a;b'")
	f.Add("CREATE TRIGGER t BEGIN ; END; [")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range Statements(text) {
			if s == "" {
				t.Errorf("Statements(%q) gave an empty statement", text)
			}
		}
	})
}
