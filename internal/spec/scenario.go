package spec

import (
	"fmt"
	"sync/atomic"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/sqltext"
)

// A Played is a program as a scenario: each of its sessions is a session of one
// call, which sends the session's set-up, its steps and its teardown, one after
// another on one connection. The file's own teardown is left out: worlds are
// reset.
type Played struct {
	*racelab.Scenario
	Program  Program
	routines [][]sqltext.Token              // what the set-up's may do, a list of tokens for each
	schema   atomic.Pointer[racelab.Schema] // as learned: Generated is without columns that hold data
	refusals refusals
	changing bool // what a statement means may depend on when it runs
}

// Play makes a scenario of one of the file's programs, with one strategy.
func (s *Spec) Play(name, strategy string, program Program) (*Played, error) {
	p := &Played{Program: program, routines: routines(s.Setups)}
	p.Scenario = &racelab.Scenario{
		Name:    name,
		Summary: "a spec file: " + program.String(),
		Setup:   func(racelab.Dialect) []string { return s.Setups },
		Learn:   p.learn,
		Strategies: []racelab.Strategy{{
			Name: strategy, Summary: "the steps of each session, as the file has them", Body: map[string]racelab.Body{},
		}},
	}
	for _, claim := range s.Invariants {
		called := claim.Name
		if called == "" {
			called = claim.Query
		}
		p.Invariants = append(p.Invariants, racelab.Invariant{Name: called, Query: claim.Query})
	}
	for _, setup := range s.Setups {
		for _, statement := range sqltext.Statements(setup) {
			if why := outside(sqltext.Words(statement)); why != "" {
				return nil, fmt.Errorf("setup: %s", why)
			}
		}
	}
	p.Remains = remainderOfSetups(s.Setups)
	p.changing = p.Remains == racelab.RemainsInSchema
	for i, session := range program.Sessions {
		messages := session.messages()
		for _, m := range messages {
			p.Remains = max(p.Remains, m.remains())
			p.changing = p.changing || m.changes()
		}
		if err := followable(messages); err != nil {
			return nil, err
		}
		letter := racelab.Letter(i)
		role := racelab.Role{Name: fmt.Sprintf("%s %s", letter, session.Name)}
		if len(messages) > 0 {
			// What is done is also what tells one program from another.
			role.Calls = []racelab.Args{{"session": session.text()}}
		}
		p.Cast = append(p.Cast, role)
		p.Strategies[0].Body[role.Name] = p.body(messages)
	}
	return p, nil
}

// A message is what a session sends at once.
type message struct {
	step       string // its name; or setup, teardown
	text       string
	statements []string
}

// place says where it stands in the file.
func (m message) place() string {
	if keyword(m.step) {
		return m.step
	}
	return "step " + nameText(m.step)
}

func (s Session) messages() []message {
	var all []message
	add := func(step, text string) {
		if statements := sqltext.Statements(text); len(statements) > 0 {
			all = append(all, message{step, text, statements})
		}
	}
	if len(s.Steps) == 0 {
		return nil
	}
	if s.Setup != nil {
		add("setup", *s.Setup)
	}
	for _, step := range s.Steps {
		add(step.Name, step.SQL)
	}
	if s.Teardown != nil {
		add("teardown", *s.Teardown)
	}
	return all
}

// text prints the session.
func (s Session) text() string {
	return (&Spec{Sessions: []Session{s}}).String()
}

// CastOf says which of the file's sessions and steps a session's letter is.
func (p *Played) CastOf(i int) (session string, steps []string) {
	for _, m := range p.Program.Sessions[i].messages() {
		steps = append(steps, m.step)
	}
	return p.Program.Sessions[i].Name, steps
}
