package stage

import (
	"context"
	"errors"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
	"github.com/racelab/racelab/internal/explore"
)

// A yardstick is what free runs of shared memory are held against: the serial
// outcomes, and what all schedules come to. It takes no part in the runs.
type yardstick struct {
	cell  *Cell
	judge *check.Judge // nil when the serial orders cannot be run any more
	// outcomes are those of the free runs.
	outcomes explore.Outcomes
}

const (
	mostBeside = 5_000       // schedules that are run beside free running
	longBeside = time.Second // and the time that they may take
	mostOrders = 10_000      // serial orders that are run to judge by

)

// ErrEnds says that a selection is not run freely.
var ErrEnds = errors.New("free running would end racelab itself, because a schedule ends a Go program")

// newYardstick explores the selection, as far as a small budget goes. The caller
// closes the cell.
func (s Selection) newYardstick(ctx context.Context, server racelab.Server, f Free, report *FreeReport) (*yardstick, error) {
	cell, err := s.NewCell(ctx, server, Controlled{Sessions: f.Sessions, Processes: f.Processes, Only: f.Only})
	if err != nil {
		return nil, err
	}
	search := s.Search([]*Cell{cell})
	began := time.Now()
	search.Budget, search.Stop = mostBeside, func() bool { return time.Since(began) > longBeside }
	ends := false
	search.Judged = func(h racelab.History) { ends = ends || check.Ends(h) }
	all, err := search.Run(ctx)
	if ends {
		err = errors.Join(ErrEnds, ctx.Err())
	}
	if err != nil && !LostControl(err) {
		return nil, errors.Join(err, cell.Close())
	}
	y := &yardstick{cell: cell}
	if report.Explored = &all; err == nil {
		y.judge = s.Search([]*Cell{cell}).Judge // the other one's time may be over
		y.judge.Stop = func() bool { return y.judge.Runs() >= mostOrders }
	}
	return y, nil
}

// hold judges a run, and reports whether it is a loss: what no serial order
// comes to, or what breaks an invariant.
func (y *yardstick) hold(ctx context.Context, h racelab.History, report *FreeReport) (lost bool, err error) {
	if y.judge == nil {
		report.Undecided++
		return false, nil
	}
	v, err := y.judge.Judge(ctx, h)
	switch {
	case LostControl(err):
		y.judge = nil
		fallthrough
	case errors.Is(err, check.ErrStopped):
		report.Undecided++
		return false, nil
	case err != nil:
		return false, err
	}
	y.outcomes.Add(v)
	report.Outcomes = explore.MostFrequent(y.outcomes.All)
	return v.Violated, nil
}
