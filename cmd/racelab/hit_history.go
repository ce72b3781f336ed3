package main

import (
	"context"

	"github.com/racelab/racelab/internal/load"
)

// hitHistory asks the lab what it recorded of the run. It is for the picture
// only: without it, the verdict is the same.
func hitHistory(ctx context.Context, h load.Hit, r load.Report) load.History {
	if r.Verdict != load.Violated || *r.Recorded == 0 {
		return load.History{}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hitGrace)
	defer cancel()
	history, err := h.Lab.History(ctx, h.Plan.Prefix)
	if err != nil {
		return load.History{}
	}
	return history
}
