package lab

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// ErrCut says that a second signal ended the laboratory before all requests
// had their answer.
var ErrCut = errors.New("stopped before all requests were answered")

// Run opens a laboratory, calls ready, and keeps it open until SIGINT or
// SIGTERM. It then lets what is in flight end, which takes as long as a worker
// may take for one request at the most; a second signal ends it at once. ctx,
// which the same signals may end, bounds the start only.
func Run(ctx context.Context, c Config, ready func(*Lab) error) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	l, err := Start(ctx, c)
	if err != nil {
		return err
	}
	if err = ready(l); err == nil {
		select {
		case <-signals:
		case err = <-l.Failed():
		}
	}
	draining, cut := context.WithTimeout(context.Background(), c.WorkerTimeout)
	defer cut()
	closed := make(chan error, 1)
	go func() { closed <- l.Close(draining) }()
	select {
	case <-signals:
		cut()
		return errors.Join(err, ErrCut, <-closed)
	case end := <-closed:
		return errors.Join(err, end)
	}
}
