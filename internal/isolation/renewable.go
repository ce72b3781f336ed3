package isolation

import (
	"slices"
	"strings"

	"github.com/racelab/racelab/internal/spec"
	"github.com/racelab/racelab/internal/sqltext"
)

// renewalOf returns nil if a test may do more than a renewal can undo.
func renewalOf(s *spec.Spec) *renewal {
	if n := len(s.Permutations); n == 1 || n == 2 || n == 0 && len(s.Sessions) == 1 {
		return nil // it would not pay
	}
	var n renewal
	for _, text := range s.Setups {
		for _, statement := range sqltext.Statements(text) {
			if !n.prepares(statement) {
				return nil
			}
		}
	}
	if len(n.tables) == 0 || s.Teardown == nil || !n.dropped(*s.Teardown) {
		return nil
	}
	for _, session := range s.Sessions {
		if session.Setup != nil && !ordinary(*session.Setup, true) || session.Teardown != nil && !ordinary(*session.Teardown, false) {
			return nil
		}
		for _, step := range session.Steps {
			if !ordinary(step.SQL, false) {
				return nil
			}
		}
	}
	return &n
}

// prepares takes a statement of the set-up.
func (n *renewal) prepares(statement string) bool {
	words := sqltext.Words(statement)
	if !known(statement, words) {
		return false
	}
	is := func(keywords ...string) bool {
		return len(words) > len(keywords) && slices.EqualFunc(words[:len(keywords)], keywords, sqltext.Token.Is)
	}
	switch {
	case is("CREATE", "TABLE") && len(words) > 3 && words[3].Text == "(":
		n.tables = append(n.tables, words[2].Text)
		return !has(words, "USING", "PARTITION", "INHERITS")
	case is("CREATE", "INDEX"), is("CREATE", "UNIQUE", "INDEX"):
		return !has(words, "USING") && len(n.fill) == 0 // the rows were not written by it
	case is("INSERT"), is("UPDATE"), is("DELETE"):
		n.fill = append(n.fill, statement)
		return !has(words, "RETURNING") // which is printed each time
	}
	return false
}

func has(words []sqltext.Token, keywords ...string) bool {
	return slices.ContainsFunc(words, func(w sqltext.Token) bool { return slices.ContainsFunc(keywords, w.Is) })
}

// dropped reports whether a teardown drops the tables, all of them at once, and
// does nothing else.
func (n *renewal) dropped(teardown string) bool {
	statements := sqltext.Statements(teardown)
	if len(statements) != 1 {
		return false
	}
	words := sqltext.Words(statements[0])
	if len(words) < 3 || !words[0].Is("DROP") || !words[1].Is("TABLE") {
		return false
	}
	var gone []string
	for i, w := range words[2:] {
		switch {
		case i%2 == 0 && (w.Kind == sqltext.Word || w.Kind == sqltext.Name):
			gone = append(gone, w.Text)
		case i%2 == 0 || w.Text != ",":
			return false
		}
	}
	return slices.Equal(slices.Sorted(slices.Values(gone)), slices.Sorted(slices.Values(n.tables)))
}

// opening begins a statement that reads or writes rows, or is about transactions.
var opening = []string{
	"SELECT", "VALUES", "INSERT", "UPDATE", "DELETE", "MERGE",
	"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "LOCK", "SET",
}

// ordinary reports whether what a session is sent does nothing but read and
// write rows, and leaves nothing behind in the session: but for settings, if that
// is what every permutation begins with.
func ordinary(text string, first bool) bool {
	for _, statement := range sqltext.Statements(text) {
		words := sqltext.Words(statement)
		second := func(keywords ...string) bool {
			return len(words) > 1 && slices.ContainsFunc(keywords, words[1].Is)
		}
		switch {
		case !known(statement, words), !slices.ContainsFunc(opening, words[0].Is), second("PREPARED"):
			return false
		case words[0].Is("SET") && !first && !second("LOCAL", "TRANSACTION", "CONSTRAINTS"):
			return false
		case words[0].Is("SELECT") && has(words, "INTO"):
			return false
		}
	}
	return true
}

// begins reports whether a text opens a transaction and does nothing in it: it
// neither sees nor changes what another session does.
func begins(text string) bool {
	statements := sqltext.Statements(text)
	return len(statements) == 1 && slices.ContainsFunc([]string{"BEGIN", "START"}, sqltext.Words(statements[0])[0].Is)
}

// called are what may stand before a parenthesis: functions that neither leave
// anything behind nor tell anything but values, and keywords.
var called = strings.Fields(`count sum min max avg coalesce length lower upper abs greatest least nullif mod round repeat
	pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared
	values in exists and or not as on using from where select returning conflict cast any all set when then else key check unique
	varchar char character numeric decimal`)

// telling are the words that tell a new table from an old one, or the time.
var telling = strings.Fields(`ctid xmin xmax cmin cmax tableoid oid regclass information_schema
	temp temporary unlogged concurrently
	current_timestamp current_time current_date localtimestamp localtime timestamp timestamptz time timetz date`)

// known reports whether a statement holds nothing but what is known to be of no
// matter. What is read here as it is not meant (backslashes, dollars, comments in
// comments) is not.
func known(statement string, words []sqltext.Token) bool {
	if strings.ContainsAny(statement, `\$`) || strings.Contains(statement, "/*") {
		return false
	}
	for i, w := range words {
		if w.Kind != sqltext.Word && w.Kind != sqltext.Name {
			continue
		}
		name := strings.ToLower(w.Inside())
		calls := i+1 < len(words) && words[i+1].Text == "("
		may := slices.Contains(called, name)
		names := i > 0 && (has(words[i-1:i], "INTO", "TABLE", "REFERENCES") || words[0].Is("CREATE") && words[i-1].Is("ON"))
		switch {
		case slices.Contains(telling, name),
			strings.HasPrefix(name, "pg_") && !(calls && may),
			calls && !may && !names:
			return false
		}
	}
	return true
}
