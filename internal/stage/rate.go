package stage

import "math"

// A Rate is how often something was seen, and between what bounds it lies in
// the long run, with a confidence of 95 %.
type Rate struct {
	Seen float64 `json:"seen"` // 0 to 1, as the others
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// RateOf is the rate of what was seen so many times of n, n being 1 or more, by
// the score interval: it is right where little or nothing was seen, too
// (E. B. Wilson, Probable Inference, the Law of Succession, and Statistical
// Inference, Journal of the American Statistical Association 22, 1927).
func RateOf(seen, n int) Rate {
	const z = 1.959964 // 95 % of a normal distribution lie so many deviations around its mean
	p, total := float64(seen)/float64(n), float64(n)
	middle := p + z*z/(2*total)
	spread := z * math.Sqrt(p*(1-p)/total+z*z/(4*total*total))
	scale := 1 + z*z/total
	r := Rate{Seen: p, Low: (middle - spread) / scale, High: (middle + spread) / scale}
	if seen == 0 {
		r.Low = 0 // not what rounding leaves
	}
	if seen == n {
		r.High = 1
	}
	return r
}
