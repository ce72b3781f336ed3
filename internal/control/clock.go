//go:build unix

package control

import (
	"time"

	"golang.org/x/sys/unix"
)

// now reads the system's monotonic clock, which all processes of a machine
// share and nobody sets.
func now() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic("the system has no monotonic clock: " + err.Error())
	}
	return time.Duration(t.Nano())
}
