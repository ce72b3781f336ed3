package control

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/racelab/racelab"
)

// A Tape collects the records of one or more recorders. Beyond its length it
// forgets the oldest.
type Tape struct {
	most int

	mu      sync.Mutex
	records []Record
	dropped int
}

// NewTape makes a tape for at most that many records.
func NewTape(most int) *Tape { return &Tape{most: most} }

// Add puts a record on the tape.
func (t *Tape) Add(r Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.records) == t.most {
		half := t.most / 2
		t.dropped += half
		t.records = append(t.records[:0], t.records[half:]...)
	}
	t.records = append(t.records, r)
}

// Clear empties the tape.
func (t *Tape) Clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records, t.dropped = nil, 0
}

// Dropped returns how many records the tape has forgotten.
func (t *Tape) Dropped() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dropped
}

// History returns the events in the order in which they happened, and when,
// counted from the first. Records of the same moment keep the order in which
// they came.
func (t *Tape) History() ([]racelab.Event, []time.Duration) {
	t.mu.Lock()
	records := slices.Clone(t.records)
	t.mu.Unlock()
	slices.SortStableFunc(records, func(a, b Record) int { return cmp.Compare(a.At, b.At) })

	var events []racelab.Event
	var at []time.Duration
	session := map[racelab.ConnID]racelab.SessionID{} // a connection is one session's at a time
	for _, r := range records {
		if r.Conn != "" {
			session[r.Conn] = r.Event.Op.Session
		}
		e := r.Event
		for _, holder := range r.Holders {
			if s, ok := session[holder]; ok && !slices.Contains(e.On, s) {
				e.On = append(e.On, s)
			}
		}
		slices.Sort(e.On)
		events = append(events, e)
		at = append(at, r.At-records[0].At)
	}
	return events, at
}

// Decode reads a record that was written as JSON.
func Decode(line []byte) (Record, error) {
	var r Record
	if err := decode(line, &r); err != nil {
		return Record{}, fmt.Errorf("read a record: %w", err)
	}
	r.Event = withValues(r.Event)
	return r, nil
}

// DecodeEvents reads a list of events that was written as JSON.
func DecodeEvents(b []byte) ([]racelab.Event, error) {
	var events []racelab.Event
	if err := decode(b, &events); err != nil {
		return nil, fmt.Errorf("read a history: %w", err)
	}
	for i := range events {
		if o := events[i].Op; !isName(string(o.Session), string(o.Call)) {
			return nil, errors.New("read a history: a session or call in it has no name that racelab gives")
		}
		events[i] = withValues(events[i])
	}
	return events, nil
}

// isName reports whether a session and a call are named A and A.1, or not at
// all. What comes from outside might otherwise steer a terminal.
func isName(session, call string) bool {
	if strings.Trim(session, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return false
	}
	number, ok := strings.CutPrefix(call, session+".")
	return call == "" || ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// decode is json.Unmarshal with whole numbers kept whole.
func decode(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode(v)
}

// withValues turns the numbers that JSON gave into values.
func withValues(e racelab.Event) racelab.Event {
	for i, a := range e.Op.Args {
		e.Op.Args[i] = value(a)
	}
	e.Result.Value = value(e.Result.Value)
	if e.Result.Rows != nil {
		for _, row := range e.Result.Rows.Rows {
			for i, v := range row {
				row[i] = value(v)
			}
		}
	}
	return e
}

func value(v any) racelab.Value {
	number, ok := v.(json.Number)
	if !ok {
		return v
	}
	if n, err := number.Int64(); err == nil {
		return n
	}
	f, _ := number.Float64()
	return f
}
