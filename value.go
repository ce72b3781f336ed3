package racelab

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// A Value is a scalar as histories, states and calls' results hold it: nil,
// bool, int64, float64, string, Time, or, of a call, Key or Shown.
type Value any

// A Time is a time as RFC 3339 has it, in UTC. It is never the same twice, so
// it is not compared, and no history's text holds it.
type Time string

// MarshalJSON gives the same text for every time.
func (Time) MarshalJSON() ([]byte, error) { return []byte(`"(time)"`), nil }

// A Key is what a call returns that returns a key which the database made up:
//
//	return racelab.Key{Of: "users.id", Value: id}, nil
//
// The next run may make up another one, so keys are compared up to a renaming
// that is the same for the whole outcome: see Scenario.Generated.
type Key struct {
	Of    string // "table.column", one of Scenario.Generated
	Value Value
}

// Shown are tables that a call returns: what it has shown to its caller, in
// order. Their values may be Keys. Rows are in an order that depends on their
// values only, unless their order is part of what was shown.
type Shown []Table

// String returns the key as it is in the database.
func (k Key) String() string { return fmt.Sprint(k.Value) }

// MarshalJSON gives the key as it is in the database.
func (k Key) MarshalJSON() ([]byte, error) { return json.Marshal(k.Value) }

// ValueOf brings what a database driver scanned to a Value, so that drivers
// that differ in their Go types give equal histories. Bytes become a string,
// an unknown type its printed form.
func ValueOf(v any) Value {
	switch v := v.(type) {
	case nil, bool, int64, float64, string, Time, Shown:
		return v
	case Key:
		return Key{v.Of, ValueOf(v.Value)}
	case []byte:
		return string(v)
	case int:
		return int64(v)
	case int32:
		return int64(v)
	case uint64:
		if v > 1<<63-1 {
			return strconv.FormatUint(v, 10)
		}
		return int64(v)
	case float32:
		return float64(v)
	case time.Time:
		return Time(v.UTC().Format(time.RFC3339Nano))
	default:
		return fmt.Sprint(v)
	}
}

// A Table is a set of rows with named columns: a statement's result, or a
// table of the database.
type Table struct {
	Name    string    `json:"name,omitempty"`
	Columns []string  `json:"columns"`
	Rows    [][]Value `json:"rows"`
}

// Column returns the position of the named column, or -1.
func (t Table) Column(name string) int {
	for i, c := range t.Columns {
		if c == name {
			return i
		}
	}
	return -1
}

// Int returns the whole number in row's named column. Anything else, a missing
// column or NULL among it, is an error that names the table and column.
func (t Table) Int(row int, column string) (int64, error) {
	i := t.Column(column)
	if i < 0 {
		return 0, fmt.Errorf("table %s has no column %s", t.Name, column)
	}
	switch v := t.Rows[row][i].(type) {
	case int64:
		return v, nil
	case string: // MySQL's text protocol sends sums as decimal text
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("table %s: %s is %v, not a whole number", t.Name, column, t.Rows[row][i])
}

// A State is the declared tables at one moment, in the order of the scenario.
type State []Table

// Table returns the named table, and whether there is one.
func (s State) Table(name string) (Table, bool) {
	for _, t := range s {
		if t.Name == name {
			return t, true
		}
	}
	return Table{}, false
}
