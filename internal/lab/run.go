package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

var (
	// ErrCut says that a second signal ended the laboratory before all requests
	// had ended.
	ErrCut = errors.New("a second signal cut off what was in flight")
	// ErrLate says that requests had not ended when the time for that was over.
	ErrLate = errors.New("not all requests could end")
)

// Run opens a laboratory, calls ready, and keeps it open until SIGINT or
// SIGTERM. It then lets what is in flight end, for as long as a client may wait
// for its answer at the most; a second signal ends it at once. ctx, which the
// same signals may end, bounds the start only.
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
	draining, end := context.WithTimeout(context.Background(), c.FrontTimeout)
	defer end()
	var cut int
	var tidied error
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		cut, tidied = l.Close(draining)
	}()
	why := ErrLate
	select {
	case <-signals:
		why = ErrCut
		end()
		<-closed
	case <-closed:
	}
	if cut > 0 {
		if err != nil {
			why = err // it ended for that
		}
		err = fmt.Errorf("%w; requests cut off: %d", why, cut)
	}
	return errors.Join(err, tidied)
}
