package racelab

import "time"

// A Run is one execution of a scenario in a world.
type Run struct {
	Scenario string          `json:"scenario"`
	Strategy string          `json:"strategy"`
	Engine   string          `json:"engine"`
	Level    Level           `json:"level"`
	History  History         `json:"history"`
	At       []time.Duration `json:"at,omitempty"` // when each event happened; free runs are ordered by it
}
