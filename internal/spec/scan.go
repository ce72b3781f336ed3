package spec

import "strings"

// A kind of token is called as an error calls it.
type kind string

const (
	broken kind = "" // after an error there is nothing that any rule accepts

	setup       kind = "setup"
	teardown    kind = "teardown"
	session     kind = "session"
	step        kind = "step"
	permutation kind = "permutation"
	notices     kind = "notices"

	name   kind = "a name"
	block  kind = "{ SQL }"
	number kind = "a number"
	open   kind = "("
	shut   kind = ")"
	comma  kind = ","
	star   kind = "*"
	end    kind = "end of file"
)

func (k kind) String() string {
	if len(k) == 1 {
		return quote(string(k))
	}
	return string(k)
}

type token struct {
	kind kind
	text string // of a name, a block or a number: what it says
	at   int    // where it begins
}

// A scanner takes tokens off the front of a file. What separates them is as in
// PostgreSQL's specscanner.l, also where that is surprising: a comment ends at a
// carriage return too, and an SQL block at the first closing brace, quoted or not.
type scanner struct {
	src  string
	pos  int
	told func(text string, at int) // of comments that are for racelab
}

const blanks = " \t\r\f" // a newline next to a brace belongs to the SQL

// next returns the next token, or what is wrong and where.
func (s *scanner) next() (token, *problem) {
	s.skip()
	at := s.pos
	if at == len(s.src) {
		return token{kind: end, at: at}, nil
	}
	switch c := s.src[at]; {
	case strings.IndexByte("(),*", c) >= 0:
		s.pos++
		return token{kind: kind(c), at: at}, nil
	case c == '"':
		return s.quoted()
	case c == '{':
		length := strings.IndexByte(s.src[at:], '}')
		if length < 0 {
			return token{}, &problem{at, "expected a } that closes this SQL block, found end of file"}
		}
		s.pos += length + 1
		return token{block, strings.Trim(s.src[at+1:at+length], blanks), at}, nil
	case digit(c):
		s.take(digit)
		return token{number, s.src[at:s.pos], at}, nil
	case begins(c):
		s.take(continues)
		word := s.src[at:s.pos]
		if keyword(word) {
			return token{kind: kind(word), at: at}, nil
		}
		return token{name, word, at}, nil
	}
	return token{}, &problem{at, "expected a word, a name, a marker or { SQL }, found " + quote(s.src[at:at+1])}
}

// skip passes blanks and comments.
func (s *scanner) skip() {
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; {
		case c == '\n' || strings.IndexByte(blanks, c) >= 0:
			s.pos++
		case c == '#':
			at := s.pos + 1
			s.take(func(c byte) bool { return c != '\n' && c != '\r' })
			if text := s.src[at:s.pos]; s.told != nil && strings.HasPrefix(strings.TrimLeft(text, " \t"), mark) {
				s.told(text, at)
			}
		default:
			return
		}
	}
}

func (s *scanner) take(wanted func(byte) bool) {
	for s.pos < len(s.src) && wanted(s.src[s.pos]) {
		s.pos++
	}
}

// quoted reads a name in quotes, in which two of them stand for one.
func (s *scanner) quoted() (token, *problem) {
	at := s.pos
	var text strings.Builder
	for {
		s.pos++ // the quote that begins the name, or the first of two
		length := strings.IndexAny(s.src[s.pos:], "\"\n")
		if length < 0 {
			return token{}, &problem{at, "expected a \" that closes this name, found end of file"}
		}
		text.WriteString(s.src[s.pos : s.pos+length])
		s.pos += length
		if s.src[s.pos] == '\n' {
			return token{}, &problem{at, "expected a \" that closes this name, found the end of its line"}
		}
		s.pos++
		if s.pos == len(s.src) || s.src[s.pos] != '"' {
			return token{name, text.String(), at}, nil
		}
		text.WriteByte('"')
	}
}

func keyword(word string) bool {
	switch kind(word) {
	case setup, teardown, session, step, permutation, notices:
		return true
	}
	return false
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// begins reports whether a name without quotes may begin so: any byte beyond
// ASCII is a letter.
func begins(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c >= 0x80
}

func continues(c byte) bool { return begins(c) || digit(c) || c == '$' }
