package stage_test

import (
	"context"
	"testing"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/memory"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/mem"
	"github.com/racelab/racelab/scenario"
)

// A brancher goes another way for each thing that it can see, and does the same
// at another line there.
type brancher struct {
	memory *racelab.Memory
	errs   *mem.Chan[error]
	bools  *mem.Chan[bool]
	other  *mem.Chan[bool]
	text   *mem.Var[string]
	once   *mem.Once
	n      *mem.Var[int]
}

func newBrancher(m *racelab.Memory) any {
	return &brancher{
		m, mem.NewChan[error](m, "errs", 1), mem.NewChan[bool](m, "bools", 1), mem.NewChan[bool](m, "other", 1),
		mem.NewVar(m, "text", ""), mem.NewOnce(m, "once"), mem.NewVar(m, "n", 0),
	}
}

func branching(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	b := env.Process.(*brancher)
	b.n.Store(1)
	switch err, open, done := b.errs.TryRecv(); {
	case !done:
		b.n.Load()
	case !open:
		b.n.Load()
	case err == nil:
		b.n.Load()
	default:
		b.n.Load()
	}
	var got bool
	switch mem.TrySelect(b.memory, b.bools.Receiving(&got, nil), b.other.Receiving(&got, nil)) {
	case 0:
		b.n.Load()
	case 1:
		b.n.Load()
	default:
		b.n.Load()
	}
	if b.text.Load() == "said" {
		b.n.Load()
	} else {
		b.n.Load()
	}
	b.once.Do(func() { b.n.Load() })
	b.n.Load()
	return nil, nil
}

func deciding(_ context.Context, env *racelab.Env) (racelab.Value, error) {
	b := env.Process.(*brancher)
	b.bools.Send(false)
	if b.n.Load() == 0 {
		b.errs.Send(nil)
	}
	b.errs.Close()
	b.other.Send(false)
	b.text.Store("said")
	mem.Sleep(b.memory, time.Second)
	mem.Go(b.memory, func() { b.once.Do(func() { b.n.Load() }) })
	return nil, nil
}

// The line of an operation is looked up once, and then known by what its
// session has seen. It has to be the same as if it were looked up again.
func TestLinesThatAreKnown(t *testing.T) {
	branches := &racelab.Scenario{
		Name: "branches",
		Cast: []racelab.Role{{Name: "branching", Calls: []racelab.Args{{}}}, {Name: "deciding", Calls: []racelab.Args{{}}}},
		Strategies: []racelab.Strategy{{
			Name: "only", Process: newBrancher, Body: map[string]racelab.Body{"branching": branching, "deciding": deciding},
		}},
	}
	compared := 0
	for _, s := range append([]*racelab.Scenario{branches}, scenario.All...) {
		if s.Setup != nil {
			continue
		}
		for i := range s.Strategies {
			t.Run(s.Name+"/"+s.Strategies[i].Name, func(t *testing.T) {
				sel, err := stage.Select(s, &s.Strategies[i], memory.Engine, "")
				if err != nil {
					t.Fatal(err)
				}
				compared += linesAreKnown(t, sel)
			})
		}
	}
	if compared < 10_000 {
		t.Errorf("only %d lines were compared", compared)
	}
}

// linesAreKnown compares the lines of a selection's runs, and returns how many.
func linesAreKnown(t *testing.T, sel stage.Selection) (compared int) {
	server, err := memory.Engine.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	cell, err := sel.NewCell(t.Context(), server, stage.Controlled{})
	if err != nil {
		t.Fatal(err)
	}
	defer cell.Close()
	search := sel.Search([]*stage.Cell{cell})
	search.Budget = 300
	search.Judged = func(h racelab.History) {
		again, err := cell.Run(t.Context(), explore.Plan{Schedule: explore.ScheduleOf(h), Look: true})
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range h.Events {
			if e.Op.Pos != again.Events[i].Op.Pos {
				t.Fatalf("in %s, %s %s is at %q, and was taken to be at %q", explore.ScheduleOf(h), e.Op.Name(), e.Op.Text, again.Events[i].Op.Pos, e.Op.Pos)
			}
			if e.Op.Pos != "" {
				compared++
			}
		}
	}
	if _, err := search.Run(t.Context()); err != nil && !stage.LostControl(err) {
		t.Fatal(err)
	}
	return compared
}
