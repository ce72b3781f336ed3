package explore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
)

// A Frontier is what is left of a search, with what it has found so far, so
// that it can go on later, or in parts elsewhere. It is JSON; only a search for
// the same thing can read it.
type Frontier struct {
	Schema      string      `json:"schema"` // racelab.frontier/1
	Fingerprint string      `json:"fingerprint"`
	Method      string      `json:"method"` // brute or reduced
	Part        string      `json:"part"`   // I/N if it is one of N parts, else ""
	Begun       bool        `json:"begun"`  // false: the search has yet to find what is to be done
	Report      savedReport `json:"report"`
	Items       []savedItem `json:"items"` // to be run, the next one first
	Nodes       []savedNode `json:"nodes,omitempty"`
	Cut         bool        `json:"cut"`
	Facts       []string    `json:"moved,omitempty"` // what the relation knew
	Sum         string      `json:"sum"`             // of all the rest: a search must not go on with what was damaged
}

type savedReport struct {
	Schedules  int                   `json:"schedules"`
	Serial     int                   `json:"serial"`
	Beside     int                   `json:"beside,omitempty"`
	Aborted    int                   `json:"aborted"`
	Classes    map[racelab.Class]int `json:"classes"`
	Deadlocked int                   `json:"deadlocked"`
	Violations int                   `json:"violations"`
	FirstFound int                   `json:"first_found"`
	Raced      int                   `json:"raced,omitempty"`
	Races      []FoundRace           `json:"races,omitempty"`
	Outcomes   []OutcomeCount        `json:"outcomes"`
	Conflicts  []check.SavedPair     `json:"conflicts"`
	Witness    string                `json:"witness,omitempty"`
	Passing    string                `json:"passing,omitempty"`
}

type savedItem struct {
	Schedule  string `json:"schedule"`
	Preempted int    `json:"preempted,omitempty"`
	Faults    int    `json:"faults,omitempty"`
}

type savedNode struct {
	Path  string       `json:"path"`
	Ready string       `json:"ready"`
	Sleep []check.Step `json:"sleep,omitempty"`
	Taken []savedTaken `json:"taken"`
}

type savedTaken struct {
	Choice string      `json:"choice"`
	Step   *check.Step `json:"step,omitempty"`
}

// ErrDamaged says that a frontier is not what a search has saved.
var ErrDamaged = errors.New("it is a damaged frontier")

const frontierSchema = "racelab.frontier/1"

// ReadFrontier reads what a search has saved.
func ReadFrontier(text []byte) (f Frontier, err error) {
	if err := json.Unmarshal(text, &f); err != nil {
		return f, errors.New("it is no frontier, or a damaged one")
	}
	if f.Schema != frontierSchema {
		return f, fmt.Errorf("it is no frontier of this version: its schema is %.40q", f.Schema)
	}
	if f.Sum != f.sum() {
		return f, ErrDamaged
	}
	schedules := []string{f.Report.Witness, f.Report.Passing}
	for _, it := range f.Items {
		schedules = append(schedules, it.Schedule)
	}
	for _, n := range f.Nodes {
		schedules = append(schedules, n.Path, n.Ready)
		for _, t := range n.Taken {
			schedules = append(schedules, t.Choice)
		}
	}
	for _, schedule := range schedules {
		if _, err := racelab.ParseSchedule(schedule); err != nil {
			return f, ErrDamaged
		}
	}
	for _, n := range f.Nodes {
		if len(n.Taken) == 0 {
			return f, ErrDamaged
		}
	}
	return f, nil
}

// Done reports whether nothing is left to do.
func (f Frontier) Done() bool { return f.Begun && len(f.Items) == 0 }

// Text is the frontier as JSON, for ReadFrontier.
func (f Frontier) Text() ([]byte, error) {
	f.Sum = f.sum()
	return json.Marshal(f)
}

