package check

import (
	"encoding/json"
	"errors"

	"github.com/racelab/racelab"
)

// savedStep is a Step as JSON.
type savedStep struct {
	Choice   string              `json:"choice"`
	Ready    string              `json:"ready,omitempty"`
	Woke     []racelab.SessionID `json:"woke,omitempty"`
	Waits    bool                `json:"waits,omitempty"`
	Snapshot bool                `json:"snapshot,omitempty"`
	Touches  []savedTouch        `json:"touches,omitempty"`
}

type savedTouch struct {
	Mode  mode             `json:"mode"`
	Table string           `json:"table"`
	Whole bool             `json:"whole,omitempty"`
	Where []savedCondition `json:"where,omitempty"`
	Rows  []row            `json:"rows,omitempty"`
	Sets  []string         `json:"sets,omitempty"`
}

type savedCondition struct {
	Column string   `json:"column"`
	Op     string   `json:"op"`
	Values []string `json:"values"`
}

var errDamaged = errors.New("a saved step is damaged")

// MarshalJSON keeps what is needed to compare the step with others.
func (s Step) MarshalJSON() ([]byte, error) {
	saved := savedStep{Choice: s.Choice.String(), Ready: racelab.Schedule(s.Ready).String(), Woke: s.Woke, Waits: s.waits, Snapshot: s.snapshot}
	for _, t := range s.touches {
		touch := savedTouch{Mode: t.mode, Table: t.table, Whole: t.whole, Rows: t.rows, Sets: t.sets}
		for _, c := range t.where.conditions {
			touch.Where = append(touch.Where, savedCondition{c.column, c.op, c.values})
		}
		saved.Touches = append(saved.Touches, touch)
	}
	return json.Marshal(saved)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Step) UnmarshalJSON(b []byte) error {
	var saved savedStep
	if err := json.Unmarshal(b, &saved); err != nil {
		return err
	}
	choice, err := racelab.ParseSchedule(saved.Choice)
	if err != nil || len(choice) != 1 {
		return errDamaged
	}
	ready, err := racelab.ParseSchedule(saved.Ready)
	if err != nil {
		return errDamaged
	}
	*s = Step{Choice: choice[0], Ready: ready, Woke: saved.Woke, waits: saved.Waits, snapshot: saved.Snapshot}
	for _, t := range saved.Touches {
		if t.Mode > frees {
			return errDamaged
		}
		made := touch{t.Mode, span{table: t.Table, whole: t.Whole, rows: t.Rows, sets: t.Sets}}
		for _, c := range t.Where {
			if len(c.Values) == 0 {
				return errDamaged
			}
			made.where.conditions = append(made.where.conditions, condition{c.Column, c.Op, c.Values})
		}
		s.touches = append(s.touches, made)
	}
	return nil
}
