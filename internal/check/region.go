package check

import (
	"slices"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// A region is the rows that a statement reads or writes, as far as its text
// says: an access with all that is needed to compare it with another one.
type region struct {
	access
	where   conjunction
	joined  []string // further tables that are read
	rows    []row    // what an INSERT puts in; nil if the text does not say
	columns []string // whose values a SELECT shows under their own names; "*" for all
	words   []string // names in the text: a column that is not among them is not read
	locking bool     // a SELECT that locks what it reads, and so reads what is there now
	upsert  bool     // an INSERT that changes the row if there is one
}

func regionOf(op racelab.Op) region {
	tokens := tokensOf(op)
	if len(tokens) > 0 && tokens[len(tokens)-1].Text == ";" {
		tokens = tokens[:len(tokens)-1]
	}
	replace := len(tokens) > 0 && tokens[0].Is("REPLACE")
	if replace {
		tokens = append([]sqltext.Token{{Kind: sqltext.Word, Text: "INSERT"}}, tokens[1:]...)
	}
	r := region{access: accessIn(tokens)}
	if r.table == "" {
		return r
	}
	for i, t := range tokens {
		switch {
		case t.Is("FROM"), t.Is("JOIN"), t.Is("USING"):
			if name := nameAt(tokens, i+1); name != "" && name != "(" && name != r.table {
				r.joined = append(r.joined, name)
			}
		case t.Kind == sqltext.Word || t.Kind == sqltext.Name:
			r.words = append(r.words, strings.ToLower(t.Inside()))
		case t.Text == "*" && i > 0 && (tokens[i-1].Is("SELECT") || tokens[i-1].Text == "." || tokens[i-1].Text == ","):
			r.words = append(r.words, "*")
		}
	}
	where := find(tokens, "WHERE")
	if r.verb == "INSERT" {
		r.insert(tokens, replace)
		return r
	}
	asked := tokens[min(where+1, len(tokens)):]
	for i, t := range asked {
		if slices.ContainsFunc([]string{"FOR", "LOCK", "GROUP", "ORDER", "LIMIT", "RETURNING", "UNION", "HAVING"}, t.Is) {
			asked = asked[:i]
			break
		}
	}
	r.where = conjunctionIn(asked)
	if r.verb != "SELECT" {
		return r
	}
	from := find(tokens, "FROM")
	for _, item := range split(tokens[1:from], ",") {
		if column, ok := columnIn(item); ok {
			r.columns = append(r.columns, column)
		} else if len(item) > 0 && item[len(item)-1].Text == "*" && len(item) != 2 {
			r.columns = append(r.columns, "*")
		}
	}
	// More tables, or an item behind a comma, and a column may be another one's.
	end := min(where, len(tokens))
	if len(r.joined) > 0 || len(split(tokens[min(from, end):end], ",")) > 1 || find(tokens, "UNION") < len(tokens) {
		r.where, r.columns, r.key = conjunction{}, nil, ""
	}
	for i, t := range tokens {
		if t.Is("FOR") && i+1 < len(tokens) && !tokens[i+1].Is("SYSTEM_TIME") || t.Is("LOCK") {
			r.locking = true
		}
	}
	return r
}

// insert reads INSERT INTO t (a, b) VALUES (1, 2), (3, 4), and what follows.
func (r *region) insert(tokens []sqltext.Token, replace bool) {
	values, target := find(tokens, "VALUES"), find(tokens, "CONFLICT")
	set, duplicate := find(tokens, "SET"), find(tokens, "DUPLICATE")
	r.upsert = replace || set < len(tokens) || duplicate < len(tokens) || len(tokens) > 2 && tokens[1].Is("OR") && tokens[2].Is("REPLACE")
	names := bracketed(tokens[min(find(tokens, "INTO")+2, len(tokens)):])
	if values == len(tokens) || len(names) == 0 {
		return
	}
	for rest := tokens[values+1:]; ; {
		items := bracketed(rest)
		if len(items) != len(names) {
			break
		}
		one := row{}
		for i, item := range items {
			column, named := columnIn(names[i])
			if v, ok := literal(item); ok && named {
				one[column] = v
			}
		}
		r.rows = append(r.rows, one)
		rest = rest[closing(rest)+1:]
		if len(rest) == 0 || rest[0].Text != "," {
			break
		}
		rest = rest[1:]
	}
	if !r.upsert || len(r.rows) != 1 {
		return
	}
	// The row that is changed is known by the conflict's column, or, where
	// that is not said, by the first one, which usually is the key.
	key, ok := columnIn(names[0])
	if target < len(tokens) {
		if named := bracketed(tokens[target+1:]); len(named) == 1 {
			key, ok = columnIn(named[0])
		}
	}
	if v, known := r.rows[0][key]; ok && known {
		r.where = conjunction{[]condition{{key, "=", []string{v}}}, true}
		r.key = key + "=" + v
	}
	switch {
	case set < len(tokens):
		r.sets = assignments(tokens[set+1:])
	case duplicate < len(tokens):
		r.sets = assignments(tokens[min(duplicate+3, len(tokens)):])
	default: // REPLACE
		for column, v := range r.rows[0] {
			r.sets = append(r.sets, assignment{column: column, value: v, literal: true})
		}
		slices.SortFunc(r.sets, func(a, b assignment) int { return strings.Compare(a.column, b.column) })
	}
	for i, s := range r.sets { // excluded.a and VALUES(a) are what was to be put in
		for column, v := range r.rows[0] {
			if strings.EqualFold(s.value, "excluded . "+column) || strings.EqualFold(s.value, "values ( "+column+" )") {
				r.sets[i] = assignment{column: s.column, value: v, literal: true}
			}
		}
	}
}

// bracketed returns the items of a list in brackets that tokens begin with.
func bracketed(tokens []sqltext.Token) [][]sqltext.Token {
	end := closing(tokens)
	if end < 0 {
		return nil
	}
	return split(tokens[1:end], ",")
}

// closing returns the position of the bracket that closes the first token, or
// -1.
func closing(tokens []sqltext.Token) int {
	depth := 0
	for i, t := range tokens {
		switch {
		case t.Kind == sqltext.Symbol && t.Text == "(":
			depth++
		case t.Kind == sqltext.Symbol && t.Text == ")":
			depth--
		}
		if depth <= 0 {
			if i == 0 {
				return -1
			}
			return i
		}
	}
	return -1
}

// String names the rows as a person does: account id 1.
func (r region) String() string {
	if r.verb == "INSERT" && !r.upsert || len(r.where.conditions) == 0 {
		return r.table
	}
	return r.table + " " + r.where.String()
}

// changes reports whether a write changes what r reads, going by the columns.
func (r region) changes(w region) bool {
	if w.verb != "UPDATE" || len(w.sets) == 0 || slices.Contains(r.words, "*") {
		return true
	}
	return slices.ContainsFunc(w.sets, func(s assignment) bool { return slices.Contains(r.words, s.column) })
}

// overwrites reports whether a later write of the same row replaces, by a
// value that is not computed from the row, what an earlier one set.
func (a access) overwrites(earlier access) bool {
	return slices.ContainsFunc(a.sets, func(s assignment) bool {
		return !s.relative && slices.ContainsFunc(earlier.sets, func(e assignment) bool { return e.column == s.column })
	})
}

// after is what is known of a row of the region that was updated.
func (r region) after() row {
	image := r.where.equal()
	for _, s := range r.sets {
		delete(image, s.column)
		if s.literal {
			image[s.column] = s.value
		}
	}
	return image
}
