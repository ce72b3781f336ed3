package models

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// Workers that share nothing are all at work at the same time, and each one's
// losses count.
func TestTheLossesOfAllWorkersAreAdded(t *testing.T) {
	var workers []worker
	var all sync.WaitGroup
	all.Add(Workers)
	here := make(chan struct{})
	go func() { all.Wait(); close(here) }()
	for range Workers {
		w, err := startRoutine(t.Context(), func(_ context.Context, runs, worker int) (int, error) {
			all.Done()
			select {
			case <-here:
				return runs + worker, nil
			case <-time.After(20 * time.Second):
				return 0, errors.New("the others do not come")
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer w.close()
		workers = append(workers, w)
	}
	want := 0
	for i := range Workers {
		want += 10 + i
	}
	if n, err := losses(workers, 10, false); err != nil || n != want {
		t.Errorf("%d losses, want %d: %v", n, want, err)
	}
}
