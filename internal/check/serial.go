package check

import (
	"fmt"
	"slices"

	"github.com/racelab/racelab"
)

// A serials is the serial runs of some calls, as far as they have been made.
type serials struct {
	calls [][]racelab.CallID // by session, each session's in order
	// turns are the sessions, by position, in the order that is next; nil: all
	// have been run. There may be far too many to list.
	turns  []int
	all    []racelab.CallID
	read   []reading         // what the runs gave, each once
	sights map[string]*sight // by whose results count
}

// A sight is what the runs gave, for those of whom only some calls' results count.
type sight struct {
	results []racelab.CallID
	texts   map[string]bool
}

func newSerials(calls [][]racelab.CallID, in []racelab.CallID) *serials {
	s := &serials{turns: []int{}, all: in, sights: map[string]*sight{}}
	for i, own := range calls {
		own = slices.DeleteFunc(slices.Clone(own), func(c racelab.CallID) bool { return !slices.Contains(in, c) })
		s.calls = append(s.calls, own)
		s.turns = append(s.turns, slices.Repeat([]int{i}, len(own))...)
	}
	return s
}

// next returns the next order, each session's own kept, in lexical order of the
// sessions. Without any call there is one order.
func (s *serials) next() []racelab.CallID {
	order := []racelab.CallID{} // nil would be all calls
	at := make([]int, len(s.calls))
	for _, i := range s.turns {
		order = append(order, s.calls[i][at[i]])
		at[i]++
	}
	s.turns = permuted(s.turns)
	return order
}

// permuted returns the next permutation in lexical order, or nil after the last
// (D. Knuth, The Art of Computer Programming, 7.2.1.2, algorithm L).
func permuted(turns []int) []int {
	for i := len(turns) - 2; i >= 0; i-- {
		if turns[i] >= turns[i+1] {
			continue
		}
		k := len(turns) - 1
		for turns[k] <= turns[i] {
			k--
		}
		turns[i], turns[k] = turns[k], turns[i]
		slices.Reverse(turns[i+1:])
		return turns
	}
	return nil
}

// add keeps what a run gave.
func (s *serials) add(r reading) {
	seen, text := s.seenBy(s.all), r.seenBy(s.all)
	if seen[text] {
		return
	}
	s.read = append(s.read, r)
	for _, v := range s.sights {
		v.texts[r.seenBy(v.results)] = true
	}
}

// seenBy are the texts of what the runs gave, seen by those whose results count.
// It grows with each run.
func (s *serials) seenBy(results []racelab.CallID) map[string]bool {
	key := setKey(results)
	v, ok := s.sights[key]
	if !ok {
		v = &sight{results, map[string]bool{}}
		for _, r := range s.read {
			v.texts[r.seenBy(results)] = true
		}
		s.sights[key] = v
	}
	return v.texts
}

// setKey names a set of calls.
func setKey(calls []racelab.CallID) string {
	calls = slices.Clone(calls)
	slices.Sort(calls)
	return fmt.Sprint(calls)
}
