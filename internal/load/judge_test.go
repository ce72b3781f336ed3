package load

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"
)

// results makes one result for each outcome, with the class it would have.
func results(outcomes ...string) []Result {
	kinds := map[string]Result{
		"ok":          {Outcome: Acknowledged, Status: 200, Class: ok},
		"busy":        {Outcome: Failed, Status: 500, Class: "busy"},
		"deadlock":    {Outcome: Failed, Status: 500, Class: "deadlock"},
		"404":         {Outcome: Failed, Status: 404, Class: "http-404"},
		"504":         {Outcome: Unknown, Status: 504, Class: gatewayTimeout},
		"502":         {Outcome: Unknown, Status: 502, Class: badGateway},
		"reset":       {Outcome: Unknown, Class: reset},
		"refused":     {Outcome: Failed, Class: connectionRefused, Sent: -1},
		"interrupted": {Outcome: Unknown, Class: interrupted},
		"not-sent":    {Outcome: NotSent, Class: notSent, Sent: -1},
	}
	all := make([]Result, len(outcomes))
	for i, o := range outcomes {
		all[i] = kinds[o]
		all[i].I = i + 1
	}
	return all
}

// ledger makes a snapshot with a row of 100 for each request of the run
// numbered, after those that were there before.
func ledger(balance int64, before []Row, requests ...string) *Snapshot {
	s := &Snapshot{Balance: balance, Rows: append([]Row{}, before...)}
	for i, id := range requests {
		s.Rows = append(s.Rows, Row{ID: int64(100 + i), Amount: 100, Request: id})
	}
	return s
}

