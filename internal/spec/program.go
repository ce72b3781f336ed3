package spec

import (
	"fmt"
	"slices"
	"strings"
)

// A Program is what the sessions do, in whatever order they take turns: their
// steps, as permutations have them.
type Program struct {
	Sessions     []Session // all of the file; a session of which nothing is asked has no steps
	Permutations []int     // that ask for it, counted from 1; none if the file names none
}

// Programs lists the different programs of a file, in the order of its
// permutations: without any, all sessions run all their steps.
func (s *Spec) Programs() []Program {
	if len(s.Permutations) == 0 {
		return []Program{{Sessions: s.Sessions}}
	}
	var all []Program
	at := map[string]int{}
	for i, order := range s.Permutations {
		p := s.program(order)
		text := p.String()
		if _, ok := at[text]; !ok {
			at[text] = len(all)
			all = append(all, p)
		}
		same := &all[at[text]]
		same.Permutations = append(same.Permutations, i+1)
	}
	return all
}

// Program returns the one that a permutation, counted from 1, asks for.
func (s *Spec) Program(permutation int) (Program, error) {
	for _, p := range s.Programs() {
		if slices.Contains(p.Permutations, permutation) {
			return p, nil
		}
	}
	return Program{}, fmt.Errorf("there is no permutation %d: the file has %d", permutation, len(s.Permutations))
}

func (s *Spec) program(order Permutation) Program {
	p := Program{Sessions: slices.Clone(s.Sessions)}
	for i := range p.Sessions {
		p.Sessions[i].Steps = nil
	}
	for _, scheduled := range order {
		step, session := s.Step(scheduled.Step)
		p.Sessions[session].Steps = append(p.Sessions[session].Steps, step)
	}
	return p
}

// String lists the steps of each session that has any.
func (p Program) String() string {
	var sessions []string
	for _, s := range p.Sessions {
		if len(s.Steps) > 0 {
			sessions = append(sessions, nameText(s.Name)+": "+strings.Join(s.stepNames(), " "))
		}
	}
	return strings.Join(sessions, "; ")
}

func (s Session) stepNames() []string {
	var names []string
	for _, step := range s.Steps {
		names = append(names, nameText(step.Name))
	}
	return names
}
