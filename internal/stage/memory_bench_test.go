package stage_test

import (
	"context"
	"testing"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/engine/memory"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/mem"
)

// counted is two sessions that add to a number, with a mutex or without.
func counted(locked bool) *racelab.Scenario {
	type shared struct {
		number *mem.Var[int64]
		before *mem.Var[int64]
		mutex  *mem.Mutex
	}
	add := func(_ context.Context, env *racelab.Env) (racelab.Value, error) {
		s := env.Process.(*shared)
		if locked {
			s.mutex.Lock()
			defer s.mutex.Unlock()
		}
		n := s.number.Load()
		if locked {
			s.before.Store(n)
		}
		s.number.Store(n + env.Args.Int("amount"))
		return nil, nil
	}
	return &racelab.Scenario{
		Name: "counted",
		Cast: []racelab.Role{{Name: "a", Calls: []racelab.Args{{"amount": int64(40)}}}, {Name: "a", Calls: []racelab.Args{{"amount": int64(30)}}}},
		Strategies: []racelab.Strategy{{
			Name: "add", Body: map[string]racelab.Body{"a": add},
			Process: func(m *racelab.Memory) any {
				s := &shared{number: mem.NewVar(m, "number", int64(0))}
				if locked {
					s.mutex, s.before = mem.NewMutex(m, "mutex"), mem.NewVar(m, "before", int64(0))
				}
				return s
			},
		}},
	}
}

// BenchmarkMemory runs schedules of small programs that have nothing but shared
// memory, on one core: only runs them, one after another, or searches them as a
// sample, which judges each and looks for data races.
func BenchmarkMemory(b *testing.B) {
	for _, locked := range []bool{false, true} {
		name := map[bool]string{false: "counter", true: "five steps with a mutex"}[locked]
		scenario := counted(locked)
		report := func(b *testing.B, err error) {
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "schedules/s")
		}
		b.Run(name+", run", func(b *testing.B) {
			_, cells, schedules := openCells(b, memory.Engine, scenario, 1)
			search := openSearch(b, scenario, cells)
			b.ReportAllocs()
			report(b, search.Together(0, func() (err error) {
				var h racelab.History
				for next := 0; b.Loop() && err == nil; next = (next + 1) % len(schedules) {
					h, err = cells[0].Run(b.Context(), explore.Plan{Schedule: schedules[next], Events: h.Events})
				}
				return err
			}))
		})
		b.Run(name+", searched", func(b *testing.B) {
			_, cells, _ := openCells(b, memory.Engine, scenario, 1)
			search := openSearch(b, scenario, cells)
			search.Random, search.Seed = b.N, 1
			b.ReportAllocs()
			b.ResetTimer()
			_, err := search.Run(b.Context())
			report(b, err)
		})
	}
}
