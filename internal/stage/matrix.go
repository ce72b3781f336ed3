package stage

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
)

// A Matrix says which cells to compute: strategies on engines and levels.
type Matrix struct {
	Rows    []Row
	Stands  []Stand
	Levels  []racelab.Level // nil is all that an engine has
	Each    Exploration     // of a cell; its Workers are left out
	Workers int             // cells at once
	// Tell is told, by one goroutine at a time, of each cell that is done.
	Tell func(done, of int)
}

// A Row is a strategy of a scenario.
type Row struct {
	Scenario *racelab.Scenario
	Strategy *racelab.Strategy
}

// A Stand is an engine with the server that is used.
type Stand struct {
	Engine racelab.Engine
	Server racelab.Server
}

// A MatrixCell is what a strategy came to on an engine and level.
type MatrixCell struct {
	Selection
	Explored
	Result   racelab.CellResult
	Anomaly  string // of a violation, by its name; "" if it has none
	Because  string // why it is so; "" if there is nothing to say
	Expected racelab.Expect
	Declared bool // otherwise nothing is expected
	Took     time.Duration
}

// Agrees reports whether the cell came to what is declared. Where nothing is,
// only what is unknown does not agree.
func (c MatrixCell) Agrees() bool {
	if !c.Declared {
		return c.Result != racelab.CellUnknown
	}
	return c.Expected.Agrees(c.Result, c.Anomaly)
}

// Compute explores the cells and returns them in the order of the rows, the
// stands, and the levels. On an error, which is the context's, it returns those
// that are done.
func (m Matrix) Compute(ctx context.Context) ([]MatrixCell, error) {
	all, groups := m.plan()
	next, done := make(chan []*MatrixCell), 0
	var told sync.Mutex
	tell := func() {
		told.Lock()
		defer told.Unlock()
		done++
		if m.Tell != nil {
			m.Tell(done, len(all))
		}
	}
	var workers sync.WaitGroup
	for range max(m.Workers, 1) {
		workers.Go(func() {
			for group := range next {
				m.explore(ctx, group, tell)
			}
		})
	}
	for _, group := range groups {
		next <- group
	}
	close(next)
	workers.Wait()
	var cells []MatrixCell
	for _, c := range all {
		if c.Result != "" {
			cells = append(cells, *c)
		}
	}
	return cells, ctx.Err()
}

// plan lists the cells, and groups those that one world after another is made
// for: of a scenario on an engine and level.
func (m Matrix) plan() (all []*MatrixCell, groups [][]*MatrixCell) {
	type key struct {
		scenario *racelab.Scenario
		stand    int
		level    racelab.Level
	}
	at := map[key]int{}
	for _, row := range m.Rows {
		for i, stand := range m.Stands {
			if !row.Scenario.Fits(stand.Engine) {
				continue
			}
			for _, level := range stand.Engine.Dialect.Levels {
				if m.Levels != nil && !slices.Contains(m.Levels, level) {
					continue
				}
				c := &MatrixCell{Selection: Selection{row.Scenario, row.Strategy, stand.Engine, level}}
				k := key{row.Scenario, i, level}
				if _, ok := at[k]; !ok {
					at[k] = len(groups)
					groups = append(groups, nil)
				}
				all = append(all, c)
				groups[at[k]] = append(groups[at[k]], c)
			}
		}
	}
	return all, groups
}

// explore computes the cells of a group until the context ends.
func (m Matrix) explore(ctx context.Context, group []*MatrixCell, tell func()) {
	var cells *Cells
	give := func() {
		if cells != nil {
			_ = cells.Close() // what it leaves behind goes with the server
			cells = nil
		}
	}
	defer give()
	for _, c := range group {
		if ctx.Err() != nil {
			return
		}
		if why := c.Scenario.Because(c.Strategy, c.Engine, c.Level); why != "" {
			c.Result, c.Because = racelab.CellNotAvailable, why
			c.Expected, c.Declared = racelab.Expect{Result: racelab.CellNotAvailable}, true
			tell()
			continue
		}
		began := time.Now()
		var err error
		if cells == nil {
			cells, err = c.NewCells(ctx, m.server(c.Engine), m.Each.Controlled, 1)
		}
		var found Explored
		if err == nil {
			found, err = cells.Explore(ctx, c.Strategy, m.Each)
		}
		if ctx.Err() != nil {
			return
		}
		c.conclude(found, m.Each, err)
		c.Took = time.Since(began)
		if cells != nil && cells.Spent() {
			give()
		}
		tell()
	}
}

func (m Matrix) server(e racelab.Engine) racelab.Server {
	i := slices.IndexFunc(m.Stands, func(s Stand) bool { return s.Engine.Name == e.Name })
	return m.Stands[i].Server
}

// conclude says what an exploration makes of the cell; err is why it broke off.
func (c *MatrixCell) conclude(found Explored, x Exploration, err error) {
	c.Explored = found
	c.Expected, c.Declared = c.Strategy.Expected(c.Engine.Name, c.Level)
	c.Result, c.Anomaly, c.Because = found.CellResult(x, err)
}

// CellResult says what an exploration comes to, the name of its anomaly, if it
// has one, and why. err is why it broke off.
func (o Explored) CellResult(x Exploration, err error) (r racelab.CellResult, anomaly, because string) {
	verdict, why := o.Verdict(x, err)
	switch verdict {
	case racelab.Violated:
		r = racelab.CellViolated
		if a, ok := o.Explain(); ok {
			anomaly = string(a.Name)
		}
		if o.Witness != nil && anomaly == string(check.Deadlock) && stuck(o.Witness.History) {
			r = racelab.CellDeadlock
		}
		return r, anomaly, why
	case racelab.Unknown:
		return racelab.CellUnknown, "", why
	}
	if o.Aborted > 0 {
		return racelab.CellHoldsWithAborts, "", why
	}
	return racelab.CellHolds, "", why
}

// stuck reports whether a call never returned: nobody could go on, and no
// engine was there to end it.
func stuck(h racelab.History) bool {
	open := map[racelab.CallID]bool{}
	for _, e := range h.Events {
		switch e.Kind {
		case racelab.Called:
			open[e.Op.Call] = true
		case racelab.Returned:
			delete(open, e.Op.Call)
		}
	}
	return len(open) > 0
}
