package load

import (
	"math"
	"slices"
	"time"
)

// Latency is how long requests took from when they were meant to start, in
// milliseconds, so that time spent waiting for a turn is in it.
type Latency struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Spread is how far the requests' real starts lay apart from where they were
// meant to be, in milliseconds after the one that was most on time.
type Spread struct {
	P50        float64 `json:"p50"`
	Max        float64 `json:"max"`
	MeasuredAt string  `json:"measured_at"`
}

// latencyOf is nil if no request reached the target.
func latencyOf(results []Result) *Latency {
	var all []time.Duration
	for _, r := range results {
		if r.connected() {
			all = append(all, r.Latency)
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	return &Latency{millis(rank(all, 0.50)), millis(rank(all, 0.95)), millis(rank(all, 0.99)), millis(all[len(all)-1])}
}

// spreadOf is nil if no request was written.
func spreadOf(results []Result) *Spread {
	var late []time.Duration
	for _, r := range results {
		if r.Sent >= 0 {
			late = append(late, r.Sent-r.Intended)
		}
	}
	if len(late) == 0 {
		return nil
	}
	slices.Sort(late)
	return &Spread{millis(rank(late, 0.50) - late[0]), millis(late[len(late)-1] - late[0]), "client"}
}

// rank returns a quantile by the nearest rank: a value that was measured, the
// smallest that at least the share q of the values does not exceed.
func rank(sorted []time.Duration, q float64) time.Duration {
	return sorted[max(int(math.Ceil(q*float64(len(sorted)))), 1)-1]
}

// millis gives milliseconds, to the microsecond.
func millis(d time.Duration) float64 { return float64(d.Round(time.Microsecond).Microseconds()) / 1000 }
