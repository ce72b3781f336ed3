package stage

import (
	"context"
	"errors"

	"github.com/racelab/racelab"
)

// Cells are what explorations run in, one for each of their workers. Strategies
// of one scenario may take turns in them: to make a database takes longer than
// most explorations.
type Cells struct {
	selection Selection
	how       Controlled
	product   racelab.Product
	all       []*Cell
	spent     bool
}

// NewCells opens cells on server. The caller closes them, and explores in them
// only what differs in its strategy.
func (s Selection) NewCells(ctx context.Context, server racelab.Server, how Controlled, workers int) (cs *Cells, err error) {
	cs = &Cells{selection: s, how: how, product: server.Product()}
	for range max(workers, 1) {
		c, err := s.NewCell(ctx, server, how)
		if err != nil {
			return nil, errors.Join(err, cs.Close())
		}
		cs.all = append(cs.all, c)
	}
	cs.selection = cs.all[0].selection
	return cs, nil
}

// Close gives up the cells.
func (cs *Cells) Close() error {
	var errs []error
	for _, c := range cs.all {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Spent reports whether something went wrong in the cells: a session may still
// be at it, and what else is explored there would not be sure.
func (cs *Cells) Spent() bool { return cs.spent }

// Explore explores a strategy in the cells, which say how it is controlled.
func (cs *Cells) Explore(ctx context.Context, st *racelab.Strategy, x Exploration) (Explored, error) {
	s := cs.selection
	s.Strategy = st
	for _, c := range cs.all {
		c.selection = s
		c.engine.Forget()
	}
	x.Controlled = cs.how
	out, err := s.exploreIn(ctx, cs.all, cs.product, x)
	cs.spent = cs.spent || err != nil || out.Replayed.Different != "" || out.Checked.Different != ""
	return out, err
}
