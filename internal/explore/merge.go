package explore

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/racelab/racelab"
)

// Merge makes one frontier of those of all parts of a search.
func Merge(parts []Frontier) (Frontier, error) {
	m := parts[0]
	if len(parts) == 1 && m.Part == "" {
		return m, nil
	}
	seen := map[string]bool{}
	of := 0
	for _, p := range parts {
		var part Part
		if _, err := fmt.Sscanf(p.Part, "%d/%d", &part.I, &part.Of); err != nil || seen[p.Part] {
			return m, fmt.Errorf("part %q cannot be merged with the others: give each part of one search once", p.Part)
		}
		if of == 0 {
			of = part.Of
		}
		if part.Of != of || part.I < 1 || part.I > of || part.String() != p.Part {
			return m, fmt.Errorf("%s and %s are parts of different divisions", m.Part, p.Part)
		}
		if p.Fingerprint != m.Fingerprint || p.Method != m.Method {
			return m, errors.New("the parts are of different searches")
		}
		seen[p.Part] = true
	}
	if len(parts) != of {
		return m, fmt.Errorf("%d of %d parts are given", len(parts), of)
	}
	slices.SortFunc(parts, func(a, b Frontier) int { return cmp.Compare(a.Part, b.Part) })
	m = parts[0]
	m.Part = ""
	for _, p := range parts {
		if !p.Begun {
			return m, fmt.Errorf("part %s was over before it knew its share: do it again with a larger budget", p.Part)
		}
	}
	for _, p := range parts {
		// What a part has run without knowing a dependency that another has
		// seen may lack something: then nothing is known to be done.
		if !slices.Equal(p.Facts, m.Facts) {
			return Frontier{Schema: m.Schema, Fingerprint: m.Fingerprint, Method: m.Method}, nil
		}
	}
	nodes := map[string]int{}
	for i, n := range m.Nodes {
		nodes[n.Path] = i
	}
	queued := map[string]bool{}
	for _, it := range m.Items {
		queued[it.Schedule] = true
	}
	for _, p := range parts[1:] {
		m.Report.add(p.Report)
		m.Cut = m.Cut || p.Cut
		for _, n := range p.Nodes {
			at, known := nodes[n.Path]
			if !known {
				nodes[n.Path] = len(m.Nodes)
				m.Nodes = append(m.Nodes, n)
				continue
			}
			m.Nodes[at].Taken = union(m.Nodes[at].Taken, n.Taken)
		}
		for _, it := range p.Items {
			if !queued[it.Schedule] {
				queued[it.Schedule] = true
				m.Items = append(m.Items, it)
			}
		}
	}
	return m, nil
}

func union(a, b []savedTaken) []savedTaken {
	for _, t := range b {
		i := slices.IndexFunc(a, func(u savedTaken) bool { return u.Choice == t.Choice })
		switch {
		case i < 0:
			a = append(a, t)
		case a[i].Step == nil:
			a[i].Step = t.Step
		}
	}
	return a
}

// add counts what another part has found.
func (r *savedReport) add(o savedReport) {
	switch { // a race is no witness where there is a violation
	case (r.Violations > 0) == (o.Violations > 0):
		r.Witness = better(r.Witness, o.Witness)
	case o.Violations > 0:
		r.Witness = o.Witness
	}
	r.Raced += o.Raced
	for _, race := range o.Races {
		if !slices.ContainsFunc(r.Races, func(known FoundRace) bool { return known.Lines() == race.Lines() }) {
			r.Races = append(r.Races, race)
		}
	}
	r.Schedules += o.Schedules
	r.Serial = max(r.Serial, o.Serial)
	r.Beside += o.Beside
	r.Aborted += o.Aborted
	r.Deadlocked += o.Deadlocked
	r.Violations += o.Violations
	if r.FirstFound == 0 {
		r.FirstFound = o.FirstFound
	}
	for c, n := range o.Classes {
		if r.Classes == nil {
			r.Classes = map[racelab.Class]int{}
		}
		r.Classes[c] += n
	}
	for _, x := range o.Outcomes {
		i := slices.IndexFunc(r.Outcomes, func(y OutcomeCount) bool { return x.State == y.State && x.Results == y.Results })
		if i < 0 {
			r.Outcomes = append(r.Outcomes, x)
			continue
		}
		r.Outcomes[i].Count += x.Count
	}
	r.Conflicts = append(r.Conflicts, o.Conflicts...)
	r.Passing = cmp.Or(r.Passing, o.Passing)
}

// better keeps the shorter of two witnesses.
func better(a, b string) string {
	if a == "" || b != "" && len(b) < len(a) {
		return b
	}
	return a
}

// A Part is one of several equal parts of a search; the zero value is all of it.
type Part struct{ I, Of int }

// String returns 1/3, or "" for all.
func (p Part) String() string {
	if p.Of == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", p.I, p.Of)
}

// mine reports whether the part has the item at a position.
func (p Part) mine(at int) bool { return at%p.Of == p.I-1 }
