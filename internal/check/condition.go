package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// A condition compares a column with what the text gives.
type condition struct {
	column, op string // =, <>, <, >, <=, >=
	values     []string
}

// A conjunction is what a WHERE asks of a row: all of its conditions, and, if
// it is not whole, something more that is not read here.
type conjunction struct {
	conditions []condition
	whole      bool
}

// A row is what is known of one: values by column, as texts. NULL stands for
// no value.
type row map[string]string

// conjunctionIn reads what stands behind WHERE; no tokens ask nothing.
func conjunctionIn(tokens []sqltext.Token) conjunction {
	if len(tokens) == 0 {
		return conjunction{whole: true}
	}
	if slices.ContainsFunc(tokens, func(t sqltext.Token) bool {
		return t.Is("OR") || t.Is("XOR") || t.Is("CASE") || t.Kind == sqltext.Symbol && (t.Text == "|" || t.Text == "&")
	}) {
		return conjunction{} // AND may stand in something that is not asked at all
	}
	c := conjunction{whole: true}
	parts := split(tokens, "AND")
	for i := 0; i < len(parts); i++ {
		part := parts[i]
		if len(part) > 1 && part[len(part)-2].Is("BETWEEN") && i+1 < len(parts) {
			low, lok := literal(part[len(part)-1:])
			high, hok := literal(parts[i+1])
			column, ok := columnIn(part[:len(part)-2])
			if ok = ok && lok && hok; ok {
				c.conditions = append(c.conditions, condition{column, ">=", []string{low}}, condition{column, "<=", []string{high}})
			}
			c.whole = c.whole && ok
			i++
			continue
		}
		cond, ok := conditionIn(part)
		if ok {
			c.conditions = append(c.conditions, cond)
		}
		c.whole = c.whole && ok
	}
	return c
}

// conditionIn reads column = literal and the like; a column alone is true.
func conditionIn(part []sqltext.Token) (condition, bool) {
	if column, ok := columnIn(part); ok {
		return condition{column, "=", []string{"TRUE"}}, true
	}
	if len(part) > 1 && part[0].Is("NOT") {
		column, ok := columnIn(part[1:])
		return condition{column, "=", []string{"FALSE"}}, ok
	}
	end := 1 // of the column
	if len(part) > 3 && part[1].Text == "." {
		end = 3
	}
	if len(part) <= end {
		return condition{}, false
	}
	column, ok := columnIn(part[:end])
	op, rest := "", part[end:]
	for len(rest) > 0 && rest[0].Kind == sqltext.Symbol && strings.Contains("=<>!", rest[0].Text) {
		op, rest = op+rest[0].Text, rest[1:]
	}
	if op == "!=" {
		op = "<>"
	}
	switch {
	case op == "" && rest[0].Is("IS"):
		op, rest = "=", rest[1:]
		if len(rest) > 1 && rest[0].Is("NOT") {
			op, rest = "<>", rest[1:]
		}
	case op == "" && rest[0].Is("IN") && len(rest) > 2:
		var values []string
		for _, item := range split(rest[2:len(rest)-1], ",") {
			v, literal := literal(item)
			ok = ok && literal
			values = append(values, v)
		}
		return condition{column, "=", values}, ok
	}
	value, isLiteral := literal(rest)
	known := op == "=" || op == "<>" || op == "<" || op == ">" || op == "<=" || op == ">="
	return condition{column, op, []string{value}}, ok && isLiteral && known
}

// columnIn reads a column's name, with or without its table's.
func columnIn(tokens []sqltext.Token) (string, bool) {
	if len(tokens) == 3 && tokens[1].Text == "." {
		tokens = tokens[2:]
	}
	if len(tokens) != 1 || tokens[0].Kind != sqltext.Word && tokens[0].Kind != sqltext.Name || constant(tokens[0]) {
		return "", false
	}
	return strings.ToLower(tokens[0].Inside()), true
}

// equal returns what the conjunction says of a row: the columns that it
// compares for equality with one value.
func (c conjunction) equal() row {
	r := row{}
	for _, cond := range c.conditions {
		if cond.op == "=" && len(cond.values) == 1 {
			r[cond.column] = cond.values[0]
		}
	}
	return r
}

// matches reports whether a row is one of those that are asked for.
func (c conjunction) matches(r row) certainty {
	all := yes
	if !c.whole {
		all = maybe
	}
	for _, cond := range c.conditions {
		value, known := r[cond.column]
		if !known {
			all = min(all, maybe)
			continue
		}
		if all = min(all, cond.holds(value)); all == no {
			return no
		}
	}
	return all
}

func (c condition) holds(value string) certainty {
	if c.op == "=" {
		best := no
		for _, v := range c.values {
			best = max(best, same(v, value))
		}
		return best
	}
	if c.op == "<>" {
		return yes - same(c.values[0], value)
	}
	a, aok := number(value)
	b, bok := number(c.values[0])
	if !aok || !bok {
		return maybe // strings are ordered by the database's collation
	}
	switch c.op {
	case "<":
		return decide(a < b)
	case ">":
		return decide(a > b)
	case "<=":
		return decide(a <= b)
	default:
		return decide(a >= b)
	}
}

// same compares two values as texts. Engines and drivers print values that are
// not whole numbers in ways of their own: those that differ only may be
// different.
func same(a, b string) certainty {
	x, xok := number(a)
	y, yok := number(b)
	switch {
	case a == b:
		return yes
	case xok && yok:
		return decide(x == y)
	case xok != yok && (strings.EqualFold(a, "NULL") || strings.EqualFold(b, "NULL")):
		return no
	case !xok && !yok && !strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b)) && !strings.ContainsAny(a+b, ":"):
		return no
	}
	return maybe
}

func number(s string) (float64, bool) {
	switch strings.ToUpper(s) {
	case "TRUE":
		return 1, true
	case "FALSE":
		return 0, true
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil
}

// textOf prints a value as conditions hold it.
func textOf(v racelab.Value) string {
	if v == nil {
		return "NULL"
	}
	return fmt.Sprint(v)
}

// String returns the conjunction as a person says it: id 1, on_call TRUE.
func (c conjunction) String() string {
	var parts []string
	for _, cond := range c.conditions {
		op := " " + cond.op + " "
		if cond.op == "=" {
			op = " "
		}
		parts = append(parts, cond.column+op+strings.Join(cond.values, " or "))
	}
	return strings.Join(parts, ", ")
}
