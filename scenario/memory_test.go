package scenario

import (
	"context"
	"sync"
	"testing"

	"github.com/racelab/racelab"
)

// What is safe in shared memory is safe in Go: the same functions, in goroutines,
// over Go's own primitives. The race detector says what it finds of its own.
func TestWhatIsSafeInMemoryIsSafeInGoroutines(t *testing.T) {
	for _, s := range All {
		if s.Setup != nil {
			continue
		}
		for _, st := range s.Strategies {
			if !st.Safe {
				continue
			}
			t.Run(s.Name+"/"+st.Name, func(t *testing.T) {
				for range 30 {
					memory := &racelab.Memory{}
					process := st.Process(memory)
					var all sync.WaitGroup
					for _, role := range s.Dealt(0) {
						all.Go(func() {
							for _, args := range role.Calls {
								callOf(t, st.Body[role.Name], &racelab.Env{Args: args, Process: process, Window: noWindow})
							}
						})
					}
					all.Wait()
					for _, claim := range s.Invariants {
						if expected, actual, err := claim.Measure(memory.State()); err != nil || expected != actual {
							t.Fatalf("%s: expected %d, actual %d, %v", claim.Name, expected, actual, err)
						}
					}
				}
			})
		}
	}
}

// callOf makes a call, which may be refused, or panic on purpose.
func callOf(t *testing.T, body racelab.Body, env *racelab.Env) {
	defer func() {
		if p := recover(); p != nil && p != "there is not that much left" {
			t.Errorf("panic: %v", p)
		}
	}()
	if _, err := body(context.Background(), env); racelab.ClassOf(err) != racelab.OK && racelab.ClassOf(err) != racelab.Refused {
		t.Error(err)
	}
}

func noWindow(context.Context) error { return nil }