func TestJudge(t *testing.T) {
	old := []Row{{ID: 1, Amount: 50}, {ID: 2, Amount: 7, Request: "other-1"}}
	type want struct {
		verdict                Verdict
		reason                 string // a part of it
		lost                   int64
		recorded, unrecorded   int
		unknown, recordedOnly  int
		failed                 map[string]int
		failedRecorded, unsent int
		noLedger               bool
	}
	for _, test := range []struct {
		name string
		e    Evidence
		want want
	}{
		{"all is there", Evidence{Results: results("ok", "ok"), Before: ledger(57, old), After: ledger(257, old, "r-1", "r-2")},
			want{verdict: Holds, recorded: 2}},
		{"an update is lost", Evidence{Results: results("ok", "ok", "ok"), Before: ledger(57, old), After: ledger(157, old, "r-1", "r-2", "r-3")},
			want{verdict: Violated, reason: "200 is lost", lost: 200, recorded: 3}},
		{"a loss from before is not this run's", Evidence{Results: results("ok"), Before: ledger(0, old), After: ledger(100, old, "r-1")},
			want{verdict: Holds, recorded: 1}},
		{"money appears", Evidence{Results: results("ok"), Before: ledger(0, nil), After: ledger(300, nil, "r-1")},
			want{verdict: Violated, reason: "200 more", lost: -200, recorded: 1}},
		{"acknowledged and not recorded", Evidence{Results: results("ok", "ok"), Before: ledger(0, nil), After: ledger(100, nil, "r-1")},
			want{verdict: Violated, reason: "1 deposit acknowledged and not in the ledger", recorded: 1, unrecorded: 1}},
		{"aborted, and nothing left of it", Evidence{Results: results("ok", "busy", "busy"), Before: ledger(0, nil), After: ledger(100, nil, "r-1")},
			want{verdict: Holds, recorded: 1, failed: map[string]int{"busy": 2}}},
		{"a failure that left a row is a loss", Evidence{Results: results("ok", "busy"), Before: ledger(0, nil), After: ledger(100, nil, "r-1", "r-2")},
			want{verdict: Violated, reason: "100 is lost", lost: 100, recorded: 2, failed: map[string]int{"busy": 1}, failedRecorded: 1}},
		{"unknown, and the ledger knows", Evidence{Results: results("504", "502", "reset"), Before: ledger(0, nil), After: ledger(200, nil, "r-1", "r-3")},
			want{verdict: Holds, recorded: 2, recordedOnly: 2, failed: map[string]int{"bad-gateway": 1}}},
		{"still in flight", Evidence{Results: results("ok", "504"), Before: ledger(0, nil), After: ledger(100, nil, "r-1"), BusyAfter: 1},
			want{verdict: Undecided, reason: "1 request in flight", recorded: 1, unknown: 1}},
		{"still in flight, half written", Evidence{Results: results("ok", "504"), Before: ledger(0, nil), After: ledger(100, nil, "r-1", "r-2"), BusyAfter: 1},
			want{verdict: Undecided, reason: "1 request in flight", lost: 100, recorded: 2, recordedOnly: 1}},
		{"cut off before anybody read it, perhaps", Evidence{Results: results("ok", "interrupted", "not-sent"), Before: ledger(0, nil), After: ledger(100, nil, "r-1")},
			want{verdict: Undecided, reason: "nobody knows what became of 1 request", recorded: 1, unknown: 1, unsent: 1}},
		{"a loss is certain all the same", Evidence{Results: results("ok", "ok", "interrupted"), Before: ledger(0, nil), After: ledger(100, nil, "r-1", "r-2")},
			want{verdict: Violated, lost: 100, recorded: 2, unknown: 1}},
		{"all aborted", Evidence{Results: results("busy", "deadlock"), Before: ledger(0, nil), After: ledger(0, nil)},
			want{verdict: Holds, reason: "nothing was recorded", failed: map[string]int{"busy": 1, "deadlock": 1}}},
		{"none arrived", Evidence{Results: results("refused", "deadlock"), Before: ledger(0, nil), After: ledger(0, nil)},
			want{verdict: Undecided, reason: "2 requests failed (connection-refused, deadlock)", failed: map[string]int{"connection-refused": 1, "deadlock": 1}}},
		{"no such path", Evidence{Results: results("404", "404"), Before: ledger(0, nil), After: ledger(0, nil)},
			want{verdict: Undecided, reason: "2 requests failed (http-404)", failed: map[string]int{"http-404": 2}}},
		{"nothing sent", Evidence{Results: results("not-sent"), Before: ledger(0, nil), After: ledger(0, nil)},
			want{verdict: Undecided, reason: "nothing was sent", unsent: 1}},
		{"foreign rows", Evidence{Results: results("ok"), Before: ledger(0, nil), After: ledger(200, nil, "r-1", "s-1")},
			want{verdict: Undecided, reason: "foreign traffic: 1 row", noLedger: true}},
		{"rows without an id", Evidence{Results: results("ok"), Before: ledger(0, nil), After: ledger(200, nil, "r-1", "", "")},
			want{verdict: Undecided, reason: "foreign traffic: 2 rows", noLedger: true}},
		{"ids that only look like ours", Evidence{Results: results("ok"), Before: ledger(0, nil), After: ledger(200, nil, "r-01", "r-2", "r-+1", "r-0")},
			want{verdict: Undecided, reason: "foreign traffic: 4 rows", noLedger: true}},
		{"sent twice on the way", Evidence{Results: results("ok"), Before: ledger(0, nil), After: ledger(200, nil, "r-1", "r-1")},
			want{verdict: Undecided, reason: "request 1 has several rows", noLedger: true}},
		{"reset meanwhile", Evidence{Results: results("ok"), Before: ledger(57, old), After: ledger(100, nil, "r-1")},
			want{verdict: Undecided, reason: "2 rows of before the run went away", noLedger: true}},
		{"an old row was changed", Evidence{Results: results("ok"), Before: ledger(57, old), After: ledger(157, []Row{{ID: 1, Amount: 49}, old[1]}, "r-1")},
			want{verdict: Undecided, reason: "foreign traffic: 1 row", noLedger: true}},
		{"torn", Evidence{Results: results("ok"), Before: ledger(0, nil), After: &Snapshot{Torn: true}},
			want{verdict: Undecided, reason: "changed while it was read", noLedger: true}},
		{"no lab", Evidence{Results: results("ok", "504"), NoLedger: "not a lab"},
			want{verdict: Undecided, reason: "not a lab", unknown: 1, noLedger: true}},
		{"the lab died", Evidence{Results: results("ok", "reset", "refused"), Before: ledger(0, nil), NoLedger: "gone"},
			want{verdict: Undecided, reason: "gone", unknown: 1, failed: map[string]int{"connection-refused": 1}, noLedger: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.e.Plan = &Plan{N: len(test.e.Results), Prefix: "r"}
			r, w := Judge(test.e), test.want
			reason := ""
			if r.Reason != nil {
				reason = *r.Reason
			}
			if r.Verdict != w.verdict || !strings.Contains(reason, w.reason) || (w.reason == "" && w.verdict == Holds && reason != "") {
				t.Errorf("verdict %s (%s), want %s (%s)", r.Verdict, reason, w.verdict, w.reason)
			}
			if w.failed == nil {
				w.failed = map[string]int{}
			}
			if !maps.Equal(r.Failed, w.failed) || r.Unknown != w.unknown || r.RecordedOnly != w.recordedOnly || r.NotSent != w.unsent || r.FailedRecorded != w.failedRecorded {
				t.Errorf("failed %v (%d recorded), unknown %d, recorded only %d, not sent %d", r.Failed, r.FailedRecorded, r.Unknown, r.RecordedOnly, r.NotSent)
			}
			total := r.Acknowledged + r.Unknown + r.RecordedOnly + r.NotSent
			for _, n := range r.Failed {
				total += n
			}
			if total != r.Requests {
				t.Errorf("the outcomes add up to %d of %d", total, r.Requests)
			}
			if w.noLedger {
				if r.Before != nil || r.After != nil || r.Recorded != nil || r.Expected != nil || r.Actual != nil || r.Lost != nil || r.Unrecorded != nil {
					t.Error("ledger fields are not null")
				}
				return
			}
			if *r.Lost != w.lost || *r.Recorded != w.recorded || *r.Unrecorded != w.unrecorded || *r.Expected-*r.Actual != w.lost {
				t.Errorf("lost %d, recorded %d, unrecorded %d", *r.Lost, *r.Recorded, *r.Unrecorded)
			}
		})
	}
}

