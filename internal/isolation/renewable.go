package isolation

import (
	"slices"
	"strings"
	"unicode"

	"github.com/racelab/racelab/internal/spec"
	"github.com/racelab/racelab/internal/sqltext"
)

// What is renewable is said by lists of what is, and they are short: a plain
// statement too many in them prints something else, and one too few takes a
// millisecond longer.

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
	case is("CREATE", "TABLE"):
		n.tables = append(n.tables, words[2].Text)
		return plainTable(words[3:])
	case is("CREATE", "INDEX"):
		return len(n.fill) == 0 && plainIndex(words[2:]) // made after the rows, it would not grow by them
	case is("CREATE", "UNIQUE", "INDEX"):
		return len(n.fill) == 0 && plainIndex(words[3:])
	case is("INSERT"), is("UPDATE"), is("DELETE"):
		n.fill = append(n.fill, statement)
		return !has(words, "RETURNING") && planless(words) // what it returns is printed each time
	}
	return false
}

// planless reports whether a statement that writes rows reads at most its own table,
// so that they come in an order which no plan changes.
func planless(words []sqltext.Token) bool {
	for i, w := range words {
		switch {
		case has(words[i:i+1], "JOIN", "USING", "TABLE"), w.Is("SELECT") && !words[0].Is("INSERT"):
			return false
		case w.Is("FROM") && !(words[0].Is("DELETE") && i == 1) && !(i+1 < len(words) && words[i+1].Is("generate_series")):
			return false
		}
	}
	return true
}

func has(words []sqltext.Token, keywords ...string) bool {
	return slices.ContainsFunc(words, func(w sqltext.Token) bool { return slices.ContainsFunc(keywords, w.Is) })
}

// elements cuts a list in parentheses, after which nothing comes, at its commas.
func elements(list []sqltext.Token) (all [][]sqltext.Token, ok bool) {
	if len(list) < 2 || list[0].Text != "(" {
		return nil, false
	}
	depth, start := 0, 1
	for i, w := range list {
		switch {
		case w.Text == "(":
			depth++
		case w.Text == ")":
			depth--
		}
		if depth == 0 || depth == 1 && w.Text == "," {
			all = append(all, list[start:i])
			start = i + 1
		}
		if depth == 0 {
			return all, i == len(list)-1
		}
	}
	return nil, false
}

// plainTable reports whether what follows a table's name are columns of plain types
// and constraints.
func plainTable(rest []sqltext.Token) bool {
	all, ok := elements(rest)
	return ok && !has(rest, "CACHE", "SEQUENCE", "EXCLUDE", "USING") && !slices.ContainsFunc(all, func(e []sqltext.Token) bool {
		constraint := len(e) > 0 && has(e[:1], "CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN", "CHECK")
		return !constraint && (len(e) < 2 || !isType(e[1]))
	})
}

// plainIndex reports whether what follows INDEX makes one of columns, each of them
// once: such an entry is smaller than its row, so that the index has its place in a
// page if the table has.
func plainIndex(rest []sqltext.Token) bool {
	on := slices.IndexFunc(rest, func(w sqltext.Token) bool { return w.Is("ON") })
	if on < 0 || on > 1 || len(rest) < on+2 || rest[0].Is("CONCURRENTLY") {
		return false
	}
	all, ok := elements(rest[on+2:])
	seen := map[string]bool{}
	for _, e := range all {
		if len(e) != 1 || e[0].Kind != sqltext.Word || seen[strings.ToLower(e[0].Text)] {
			return false
		}
		seen[strings.ToLower(e[0].Text)] = true
	}
	return ok
}

