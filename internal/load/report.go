package load

import "encoding/json"

// Verdict is what a run of requests proves about the account.
type Verdict string

const (
	Holds     Verdict = "holds"
	Violated  Verdict = "violated"
	Undecided Verdict = "unknown" // never to be shown as success
)

// A Report is a run judged: the document racelab.hit/1. What only a ledger can
// tell is nil if there is none that can be trusted.
type Report struct {
	Schema   string `json:"schema"`
	Target   string `json:"target"`
	Strategy string `json:"strategy"` // as the lab says it; "" if the target does not
	Engine   string `json:"engine"`
	Requests int    `json:"requests"`
	Amount   int64  `json:"amount"`

	Acknowledged int            `json:"acknowledged"`
	Failed       map[string]int `json:"failed"` // by class
	Unknown      int            `json:"unknown"`
	NotSent      int            `json:"not_sent"`
	Statuses     map[int]int    `json:"statuses"`

	Before     *Holding `json:"before"`
	After      *Holding `json:"after"`
	Recorded   *int     `json:"recorded"` // rows added
	Expected   *int64   `json:"expected"` // the balance before and what the rows added
	Actual     *int64   `json:"actual"`
	Lost       *int64   `json:"lost"` // money; below 0, it appeared
	Unrecorded *int     `json:"unrecorded"`

	Settled bool    `json:"settled"`
	Verdict Verdict `json:"verdict"`
	Reason  *string `json:"reason"` // nil if there is nothing to say

	// RecordedOnly counts requests without an answer that the ledger knows:
	// with acknowledged, failed, unknown and not sent they are all requests.
	// FailedRecorded counts those whose failure was answered and that have
	// left a row all the same.
	RecordedOnly   int `json:"recorded_only"`
	FailedRecorded int `json:"failed_recorded"`

	Account int64  `json:"account"`
	Level   string `json:"level"`   // as the lab says it; "" if the target is none
	Workers *int   `json:"workers"` // nil likewise
	Window  string `json:"window"`  // "" likewise

	Latency *Latency `json:"latency_ms"`
	Spread  *Spread  `json:"spread_ms"`
	Results []Result `json:"results"`
}

// A Holding is what an account holds.
type Holding struct {
	Balance int64 `json:"balance"`
	Rows    int   `json:"rows"`
}

// MarshalJSON writes a result as the report has it: no status and no time for
// a request that has none.
func (r Result) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		I      int      `json:"i"`
		Status *int     `json:"status"`
		MS     *float64 `json:"ms"`
		Class  string   `json:"class"`
	}{r.I, orNil(r.Status, r.Status != 0), orNil(millis(r.Latency), r.Outcome != NotSent), r.Class})
}

func orNil[T any](v T, has bool) *T {
	if !has {
		return nil
	}
	return &v
}

// count fills in what the results say by themselves.
func (r *Report) count() {
	r.Acknowledged, r.Unknown, r.NotSent, r.RecordedOnly = 0, 0, 0, 0
	r.Failed, r.Statuses = map[string]int{}, map[int]int{}
	for _, one := range r.Results {
		switch one.Outcome {
		case Acknowledged:
			r.Acknowledged++
		case Failed:
			r.Failed[one.Class]++
		case Unknown:
			r.Unknown++
		case NotSent:
			r.NotSent++
		case Recorded:
			r.RecordedOnly++
		}
		if one.Status != 0 {
			r.Statuses[one.Status]++
		}
		if r.Strategy == "" {
			r.Strategy = one.Strategy
		}
	}
	r.Latency, r.Spread = latencyOf(r.Results), spreadOf(r.Results)
}
