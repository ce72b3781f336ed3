package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// same is how long after a signal another one is the same wish.
const same = 300 * time.Millisecond

// interruptible returns a context that ends at Ctrl-C, SIGTERM, or when the
// terminal is closed. After that a second signal kills: it does not wait for
// the clean-up. The function ends the context too.
func interruptible() (context.Context, context.CancelFunc) {
	// A write to a pipe that nobody reads is then an error, and not the death
	// of the process with its servers and folders left behind.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	// Everything that minds SIGTERM, a laboratory that drains among it, so minds
	// SIGHUP. Whoever started us with nohup wants us to go on.
	if !signal.Ignored(syscall.SIGHUP) {
		closed := make(chan os.Signal, 1)
		signal.Notify(closed, syscall.SIGHUP)
		go func() {
			for range closed {
				_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
			}
		}()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// timeout(1) sends the signal twice, to the process and to its group.
	context.AfterFunc(ctx, func() { time.AfterFunc(same, stop) })
	return ctx, stop
}
