package postgres

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/racelab/racelab"
)

// Victims reports whether sessions look for deadlocks only when told to.
func (w *world) Victims() bool { return w.patient }

// Freeze stops the server processes of connections that wait. When a row that
// several want is free, the first of its queue leaves the queue before it has
// locked the row's new version, and the second may get there before it
// (heap_lock_tuple, EvalPlanQual). Only a private server's processes are ours
// to stop.
func (w *world) Freeze(ctx context.Context, conns []racelab.ConnID) error {
	if w.server.process == nil {
		return nil
	}
	for {
		if err := w.signal(syscall.SIGSTOP, conns); err != nil {
			return errors.Join(err, w.Thaw(conns...))
		}
		// One that was looking for a deadlock just then holds what everybody
		// needs who looks at locks: then nobody would answer.
		answered := make(chan error, 1)
		go func() {
			_, err := w.Blocked(ctx, conns)
			answered <- err
		}()
		patience := time.NewTimer(answerLimit)
		select {
		case err := <-answered:
			patience.Stop()
			if err != nil {
				err = errors.Join(err, w.Thaw(conns...))
			}
			return err
		case <-patience.C:
			if err := errors.Join(w.Thaw(conns...), <-answered); err != nil {
				return err
			}
		}
	}
}

// answerLimit is a hundred times what the answer takes.
const answerLimit = 20 * time.Millisecond

// Thaw lets the server processes go on.
func (w *world) Thaw(conns ...racelab.ConnID) error {
	if w.server.process == nil {
		return nil
	}
	return w.signal(syscall.SIGCONT, conns)
}

// signal sends to the processes of connections that are open. They are
// children of our server, which takes their numbers back only after it has
// noticed their end; one that has ended is left alone.
func (w *world) signal(signal syscall.Signal, conns []racelab.ConnID) error {
	pids, err := pidsOf(conns)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := syscall.Kill(int(pid), signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("send %v to server process %d: %w", signal, pid, err)
		}
	}
	return nil
}
