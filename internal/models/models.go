package models

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Workers is how many workers share work, against one that does all of it.
const Workers = 4

// piece is how long one of the parts takes that work consists of.
const piece = 10 * time.Millisecond

// A Row is what was measured of one model. Times are medians, in microseconds.
type Row struct {
	Model     string  `json:"model"`
	For       string  `json:"for"`       // what the talk has there
	Because   *string `json:"because"`   // there is none in Go; the rest is 0 then
	Execution string  `json:"execution"` // parallel or concurrent: whether several compute at once
	Exchange  string  `json:"exchange"`  // pointer or serialization
	StartUS   float64 `json:"start_us"`  // until a new worker has answered
	ThereUS   float64 `json:"there_and_back_us"`
	Compute   float64 `json:"compute_speed_up"` // of Workers against one
	Wait      float64 `json:"wait_speed_up"`
	Runs      int     `json:"runs"` // of the scenario
	Losses    int     `json:"losses"`
	BestFor   string  `json:"best_for"`
}

// A Measurement says what to measure with.
type Measurement struct {
	Program string   // that serves tasks when it is started
	Args    []string // with these
	Run     Runner
	Runs    int // of the scenario
	Tell    func(model string)
}

// Rows measures all models, one after another.
func (m Measurement) Rows(ctx context.Context) ([]Row, error) {
	inProcess := func(ctx context.Context) (worker, error) { return startRoutine(ctx, m.Run) }
	outside := func(ctx context.Context) (worker, error) { return startProcess(ctx, m.Program, m.Args) }
	rounds := calibrate()
	var rows []Row
	for _, x := range []model{
		{Row{Model: "goroutines", For: "threads", Exchange: "pointer"}, inProcess, 0, 500},
		{Row{Model: "goroutines, one processor", For: "coroutines", Exchange: "pointer"}, inProcess, 1, 500},
		{Row{Model: "processes", For: "multiprocessing", Exchange: "serialization"}, outside, 0, 9},
	} {
		m.Tell(x.row.Model)
		row, err := m.measure(ctx, x, rounds)
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
	none := "Go has one runtime in a process, and no second one can be started in it"
	return append(rows, Row{Model: "none", For: "sub-interpreters", Because: &none}), nil
}

// A model is a way to have workers.
type model struct {
	row        Row
	start      func(context.Context) (worker, error)
	processors int // that run Go code; 0: as many as there are
	starts     int // that are measured
}

func (m Measurement) measure(ctx context.Context, x model, rounds int) (row Row, err error) {
	if x.processors > 0 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(x.processors))
	}
	row = x.row
	if row.StartUS, err = startTime(ctx, x); err != nil {
		return row, err
	}
	var workers []worker
	defer func() {
		for _, w := range workers {
			err = errors.Join(err, w.close())
		}
	}()
	for range Workers {
		w, err := x.start(ctx)
		if err != nil {
			return row, err
		}
		workers = append(workers, w)
		if _, err := w.do(&Task{Kind: Echo}); err != nil {
			return row, err
		}
	}
	if row.ThereUS, err = thereAndBack(ctx, workers[0]); err != nil {
		return row, err
	}
	if row.Compute, err = speedUp(ctx, workers, Task{Kind: Compute, Amount: rounds}); err != nil {
		return row, err
	}
	if row.Wait, err = speedUp(ctx, workers, Task{Kind: Wait, Amount: int(piece)}); err != nil {
		return row, err
	}
	row.Runs = m.Runs
	if row.Losses, err = losses(workers, m.Runs, row.Exchange == "pointer"); err != nil {
		return row, err
	}
	row.Execution, row.BestFor = row.meaning(runtime.GOMAXPROCS(0))
	return row, nil
}

// startTime is how long a worker takes until it has answered for the first time.
func startTime(ctx context.Context, x model) (float64, error) {
	return median(ctx, x.starts, func() (time.Duration, error) {
		began := time.Now()
		w, err := x.start(ctx)
		if err != nil {
			return 0, err
		}
		_, err = w.do(&Task{Kind: Echo})
		took := time.Since(began)
		return took, errors.Join(err, w.close())
	})
}

// thereAndBack is how long a task and its answer take that ask for nothing.
func thereAndBack(ctx context.Context, w worker) (float64, error) {
	const many = 50 // of which the clock is read once
	return median(ctx, 40, func() (time.Duration, error) {
		began := time.Now()
		for range many {
			if _, err := w.do(&Task{Kind: Echo}); err != nil {
				return 0, err
			}
		}
		return time.Since(began) / many, nil
	})
}

// speedUp is how much sooner workers have done as many tasks as there are of
// them than one who does all.
func speedUp(ctx context.Context, workers []worker, t Task) (float64, error) {
	const times = 5
	one, err := median(ctx, times, func() (time.Duration, error) {
		began := time.Now()
		for range workers {
			if _, err := workers[0].do(&t); err != nil {
				return 0, err
			}
		}
		return time.Since(began), nil
	})
	if err != nil {
		return 0, err
	}
	all, err := median(ctx, times, func() (time.Duration, error) {
		began := time.Now()
		_, err := together(workers, func(int) *Task { return &t })
		return time.Since(began), err
	})
	return one / all, err
}

// losses runs the scenario: in one process all its sessions, which share its
// memory; or one in each, where they share nothing.
func losses(workers []worker, runs int, shared bool) (n int, err error) {
	if shared {
		a, err := workers[0].do(&Task{Kind: Run, Amount: runs, Worker: -1})
		return a.Losses, err
	}
	answers, err := together(workers, func(i int) *Task { return &Task{Kind: Run, Amount: runs, Worker: i} })
	for _, a := range answers {
		n += a.Losses
	}
	return n, err
}

// together gives each worker a task at the same time.
func together(workers []worker, task func(i int) *Task) ([]Answer, error) {
	answers, errs := make([]Answer, len(workers)), make([]error, len(workers))
	var all sync.WaitGroup
	for i, w := range workers {
		all.Go(func() { answers[i], errs[i] = w.do(task(i)) })
	}
	all.Wait()
	return answers, errors.Join(errs...)
}

// calibrate finds how many rounds of arithmetic a piece of work has.
func calibrate() int {
	for rounds := 1 << 16; ; rounds *= 2 {
		began := time.Now()
		if compute(rounds) == 0 { // never; but a sum that nobody asks for is not computed
			continue
		}
		if took := time.Since(began); took >= piece {
			return int(float64(rounds) * float64(piece) / float64(took))
		}
	}
}

// median is the middle of so many times that f gives, in microseconds.
func median(ctx context.Context, times int, f func() (time.Duration, error)) (float64, error) {
	took := make([]time.Duration, times)
	for i := range took {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		var err error
		if took[i], err = f(); err != nil {
			return 0, errors.Join(ctx.Err(), err)
		}
	}
	slices.Sort(took)
	return float64(took[times/2].Nanoseconds()) / 1000, nil
}
