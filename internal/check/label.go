package check

import (
	"fmt"
	"slices"
	"strings"
)

// A fact is one thing that an outcome says, a row or what a call returned, in
// pieces of text and keys.
type fact []piece

type piece struct {
	text string
	key  int // position among the keys; -1: it is text alone
}

// A painting gives each key a colour, by position. The colours are 0, 1, ...
type painting []int

func (f fact) paint(colour func(key int) string) string {
	var b strings.Builder
	for _, p := range f {
		b.WriteString(p.text)
		if p.key >= 0 {
			b.WriteString(colour(p.key))
		}
	}
	return b.String()
}

func (p painting) colour(key int) string { return fmt.Sprintf("#%d", p[key]) }

// canonical gives each key a colour of its own, such that facts which differ
// only in the names of their keys, each kind's renamed among themselves, are
// the same facts when painted. kinds are the keys' kinds, by position.
//
// It is the search of B. McKay (Practical Graph Isomorphism, 1981) in its
// simplest form: keys are told apart by the facts they are in, and where that
// leaves several alike, each is tried as the first of them, and the least text
// wins. One that gives the same text as an earlier one of them at the first
// attempt is its mirror image, and need not be searched.
func canonical(facts []fact, kinds []string) painting {
	if len(kinds) == 0 {
		return nil
	}
	in := make([][]fact, len(kinds))
	for _, f := range facts {
		seen := map[int]bool{}
		for _, p := range f {
			if p.key >= 0 && !seen[p.key] {
				seen[p.key] = true
				in[p.key] = append(in[p.key], f)
			}
		}
	}
	s := labelling{facts, in}
	_, p := s.search(s.refine(ranked(kinds)))
	return p
}

type labelling struct {
	facts []fact
	in    [][]fact // those that a key is in
}

// ranked colours by the order of texts.
func ranked(texts []string) painting {
	sorted := slices.Compact(slices.Sorted(slices.Values(texts)))
	p := make(painting, len(texts))
	for i, t := range texts {
		p[i], _ = slices.BinarySearch(sorted, t)
	}
	return p
}

// refine tells keys of one colour apart by the facts they are in, until that
// tells no more.
func (s labelling) refine(p painting) painting {
	for count := -1; count != p.colours(); {
		count = p.colours()
		texts := make([]string, len(p))
		for k, facts := range s.in {
			lines := make([]string, len(facts))
			for i, f := range facts {
				lines[i] = f.paint(func(other int) string {
					if other == k {
						return "#self"
					}
					return p.colour(other)
				})
			}
			slices.Sort(lines)
			texts[k] = fmt.Sprintf("%09d %q", p[k], lines)
		}
		p = ranked(texts)
	}
	return p
}

func (p painting) colours() int {
	if len(p) == 0 {
		return 0
	}
	return slices.Max(p) + 1
}

// alike returns the keys of the first colour that several have, or nil.
func (p painting) alike() []int {
	by := make([][]int, p.colours())
	for k, colour := range p {
		by[colour] = append(by[colour], k)
	}
	for _, some := range by {
		if len(some) > 1 {
			return some
		}
	}
	return nil
}

// single gives a key a colour of its own, before the others of its colour.
func (s labelling) single(p painting, key int) painting {
	next := make(painting, len(p))
	for k, colour := range p {
		next[k] = 2*colour + 1
	}
	next[key]--
	return s.refine(next)
}

// text is all facts, painted.
func (s labelling) text(p painting) string {
	lines := make([]string, len(s.facts))
	for i, f := range s.facts {
		lines[i] = f.paint(p.colour)
	}
	slices.Sort(lines)
	return fmt.Sprintf("%q", lines)
}

// attempt tells all keys apart, the first of those that are alike first.
func (s labelling) attempt(p painting) string {
	for some := p.alike(); some != nil; some = p.alike() {
		p = s.single(p, some[0])
	}
	return s.text(p)
}

// search returns the least text and its painting.
func (s labelling) search(p painting) (least string, best painting) {
	some := p.alike()
	if some == nil {
		return s.text(p), p
	}
	seen := map[string]bool{}
	for _, k := range some {
		next := s.single(p, k)
		attempt := s.attempt(next)
		if seen[attempt] {
			continue
		}
		seen[attempt] = true
		if text, painted := s.search(next); best == nil || text < least {
			least, best = text, painted
		}
	}
	return least, best
}