// sum is of everything but itself.
func (f Frontier) sum() string {
	f.Sum = ""
	text, err := json.Marshal(f)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// save is what is left of a search with that agenda; nil has not begun.
func (s *Search) save(r *result, a agenda) Frontier {
	f := Frontier{Schema: frontierSchema, Fingerprint: s.Fingerprint, Method: "brute", Part: s.Part.String(), Begun: a != nil && (s.Part.Of == 0 || s.divided), Items: []savedItem{}}
	if s.Relation != nil {
		f.Method = "reduced"
	}
	p := r.Report
	f.Report = savedReport{
		Schedules: p.Schedules, Serial: p.Serial, Beside: r.beside(), Aborted: p.Aborted, Classes: p.Classes, Deadlocked: p.Deadlocked,
		Violations: p.Violations, FirstFound: p.FirstFound, Outcomes: p.Outcomes, Conflicts: r.conflicts.Save(),
		Raced: p.Raced, Races: p.Races,
	}
	if p.Witness != nil {
		f.Report.Witness = p.Witness.Schedule.String()
	}
	if p.Passing != nil {
		f.Report.Passing = p.Passing.Schedule.String()
	}
	switch a := a.(type) {
	case *frontier:
		f.Cut = a.cut
		for _, items := range a.few {
			for _, it := range items {
				f.Items = append(f.Items, it.save())
			}
		}
		for _, it := range slices.Backward(a.many) {
			f.Items = append(f.Items, it.save())
		}
	case *reduction:
		f.Facts = s.Relation.Facts()
		saved := map[*node]bool{}
		queue := slices.Clone(a.queue)
		slices.Reverse(queue)
		for _, b := range append(queue, a.later...) {
			f.Items = append(f.Items, savedItem{Schedule: b.schedule().String()})
			for _, n := range b.at.path() {
				if !saved[n] {
					saved[n] = true
					f.Nodes = append(f.Nodes, n.save())
				}
			}
		}
	}
	return f
}

func (it item) save() savedItem {
	return savedItem{Schedule: it.schedule().String(), Preempted: it.preempted, Faults: it.faults}
}

func (n *node) save() savedNode {
	s := savedNode{Ready: racelab.Schedule(n.ready).String(), Sleep: n.sleep}
	var path racelab.Schedule
	for _, m := range n.path()[1:] {
		path = append(path, m.via)
	}
	s.Path = path.String()
	for _, t := range n.taken {
		s.Taken = append(s.Taken, savedTaken{t.choice.String(), t.step})
	}
	return s
}

// load makes the agenda that was saved. ReadFrontier has read the schedules.
func (s *Search) load(f Frontier, serial []racelab.History) (agenda, error) {
	parse := func(text string) racelab.Schedule {
		schedule, _ := racelab.ParseSchedule(text)
		return schedule
	}
	if s.Relation == nil {
		a := &frontier{bound: s.Bound, faults: s.Faults, cut: f.Cut}
		var many []item
		for _, i := range f.Items {
			it := item{preempted: i.Preempted, faults: i.Faults}
			if schedule := parse(i.Schedule); len(schedule) > 0 {
				it.base, it.keep, it.other, it.first = schedule, len(schedule)-1, schedule[len(schedule)-1], true
			}
			if it.preempted <= queued {
				a.few[max(it.preempted, 0)] = append(a.few[max(it.preempted, 0)], it)
				continue
			}
			many = append(many, it)
		}
		slices.Reverse(many)
		a.many = many
		return a, nil
	}
	a := newReduction(s.Relation, s.Faults)
	a.first = serial[0]
	for _, h := range serial {
		s.Relation.Steps(h)
	}
	s.Relation.Know(f.Facts)
	a.learned = s.Relation.Learned()
	nodes := map[string]*node{}
	saved := slices.Clone(f.Nodes)
	slices.SortStableFunc(saved, func(x, y savedNode) int { return cmp.Compare(len(parse(x.Path)), len(parse(y.Path))) })
	for _, x := range saved {
		path := parse(x.Path)
		n := &node{depth: len(path), ready: parse(x.Ready), sleep: x.Sleep}
		if len(path) > 0 {
			n.via = path[len(path)-1]
			if n.parent = nodes[path[:len(path)-1].String()]; n.parent == nil {
				return nil, ErrDamaged
			}
		}
		for _, t := range x.Taken {
			choice := parse(t.Choice)
			if len(choice) != 1 {
				return nil, ErrDamaged
			}
			n.taken = append(n.taken, taken{choice[0], t.Step})
		}
		nodes[x.Path] = n
		if len(path) == 0 {
			a.root = n
		}
	}
	for _, i := range slices.Backward(f.Items) {
		schedule := parse(i.Schedule)
		if len(schedule) == 0 || nodes[schedule[:len(schedule)-1].String()] == nil {
			return nil, ErrDamaged
		}
		a.queue = append(a.queue, branch{a, nodes[schedule[:len(schedule)-1].String()], schedule[len(schedule)-1]})
	}
	return a, nil
}

// resume takes up the counts of a frontier, and runs its witness and its
// passing schedule again for their histories.
func (s *Search) resume(ctx context.Context, r *result, f Frontier) error {
	p := f.Report
	r.take(p)
	again := func(text string, least, most int) (*Finding, error) {
		schedule, err := racelab.ParseSchedule(text)
		if err != nil || text == "" {
			return nil, err
		}
		h, err := s.Runners[0](ctx, Plan{Schedule: schedule, Faults: s.Faults > 0})
		if err != nil {
			return nil, fmt.Errorf("run %s again: %w", schedule, err)
		}
		v, err := s.Judge.Judge(ctx, h)
		if err == nil && (v.Severity() < least || v.Severity() > most) {
			err = fmt.Errorf("run %s again: it comes to something else now", schedule)
		}
		return findingOf(h, v).kept(), err
	}
	var err error
	if r.Witness, err = again(p.Witness, 1, 2); err != nil {
		return err
	}
	r.Passing, err = again(p.Passing, 0, 1)
	return err
}
