package sqltext

import "strings"

// WithoutLock returns a SELECT without its FOR UPDATE, FOR SHARE or LOCK IN
// SHARE MODE, and whether it had one.
func WithoutLock(text string) (string, bool) {
	tokens := Tokens(text)
	if len(tokens) == 0 || !tokens[0].Is("SELECT") {
		return text, false
	}
	for i, t := range tokens {
		next := func(words ...string) bool {
			for _, w := range words {
				if i+1 < len(tokens) && tokens[i+1].Is(w) {
					return true
				}
			}
			return false
		}
		if t.Is("FOR") && next("UPDATE", "SHARE", "NO", "KEY") || t.Is("LOCK") && next("IN") {
			return strings.TrimSpace(text[:t.At]), true
		}
	}
	return text, false
}

// WithLock returns a SELECT with FOR UPDATE, and whether it is one that can
// have it and had none: it reads rows of a table, not what is computed of them.
func WithLock(text string) (string, bool) {
	tokens := Tokens(text)
	if len(tokens) == 0 || !tokens[0].Is("SELECT") {
		return text, false
	}
	from := false
	for i, t := range tokens {
		from = from || t.Is("FROM")
		called := i+1 < len(tokens) && tokens[i+1].Text == "("
		if t.Is("FOR") || t.Is("LOCK") || t.Is("GROUP") || t.Is("DISTINCT") || t.Is("UNION") || t.Kind == Word && called && !from {
			return text, false
		}
	}
	return strings.TrimRight(strings.TrimSpace(text), ";") + " FOR UPDATE", from
}

// WithoutLevel returns statements of which those that begin a transaction ask
// for no isolation level, and whether one has asked.
func WithoutLevel(text string) (string, bool) {
	tokens := Tokens(text)
	begins := false
	for i, t := range tokens {
		if i == 0 || tokens[i-1].Text == ";" {
			begins = t.Is("BEGIN") || t.Is("START")
		}
		last := i + 2
		if !begins || !t.Is("ISOLATION") || last >= len(tokens) || !tokens[i+1].Is("LEVEL") {
			continue
		}
		if !tokens[last].Is("SERIALIZABLE") {
			last++ // READ COMMITTED and the like
		}
		if last >= len(tokens) {
			break
		}
		from, to := t.At, tokens[last].At+len(tokens[last].Text)
		switch {
		case last+1 < len(tokens) && tokens[last+1].Text == ",":
			to = tokens[last+1].At + 1
		case tokens[i-1].Text == ",":
			from = tokens[i-1].At
		}
		text, _ = WithoutLevel(strings.TrimSpace(text[:from]) + text[to:]) // there may be more
		return strings.TrimSpace(text), true
	}
	return text, false
}

// WithoutUnique returns a statement that makes a table or an index without its
// n-th UNIQUE, counted from 0, and whether there is one.
func WithoutUnique(text string, n int) (string, bool) {
	tokens := Tokens(text)
	for i, t := range tokens {
		if !t.Is("UNIQUE") {
			continue
		}
		if n > 0 {
			n--
			continue
		}
		start, end := t.At, t.At+len(t.Text)
		before := i - 1
		if before > 0 && tokens[before-1].Is("CONSTRAINT") {
			before -= 2
		}
		if before >= 0 && tokens[before].Text == "," { // a constraint of its own
			start = tokens[before].At
			depth := 0
			for _, u := range tokens[i:] {
				if u.Text == "(" {
					depth++
				}
				if u.Text == ")" {
					if depth--; depth == 0 {
						end = u.At + 1
						break
					}
				}
			}
		}
		return text[:start] + text[end:], true
	}
	return text, false
}
