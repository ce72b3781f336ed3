package models

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// A worker does one task after another.
type worker interface {
	do(*Task) (Answer, error)
	close() error
}

// A routine is a worker in this process: tasks come as pointers over a channel.
type routine struct {
	tasks   chan *Task
	answers chan reply
}

type reply struct {
	answer *Answer
	err    error
}

func startRoutine(ctx context.Context, run Runner) (worker, error) {
	r := routine{make(chan *Task), make(chan reply)}
	go func() {
		defer close(r.answers)
		for t := range r.tasks {
			a, err := do(ctx, t, run)
			r.answers <- reply{&a, err}
		}
	}()
	return r, nil
}

func (r routine) do(t *Task) (Answer, error) {
	r.tasks <- t
	said := <-r.answers
	return *said.answer, said.err
}

func (r routine) close() error {
	close(r.tasks)
	<-r.answers
	return nil
}

// A process is a worker in a process of its own: tasks come as text over a pipe.
type process struct {
	cmd     *exec.Cmd
	tasks   *json.Encoder
	answers *json.Decoder
	end     func() error
	said    *bytes.Buffer
}

func startProcess(ctx context.Context, program string, args []string) (worker, error) {
	p := process{cmd: exec.CommandContext(ctx, program, args...), said: &bytes.Buffer{}}
	// Its own group: Ctrl-C in a terminal is for us, and we end it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay, p.cmd.Stderr = time.Second, p.said
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a worker process: %w", err)
	}
	p.tasks, p.answers, p.end = json.NewEncoder(in), json.NewDecoder(out), in.Close
	return p, nil
}

func (p process) do(t *Task) (a Answer, err error) {
	if err := p.tasks.Encode(t); err != nil {
		return a, fmt.Errorf("ask a worker process: %w", err)
	}
	if err := p.answers.Decode(&a); err != nil {
		return a, fmt.Errorf("hear from a worker process: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

func (p process) close() error {
	_ = p.end() // it ends when it can read no more
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("a worker process: %w: %s", err, bytes.TrimSpace(p.said.Bytes()))
	}
	return nil
}
