package models

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// A Kind is what a task asks for.
type Kind string

const (
	Echo    Kind = "echo"    // nothing but the answer
	Compute Kind = "compute" // Amount rounds of arithmetic
	Wait    Kind = "wait"    // for Amount nanoseconds, as for a disk or a network
	Run     Kind = "run"     // the scenario, freely, Amount times
)

// A Task is what a worker is asked.
type Task struct {
	Kind   Kind `json:"kind"`
	Amount int  `json:"amount"`
	Worker int  `json:"worker"` // which of them it is, counted from 0
}

// An Answer is what a worker says to a task.
type Answer struct {
	Losses int    `json:"losses"`          // of Run
	Sum    uint64 `json:"sum"`             // of Compute
	Error  string `json:"error,omitempty"` // of a process
}

// A Runner runs a scenario freely, so many times, and returns how many runs were
// lost. In a process, worker is the only session that runs; -1 is all of them.
type Runner func(ctx context.Context, runs, worker int) (losses int, err error)

// do does a task.
func do(ctx context.Context, t *Task, run Runner) (a Answer, err error) {
	switch t.Kind {
	case Echo:
	case Compute:
		a.Sum = compute(t.Amount)
	case Wait:
		time.Sleep(time.Duration(t.Amount))
	case Run:
		a.Losses, err = run(ctx, t.Amount, t.Worker)
	default:
		err = fmt.Errorf("there is no task %q", t.Kind)
	}
	return a, err
}

// compute is arithmetic that no compiler leaves out: each round needs the last
// one's result (G. Marsaglia, Xorshift RNGs, 2003).
func compute(rounds int) uint64 {
	x := uint64(88172645463325252)
	for range rounds {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

// Serve is a worker in a process of its own: it reads tasks and writes answers,
// until there are no more tasks.
func Serve(ctx context.Context, in io.Reader, out io.Writer, run Runner) error {
	tasks, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var t Task
		if err := tasks.Decode(&t); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a task: %w", err)
		}
		a, err := do(ctx, &t, run)
		if err != nil {
			a.Error = err.Error()
		}
		if err := answers.Encode(a); err != nil {
			return fmt.Errorf("write an answer: %w", err)
		}
	}
}
