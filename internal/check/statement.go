package check

import (
	"slices"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// A statementText is what a statement touches, as far as its text says.
type statementText struct {
	verb    string // in upper case
	main    []span // what it reads, or writes and locks
	others  []span // what it locks besides: across foreign keys
	locks   bool   // main is locked, or written
	writes  bool
	session bool // nothing but the session itself
	keyed   bool // main is the row of a unique key, if a row is found
	blind   bool // what follows is not what it seems
	// shows says whether it shows, or locks, rows in the order in which they
	// lie; maybe is if it meets several.
	shows certainty
}

// statement reads a statement. What it does not understand touches everything.
func (r *Relation) statement(op racelab.Op) statementText {
	tokens := tokensOf(op)
	if n := len(tokens); n > 0 && tokens[n-1].Text == ";" {
		tokens = tokens[:n-1]
	}
	unknown := statementText{main: []span{all(everything)}, locks: true, writes: true, shows: yes}
	if len(tokens) == 0 {
		return statementText{session: true}
	}
	// Strings and comments that only some engines know could hide anything.
	if strings.ContainsAny(op.Text, "\\$#[") || strings.Contains(op.Text, "/*") || strings.Contains(op.Text, "--") || slices.ContainsFunc(tokens, func(t sqltext.Token) bool { return t.Text == ";" }) {
		unknown.blind = true
		return unknown
	}
	verb := strings.ToUpper(tokens[0].Text)
	switch verb {
	case "SHOW", "SAVEPOINT", "RELEASE", "ROLLBACK":
		return statementText{verb: verb, session: true}
	case "SELECT", "INSERT", "REPLACE", "UPDATE", "DELETE":
	default: // it may end a transaction, or change its level
		unknown.blind = true
		return unknown
	}
	if !plainCalls(tokens) {
		return unknown
	}
	s := statementText{verb: verb, writes: verb != "SELECT"}
	reg := regionOf(op)
	s.locks = s.writes || reg.locking || slices.ContainsFunc(tokens, func(t sqltext.Token) bool { return t.Is("FOR") || t.Is("LOCK") })
	named, ok := r.tablesIn(tokens)
	if !ok {
		return unknown
	}
	s.shows = r.showsOrder(tokens, named)
	if !isSimple(tokens, reg) || len(named) > 1 {
		for _, t := range named {
			s.main = append(s.main, all(t))
			if s.writes {
				s.others = append(s.others, r.family(t)...)
			}
		}
		if slices.ContainsFunc(s.others, r.hidden) {
			return unknown
		}
		return s
	}
	if len(named) == 0 {
		return s // SELECT 1
	}
	t, _ := r.Schema.Table(named[0])
	main := span{table: t.Name, where: reg.where}
	read := verb != "UPDATE" || len(reg.sets) == len(split(tokens[min(3, len(tokens)):max(find(tokens, "WHERE"), 3)], ","))
	for _, set := range reg.sets {
		main.sets = append(main.sets, set.column)
	}
	switch {
	case verb == "INSERT" && !reg.upsert && len(reg.rows) > 0:
		main.rows = reg.rows
	case verb == "INSERT" || verb == "REPLACE" || verb == "UPDATE" && touchesKey(r.Schema, t, main.sets) || !read:
		main = all(t.Name)
	}
	switch {
	case len(main.rows) == 1:
		// Beside a second key there may be what is left of rows that are gone,
		// which is locked with the gap before it.
		s.keyed = len(t.Unique) == 1
	case main.rows == nil && !main.whole && !counts(tokens):
		equal := reg.where.equal()
		s.keyed = slices.ContainsFunc(t.Unique, func(key []string) bool {
			return !slices.ContainsFunc(key, func(c string) bool { _, ok := equal[c]; return !ok || !slices.Contains(t.Integers, c) })
		})
	}
	if s.keyed {
		s.shows = no
	}
	s.main = []span{main}
	if s.writes {
		s.others = r.related(t, main, verb, reg.upsert)
	}
	if slices.ContainsFunc(s.others, r.hidden) {
		return unknown
	}
	return s
}

// showsOrder reports whether a statement shows in which order rows lie, or
// meets them in it. Rows that are sorted by the primary key it does not, nor an
// INSERT of rows that are given.
func (r *Relation) showsOrder(tokens []sqltext.Token, named []string) certainty {
	selects := slices.ContainsFunc(tokens, func(t sqltext.Token) bool { return t.Is("SELECT") })
	switch {
	case !selects && (tokens[0].Is("INSERT") || tokens[0].Is("REPLACE")):
		return no
	case len(named) == 1 && r.isSorted(tokens, named[0]):
		return no
	case slices.ContainsFunc(tokens, func(t sqltext.Token) bool {
		return slices.ContainsFunc([]string{"LIMIT", "OFFSET", "FETCH", "DISTINCT"}, t.Is)
	}):
		return yes
	}
	return maybe
}

// isSorted reports whether a statement is SELECT columns FROM table, sorted by
// at least the primary key: one without NULLs, of which two would have no order.
func (r *Relation) isSorted(tokens []sqltext.Token, table string) bool {
	t, _ := r.Schema.Table(table)
	from, order := find(tokens, "FROM"), find(tokens, "ORDER")
	if !t.Primary || order+1 >= len(tokens) || from+2 >= len(tokens) || !tokens[from+2].Is("WHERE") && from+2 != order || slices.ContainsFunc(tokens[1:], func(t sqltext.Token) bool {
		return slices.ContainsFunc([]string{"SELECT", "JOIN", "GROUP", "UNION"}, t.Is)
	}) {
		return false
	}
	for _, item := range split(tokens[1:from], ",") {
		if _, ok := columnIn(item); !ok && (len(item) != 1 || item[0].Text != "*") {
			return false // a name that is sorted by may be this one's
		}
	}
	sorted := tokens[order+2:]
	for i, t := range sorted {
		if slices.ContainsFunc([]string{"LIMIT", "OFFSET", "FETCH", "FOR", "LOCK"}, t.Is) {
			sorted = sorted[:i]
			break
		}
	}
	var by []string
	for _, item := range split(sorted, ",") {
		if last := len(item) - 1; last > 0 && (item[last].Is("ASC") || item[last].Is("DESC")) {
			item = item[:last]
		}
		column, ok := columnIn(item)
		if !ok {
			break
		}
		by = append(by, column)
	}
	return !slices.ContainsFunc(t.Unique[0], func(c string) bool { return !slices.Contains(by, c) })
}

// hidden reports whether a table touches more than is named: a cascade may set
// its triggers off.
func (r *Relation) hidden(s span) bool {
	t, _ := r.Schema.Table(s.table)
	return t.Hidden
}

// counts reports whether a SELECT may give a row where there is none.
func counts(tokens []sqltext.Token) bool {
	return tokens[0].Is("SELECT") && slices.ContainsFunc(tokens[:find(tokens, "FROM")], func(t sqltext.Token) bool { return t.Text == "(" })
}

// touchesKey reports whether a unique or foreign key, its own or one that refers
// to it, has one of the columns.
func touchesKey(s racelab.Schema, t racelab.TableSchema, columns []string) bool {
	has := func(key []string) bool { // one that has no columns is on an expression, and could have any
		return len(key) == 0 || slices.Contains(key, "") || slices.ContainsFunc(key, func(c string) bool { return slices.Contains(columns, c) })
	}
	return slices.ContainsFunc(t.Unique, has) || slices.ContainsFunc(t.References, func(r racelab.Reference) bool { return has(r.Columns) }) ||
		slices.ContainsFunc(s.Tables, func(child racelab.TableSchema) bool {
			return slices.ContainsFunc(child.References, func(r racelab.Reference) bool { return r.Table == t.Name && has(r.To) })
		})
}

// related are the rows of other tables that a write locks because of foreign
// keys.
func (r *Relation) related(t racelab.TableSchema, main span, verb string, upsert bool) []span {
	if main.whole || verb == "DELETE" {
		return r.family(t.Name)
	}
	if verb != "INSERT" || upsert {
		return nil // no key changes
	}
	var spans []span
	for _, ref := range t.References {
		for _, image := range main.rows {
			parent := span{table: ref.Table}
			for i, c := range ref.Columns {
				if v, ok := image[c]; ok && i < len(ref.To) {
					parent.where.conditions = append(parent.where.conditions, condition{ref.To[i], "=", []string{v}})
				}
			}
			spans = append(spans, parent)
		}
	}
	return spans
}

// family are the tables that a table refers to and those that refer to it, and
// those that refer to them.
func (r *Relation) family(table string) []span {
	t, _ := r.Schema.Table(table)
	var spans []span
	for _, ref := range t.References {
		spans = append(spans, all(ref.Table))
	}
	seen := map[string]bool{table: true}
	for queue := []string{table}; len(queue) > 0; queue = queue[1:] {
		for _, child := range r.Schema.Tables {
			for _, ref := range child.References {
				if ref.Table == queue[0] && !seen[child.Name] {
					seen[child.Name] = true
					queue = append(queue, child.Name)
					spans = append(spans, all(child.Name))
				}
			}
		}
	}
	return spans
}

// tablesIn lists the tables that are named, and reports whether that is all
// that is touched.
func (r *Relation) tablesIn(tokens []sqltext.Token) (named []string, ok bool) {
	expected := false     // what comes next is a table, and not, say, a view
	list := []bool{false} // whether commas stand between tables, by brackets
	for i, t := range tokens {
		top := len(list) - 1
		switch {
		case t.Kind == sqltext.Symbol: // an argument's value may look like one
			switch t.Text {
			case "(":
				list = append(list, expected)
			case ")":
				list = list[:max(top, 1)]
			case ",":
				expected = list[top]
			}
		case t.Is("FROM"), t.Is("JOIN"), t.Is("USING"), t.Is("UPDATE") && i == 0:
			expected, list[top] = true, true
		case t.Is("INTO"):
			expected = true
		case t.Is("SELECT"), t.Is("WHERE"), t.Is("SET"), t.Is("VALUES"), t.Is("GROUP"), t.Is("ORDER"), t.Is("HAVING"), t.Is("LIMIT"), t.Is("FOR"), t.Is("RETURNING"):
			expected, list[top] = false, false
		case t.Kind == sqltext.Word || t.Kind == sqltext.Name:
			name := strings.ToLower(t.Inside())
			table, is := r.Schema.Table(name)
			qualified := i+1 < len(tokens) && tokens[i+1].Text == "."
			if is && table.Hidden || expected && (!is || qualified) {
				return nil, false
			}
			if is && !slices.Contains(named, name) {
				named = append(named, name)
			}
			expected = false
		}
	}
	return named, len(named) > 0 || tokens[0].Is("SELECT")
}

// plainCalls reports whether all functions called are known to touch nothing.
func plainCalls(tokens []sqltext.Token) bool {
	for i, t := range tokens {
		if i+1 >= len(tokens) || tokens[i+1].Text != "(" || t.Kind != sqltext.Word && t.Kind != sqltext.Name {
			continue
		}
		if i > 0 && (tokens[i-1].Is("INTO") || tokens[i-1].Is("AS")) || i > 1 && tokens[i-2].Is("INTO") {
			continue // a table with its columns
		}
		if t.Kind == sqltext.Name || !slices.Contains(plainFunctions, strings.ToUpper(t.Text)) {
			return false
		}
	}
	return true
}

var plainFunctions = []string{
	"COUNT", "SUM", "MIN", "MAX", "AVG", "COALESCE", "IFNULL", "NULLIF", "ABS", "LOWER", "UPPER", "LENGTH",
	"VALUES", "IN", "AND", "OR", "NOT", "WHERE", "ON", "CONFLICT", "BY", "SELECT", "FROM", "EXISTS", "SET", "UPDATE", "HAVING", "WHEN", "THEN", "ELSE", "CASE",
}

// isSimple reports whether a statement is of one table and of the form that
// regionOf reads completely.
func isSimple(tokens []sqltext.Token, r region) bool {
	selects := 0
	for i, t := range tokens {
		switch {
		case t.Is("SELECT"):
			selects++
		case t.Is("FROM") && tokens[0].Is("UPDATE"):
			return false
		case t.Is("JOIN"), t.Is("STRAIGHT_JOIN"), t.Is("USING"), t.Is("UNION"), t.Is("EXCEPT"), t.Is("INTERSECT"), t.Is("WITH"), t.Is("LIMIT"), t.Is("OFFSET"), t.Is("FETCH"), t.Is("DISTINCT"), t.Is("TOP"), t.Is("OF"):
			return false
		case t.Is("FROM") && i+2 < len(tokens) && tokens[i+2].Text == ",":
			return false
		}
	}
	if r.table == "" || len(r.joined) > 0 {
		return false
	}
	if tokens[0].Is("SELECT") {
		return selects == 1
	}
	return selects == 0
}
