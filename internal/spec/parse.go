package spec

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxSize is how many bytes a file may have.
const MaxSize = 10 << 20

// An Error says what is wrong in a file, and where.
type Error struct {
	File         string
	Line, Column int // from 1; columns are characters
	Message      string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// A problem is an error before anybody has asked for its line.
type problem struct {
	at      int
	message string
}

// Parse reads a file. Its errors are of type *Error and call the file as given.
func Parse(file string, src []byte) (*Spec, error) {
	s, problem := parse(src)
	if problem == nil {
		return s, nil
	}
	before := string(src[:problem.at])
	line := before[strings.LastIndexByte(before, '\n')+1:]
	return nil, &Error{file, 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(line), problem.message}
}

func parse(src []byte) (*Spec, *problem) {
	if len(src) > MaxSize {
		return nil, &problem{0, fmt.Sprintf("expected at most %d MB, found more", MaxSize>>20)}
	}
	for at := 0; at < len(src); {
		r, size := utf8.DecodeRune(src[at:])
		switch {
		case r == utf8.RuneError && size == 1:
			return nil, &problem{at, fmt.Sprintf("expected text in UTF-8, found the byte 0x%02x", src[at])}
		case r == 0:
			return nil, &problem{at, "expected text, found a NUL"}
		}
		at += size
	}
	p := &parser{scanner: scanner{src: string(src)}, sessions: map[string]int{}}
	p.scanner.told = p.told
	p.advance()
	s := p.spec()
	s.Invariants = p.invariants
	if p.problem != nil {
		return nil, p.problem
	}
	return s, nil
}

// A parser reads by recursive descent. Its first problem stops it: from then on
// its token is broken, which no rule accepts, so that each comes to its end.
type parser struct {
	scanner
	token    token
	tried    []string       // what would have been accepted instead of token
	sessions map[string]int // by step, the index of its session
	problem  *problem

	invariants []Invariant
}

func (p *parser) advance() {
	p.tried = nil
	var problem *problem
	var t token
	if t, problem = p.next(); problem != nil {
		p.fail(problem.at, problem.message)
	}
	if p.problem == nil {
		p.token = t
	}
}

func (p *parser) fail(at int, message string) {
	if p.problem == nil {
		p.problem = &problem{at, message}
	}
	p.token = token{kind: broken}
}

func (p *parser) accept(k kind) (token, bool) {
	t := p.token
	if t.kind != k {
		p.tried = append(p.tried, k.String())
		return token{}, false
	}
	if k != end {
		p.advance()
	}
	return t, true
}

func (p *parser) expect(k kind) token {
	t, ok := p.accept(k)
	if !ok {
		p.fail(p.token.at, "expected "+list(p.tried)+", found "+p.token.String())
	}
	return t
}

func (p *parser) spec() *Spec {
	s := &Spec{}
	for sql := p.block(setup); sql != nil; sql = p.block(setup) {
		s.Setups = append(s.Setups, *sql)
	}
	s.Teardown = p.block(teardown)
	p.expect(session)
	for more := p.problem == nil; more; _, more = p.accept(session) {
		s.Sessions = append(s.Sessions, p.session(len(s.Sessions)))
	}
	for {
		if _, ok := p.accept(permutation); !ok {
			break
		}
		s.Permutations = append(s.Permutations, p.permutation())
	}
	p.expect(end)
	return s
}

// block reads the SQL behind a word, if that word comes next.
func (p *parser) block(word kind) *string {
	if _, ok := p.accept(word); !ok {
		return nil
	}
	sql := p.expect(block).text
	return &sql
}

func (p *parser) session(index int) Session {
	s := Session{Name: p.expect(name).text}
	s.Setup = p.block(setup)
	p.expect(step)
	for more := p.problem == nil; more; _, more = p.accept(step) {
		called := p.expect(name)
		if _, ok := p.sessions[called.text]; ok {
			p.fail(called.at, "expected a name that no other step has, found "+quote(called.text))
		}
		p.sessions[called.text] = index
		s.Steps = append(s.Steps, Step{called.text, p.expect(block).text})
	}
	s.Teardown = p.block(teardown)
	return s
}

func (p *parser) permutation() Permutation {
	var steps Permutation
	here := map[string]bool{}
	type reference struct {
		marker token
		from   int // the session of the step that is marked
	}
	var references []reference // looked at in the end, because they may name what comes later
	called := p.expect(name)
	for more := p.problem == nil; more; called, more = p.accept(name) {
		from, ok := p.sessions[called.text]
		if !ok {
			p.fail(called.at, "expected a step of this file, found "+quote(called.text))
		}
		here[called.text] = true
		scheduled := Scheduled{Step: called.text}
		if _, marked := p.accept(open); marked {
			for more := true; more; _, more = p.accept(comma) {
				m, on := p.marker()
				if scheduled.Markers = append(scheduled.Markers, m); m.Kind != Once {
					references = append(references, reference{on, from})
				}
			}
			p.expect(shut)
		}
		steps = append(steps, scheduled)
	}
	if p.problem != nil {
		return nil
	}
	for _, r := range references {
		switch on := r.marker; {
		case !here[on.text]:
			p.fail(on.at, "expected a step of this permutation, found "+quote(on.text))
		case p.sessions[on.text] == r.from:
			p.fail(on.at, "expected a step of another session, found "+quote(on.text))
		}
	}
	return steps
}

// marker also returns the token that names its step.
func (p *parser) marker() (Marker, token) {
	if _, ok := p.accept(star); ok {
		return Marker{Kind: Once}, token{}
	}
	on := p.expect(name)
	if _, ok := p.accept(notices); !ok {
		return Marker{Kind: AfterStep, Step: on.text}, on
	}
	count := p.expect(number)
	n, err := strconv.ParseInt(count.text, 10, 32)
	if err != nil && p.problem == nil {
		p.fail(count.at, fmt.Sprintf("expected a number up to %d, found %s", math.MaxInt32, count.text))
	}
	return Marker{AfterNotices, on.text, int(n)}, on
}

// String calls a token as an error calls what it has found.
func (t token) String() string {
	switch t.kind {
	case name:
		return quote(t.text)
	case number:
		return t.text
	}
	return t.kind.String()
}

// quote shows what a file says, which may be long and hold anything.
func quote(s string) string {
	const enough = 40
	if r := []rune(s); len(r) > enough {
		s = string(r[:enough]) + "…"
	}
	return strconv.Quote(s)
}

func list(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
