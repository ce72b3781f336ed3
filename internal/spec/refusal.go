package spec

import (
	"slices"
	"sync"

	"github.com/racelab/racelab"
)

// A Refusal is an error that a statement has met.
type Refusal struct {
	Step, Text string
	Class      racelab.Class
	Err        error // in the server's own words
}

// refusals are those of statements that have never succeeded.
type refusals struct {
	mu   sync.Mutex
	all  []Refusal
	fine map[[2]string]bool // step and text
}

func (r *refusals) refused(step, text string, class racelab.Class, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.fine[[2]string{step, text}] && !slices.ContainsFunc(r.all, func(x Refusal) bool { return x.Step == step && x.Text == text }) {
		r.all = append(r.all, Refusal{step, text, class, err})
	}
}

func (r *refusals) accepted(step, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fine == nil {
		r.fine = map[[2]string]bool{}
	}
	r.fine[[2]string{step, text}] = true
	r.all = slices.DeleteFunc(r.all, func(x Refusal) bool { return x.Step == step && x.Text == text })
}

// Meaningless lists the statements that the engine cannot read, or that name
// what is not there: that lies at no other session's door, unless steps make
// and drop such things.
func (p *Played) Meaningless() []Refusal {
	if p.changing {
		return nil
	}
	return slices.DeleteFunc(p.Refused(), func(x Refusal) bool { return x.Class != racelab.SyntaxError })
}

// Refused lists the statements that have failed in every run so far, but for
// those that came after another error of their transaction.
func (p *Played) Refused() []Refusal {
	p.refusals.mu.Lock()
	defer p.refusals.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.refusals.all), func(x Refusal) bool { return x.Class == racelab.TransactionFailed })
}
