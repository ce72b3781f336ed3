package stage_test

import "time"

// A stopwatch adds up what is timed.
type stopwatch struct {
	total time.Duration
	times int
}

func (s *stopwatch) time(run func()) {
	began := time.Now()
	run()
	s.total += time.Since(began)
	s.times++
}

// mean returns the seconds of one run.
func (s *stopwatch) mean() float64 { return s.total.Seconds() / float64(max(s.times, 1)) }