// The fields, their names and their order are what design.md promises.
func TestReportJSON(t *testing.T) {
	all := results("ok", "504", "not-sent")
	all[0].Latency, all[0].Sent = 1500*time.Microsecond, time.Millisecond
	all[0].Strategy = "transaction"
	all[1].Latency, all[1].Sent = 2*time.Second, 3*time.Millisecond
	e := Evidence{Plan: &Plan{URL: "http://127.0.0.1/x", N: 3, Prefix: "r"}, Amount: 100, Results: all,
		Before: ledger(0, nil), After: ledger(100, nil, "r-1")}
	r := Judge(e)
	r.Engine = "sqlite"
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"schema":"racelab.hit/1","target":"http://127.0.0.1/x","strategy":"transaction","engine":"sqlite","requests":3,"amount":100,` +
		`"acknowledged":1,"failed":{"gateway-timeout":1},"unknown":0,"not_sent":1,"statuses":{"200":1,"504":1},` +
		`"before":{"balance":0,"rows":0},"after":{"balance":100,"rows":1},"recorded":1,"expected":100,"actual":100,"lost":0,"unrecorded":0,` +
		`"settled":true,"verdict":"holds","reason":null,"recorded_only":0,"failed_recorded":0,"account":0,"level":"","workers":null,"window":"",` +
		`"latency_ms":{"p50":1.5,"p95":2000,"p99":2000,"max":2000},"spread_ms":{"p50":0,"max":2,"measured_at":"client"},` +
		`"results":[{"i":1,"status":200,"ms":1.5,"class":"ok"},{"i":2,"status":504,"ms":2000,"class":"gateway-timeout"},{"i":3,"status":null,"ms":null,"class":"not-sent"}]}`
	if string(b) != want {
		t.Errorf("got\n%s\nwant\n%s", b, want)
	}
	e.After, e.NoLedger = nil, "no lab"
	if b, _ = json.Marshal(Judge(e)); !strings.Contains(string(b), `"before":null,"after":null,"recorded":null,"expected":null,"actual":null,"lost":null,"unrecorded":null,"settled":false,"verdict":"unknown","reason":"no lab"`) {
		t.Errorf("%s", b)
	}
}

func TestQuantilesAreMeasuredValues(t *testing.T) {
	var all []Result
	for i := range 100 {
		all = append(all, Result{Latency: time.Duration(100-i) * time.Millisecond, Sent: time.Duration(i) * time.Millisecond})
	}
	all = append(all, Result{Latency: time.Hour, Sent: -1}, Result{Latency: time.Hour, Class: interrupted, Sent: -1})
	if l := latencyOf(all); *l != (Latency{P50: 50, P95: 95, P99: 99, Max: 100}) {
		t.Errorf("%+v", *l)
	}
	if s := spreadOf(all); *s != (Spread{P50: 49, Max: 99, MeasuredAt: "client"}) {
		t.Errorf("%+v", *s)
	}
	if l := latencyOf(all[:1]); *l != (Latency{100, 100, 100, 100}) {
		t.Errorf("one value: %+v", *l)
	}
	if latencyOf(nil) != nil || spreadOf(all[100:]) != nil {
		t.Error("something was measured of nothing")
	}
}
