package explore

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
)

// A sample is random schedules: at each decision every choice is as likely, or
// the sessions have random priorities. Each draws from its own source, so that
// they are the same in any order.
type sample struct {
	seed uint64
	next int // that is drawn next
	of   int
	// promise is of random priorities; nil if every choice is as likely.
	promise *Guarantee
	// Up to so many choices are faults. A fault is as likely at each decision:
	// with all choices alike, nearly every run would lose its first connection.
	faults int
	often  float64
}

// A draw is a random schedule, by its number.
type draw struct {
	*sample
	at int
}

// sample runs random schedules. Serial ones are run only to judge by.
func (s *Search) sample(ctx context.Context, r *result) (Report, error) {
	a := &sample{seed: s.Seed, of: s.Random, faults: s.Faults}
	err := s.prepare(ctx, a)
	if err == nil {
		r.Guarantee = a.promise
		_, err = s.work(ctx, r, a, &recall{})
	}
	if errors.Is(err, check.ErrStopped) {
		err = nil
	}
	return r.finish(false), err
}

// prepare learns how many decisions a run has, where drawing depends on it.
func (s *Search) prepare(ctx context.Context, a *sample) error {
	if s.Faults == 0 && s.Depth == 0 {
		return nil
	}
	h, _, err := s.Judge.Next(ctx)
	if err != nil {
		return err
	}
	g := guaranteeOf(s.Depth, h)
	if s.Depth > 0 {
		a.promise = &g
	}
	a.often = float64(s.Faults) / float64(g.Steps)
	return nil
}

func (s *sample) len() int { return s.of - s.next }

func (s *sample) pop(n int) []todo {
	var todos []todo
	for range min(n, batch, s.len()) {
		todos = append(todos, draw{s, s.next})
		s.next++
	}
	return todos
}

func (s *sample) back(todos []todo) { s.next -= len(todos) }

func (s *sample) ran(_ todo, h racelab.History) {
	if s.promise != nil {
		s.promise.Longest = max(s.promise.Longest, len(decisionsOf(h)))
	}
}

// split is not asked for: a random search has no parts.
func (s *sample) split(Part) {}

func (d draw) schedule() racelab.Schedule { return nil }

func (d draw) onward() func([]racelab.Choice) racelab.Choice {
	random := rand.New(rand.NewPCG(d.seed, uint64(d.at)))
	if d.promise != nil {
		return byPriority(random, d.promise.Depth, d.promise.Steps)
	}
	left := d.faults
	return func(ready []racelab.Choice) racelab.Choice {
		if d.faults > 0 {
			faults, plain := divided(ready)
			ready = plain
			if random.Float64() < d.often && left > 0 && len(faults) > 0 {
				ready = faults
				left--
			}
		}
		return ready[random.IntN(len(ready))]
	}
}

// divided are the choices that are faults, and the others.
func divided(ready []racelab.Choice) (faults, plain []racelab.Choice) {
	isFault := func(c racelab.Choice) bool { return c.Fault != racelab.NoFault }
	return slices.DeleteFunc(slices.Clone(ready), func(c racelab.Choice) bool { return !isFault(c) }), slices.DeleteFunc(slices.Clone(ready), isFault)
}