// dropped reports whether a teardown drops the tables, all of them at once, and
// does nothing else.
func (n *renewal) dropped(teardown string) bool {
	statements := sqltext.Statements(teardown)
	if len(statements) != 1 {
		return false
	}
	words := sqltext.Words(statements[0])
	if !known(statements[0], words) || len(words) < 3 || !words[0].Is("DROP") || !words[1].Is("TABLE") {
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
// write rows, and leaves nothing behind in the session: but for a setting, if that
// is what every permutation begins with.
func ordinary(text string, first bool) bool {
	for _, statement := range sqltext.Statements(text) {
		words := sqltext.Words(statement)
		switch {
		case !known(statement, words), !slices.ContainsFunc(opening, words[0].Is), len(words) > 1 && words[1].Is("PREPARED"):
			return false
		case words[0].Is("SET") && !harmless(words[1:], first):
			return false
		case words[0].Is("SELECT") && has(words, "INTO"):
			return false
		}
	}
	return true
}

// harmless reports whether what follows SET changes no plan: one that is kept, such
// as that of a foreign key's check, would outlive the setting.
func harmless(rest []sqltext.Token, first bool) bool {
	switch {
	case len(rest) == 0:
		return false
	case rest[0].Is("TRANSACTION"), rest[0].Is("CONSTRAINTS"):
		return true
	case rest[0].Is("LOCAL"):
		return harmless(rest[1:], true)
	}
	return first && rest[0].Is("deadlock_timeout")
}

// begins reports whether a text opens a transaction and does nothing in it: it
// neither sees nor changes what another session does.
func begins(text string) bool {
	statements := sqltext.Statements(text)
	return len(statements) == 1 && slices.ContainsFunc([]string{"BEGIN", "START"}, sqltext.Words(statements[0])[0].Is)
}

// types are those whose values do not depend on when they are read, and of which the
// planner knows no more than of a parameter, as it does of a bool: the plan of a
// foreign key's check is kept. They may have a length.
var types = strings.Fields(`smallint int2 int integer int4 bigint int8 smallserial serial2 serial serial4 bigserial serial8
	numeric decimal real float4 float8 text varchar char character`)

func isType(w sqltext.Token) bool { return slices.ContainsFunc(types, w.Is) }

// called are what may stand before a parenthesis, besides types: functions that
// neither leave anything behind nor tell anything but values, and keywords.
var called = strings.Fields(`count sum min max avg coalesce length lower upper abs greatest least nullif mod round repeat generate_series
	pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared
	values in exists and or not as on using from where select returning conflict any all set when then else key check unique identity varying`)

// telling are the words that tell a new table from an old one, or the time. So does
// the name of a sequence.
var telling = strings.Fields(`ctid xmin xmax cmin cmax tableoid information_schema
	current_timestamp current_time current_date localtimestamp localtime zone`)

// quoting are the words that may stand before a literal, and are no type of it.
var quoting = strings.Fields(`select distinct where having and or not like between when then else default returning to`)

// known reports whether a statement holds nothing but what is known to be of no
// matter. What might be read here as it is not meant is not: backslashes, dollars,
// U&, letters and white space beyond ASCII, ends of lines that are none, comments
// in comments.
func known(statement string, words []sqltext.Token) bool {
	if strings.ContainsAny(statement, "\\$&\r") || strings.Contains(statement, "/*") ||
		strings.ContainsFunc(statement, func(c rune) bool { return c >= 0x80 }) {
		return false
	}
	is := func(i int, text string) bool { return 0 <= i && i < len(words) && words[i].Text == text }
	for i, w := range words {
		name := strings.ToLower(w.Inside())
		switch w.Kind {
		case sqltext.Word, sqltext.Name:
			calls := is(i+1, "(")
			may := slices.Contains(called, name) || isType(w)
			names := i > 0 && (has(words[i-1:i], "INTO", "TABLE", "REFERENCES") || words[0].Is("CREATE") && words[i-1].Is("ON"))
			if slices.Contains(telling, name) || strings.Contains(name, "_seq") || strings.HasPrefix(name, "pg_") && !(calls && may) || calls && !may && !names {
				return false
			}
		case sqltext.Number:
			if strings.ContainsFunc(w.Text, unicode.IsLetter) { // before PostgreSQL 15 a word may begin in it
				return false
			}
		case sqltext.String:
			if i == 0 || words[i-1].Kind != sqltext.Symbol && !slices.ContainsFunc(quoting, words[i-1].Is) {
				return false
			}
		case sqltext.Symbol:
			if w.Text == ":" && !is(i-1, ":") && !(is(i+1, ":") && i+2 < len(words) && isType(words[i+2])) {
				return false
			}
		}
	}
	return true
}
