package main

import (
	"os"
	"testing"

	"github.com/racelab/racelab/internal/load"
	"github.com/spf13/cobra"
)

func TestNoProgressWhereNoLineCanBeTakenBack(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("skipped, because no terminal can be had: %v", err)
	}
	defer terminal.Close()
	if !isTerminal(terminal) {
		t.Skip("skipped, because /dev/ptmx is no terminal here")
	}
	for name, shown := range map[string]bool{"xterm": true, "dumb": false} {
		t.Setenv("TERM", name)
		c := &cobra.Command{}
		c.SetErr(terminal)
		s := newHitScreen(c, load.Plan{N: 3}, true)
		if (s.w != nil) != shown {
			t.Errorf("TERM=%s: progress is %t", name, s.w != nil)
		}
		if shown {
			continue
		}
		s.stage("reading the ledger")
		s.started(1)
		s.ended(load.Result{I: 1})
		s.clear()
	}
}
