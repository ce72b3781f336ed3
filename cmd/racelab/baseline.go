package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/racelab/racelab"
)

// A baseline is a file of findings that are known and accepted, so that
// continuous integration fails only for new ones.
type baseline struct {
	Schema   string     `json:"schema"` // racelab.baseline/1
	Accepted []accepted `json:"accepted"`
}

type accepted struct {
	Scenario string        `json:"scenario"` // of a spec file its path from the baseline's folder
	Strategy string        `json:"strategy"`
	Engine   string        `json:"engine"`
	Level    racelab.Level `json:"level"`
	Sessions int           `json:"sessions"`
	// What else was asked for: a finding that needs it is no other one's.
	Processes int    `json:"processes"`
	Faults    int    `json:"faults"`
	Judge     string `json:"judge"`
	Only      string `json:"only"`
	Anomaly   string `json:"anomaly"` // "" if it has no name
}

const baselineSchema = "racelab.baseline/1"

// readBaseline reads the file; one that is not there is empty if it may be
// made.
func readBaseline(path string, make bool) (b baseline, err error) {
	if make {
		if err := replaceable(path); err != nil {
			return b, usage("--accept: %w", err)
		}
	}
	text, err := readFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && make:
		return b, nil
	case errors.Is(err, fs.ErrNotExist):
		return b, usage("--baseline: %s is not there: --accept makes it", path)
	case err != nil:
		return b, usage("--baseline: %w", err)
	}
	if err := json.Unmarshal(text, &b); err != nil || b.Schema != baselineSchema {
		return b, usage("--baseline: %s is no baseline that racelab has written", path)
	}
	return b, nil
}

// accept adds a finding to the file.
func (b baseline) accept(path string, a accepted) error {
	if !slices.Contains(b.Accepted, a) {
		b.Accepted = append(b.Accepted, a)
	}
	b.Schema = baselineSchema
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	if err := replaceFile(path, append(text, '\n')); err != nil {
		return fmt.Errorf("--accept: %w", err)
	}
	return nil
}

func (r exploreReport) finding(f exploreFlags) accepted {
	a := accepted{Scenario: r.Scenario, Strategy: r.Strategy, Engine: r.Engine, Level: r.Level, Sessions: r.Sessions,
		Processes: r.Processes, Faults: r.Faults, Judge: f.judge, Only: f.only}
	if isSpec(r.Scenario) {
		a.Scenario = pathFrom(f.baseline, r.Scenario)
	}
	if len(r.Anomalies) > 0 {
		a.Anomaly = string(r.Anomalies[0].Name)
	}
	return a
}

// pathFrom is a file's path from the folder that another one is in: the same
// wherever both are called from, and whatever the way there is called.
func pathFrom(other, file string) string {
	from, err := filepath.Abs(filepath.Dir(other))
	to, e := filepath.Abs(file)
	path, apart := filepath.Rel(from, to)
	if errors.Join(err, e, apart) != nil {
		path = filepath.Clean(file)
	}
	return filepath.ToSlash(path)
}
