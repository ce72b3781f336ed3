package stage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
	"github.com/racelab/racelab/internal/control"
	"github.com/racelab/racelab/internal/explore"
	"github.com/racelab/racelab/internal/intake/sqlgate"
)

// A Controlled says how a selection runs under control.
type Controlled struct {
	Sessions  int // 0: the scenario's own cast
	Processes int // simulated; sessions are dealt to them in turn
	// Only are the sessions that run; nil is all.
	Only []racelab.SessionID
	// Change is what is other than it is written; nil is nothing.
	Change *Change
	// StepLimit is how long a step may take while nobody is waited for; 0 is
	// half a minute. Longer, and control is lost.
	StepLimit time.Duration
	// MaxSteps is how many a run may have; 0 is MostSteps. One that has more is
	// taken to have no end.
	MaxSteps int
	// Strategies are those of sessions that do not use the selection's own.
	Strategies map[racelab.SessionID]*racelab.Strategy
}

// MostSteps is how many steps a run may have if nobody says.
const MostSteps = control.MostSteps

// A Cell is a world of its own in which plans are run, one after another.
type Cell struct {
	selection Selection
	how       Controlled
	server    racelab.Server
	config    racelab.Config
	world     racelab.World
	used      bool // a run has begun in the world
	engine    *control.Engine
	relation  *check.Relation // which steps may be exchanged; for one goroutine at a time
	roles     []racelab.Role
	intakes   []*sqlgate.Intake // one a session; none without a database
	scripts   []control.Script  // all calls of all sessions
	now       *present
}

// present is what belongs to one run.
type present struct {
	dbs       []*sql.DB
	processes []Process
}

// NewCell opens a world on server for running plans. The caller closes it.
func (s Selection) NewCell(ctx context.Context, server racelab.Server, how Controlled) (*Cell, error) {
	config := s.Config()
	config.BusyLimit = 0 // a session waits as long as the schedule lets it
	config.Controlled = true
	if how.Change == nil {
		how.Change = &Change{}
	}
	if how.Change.Setup != nil {
		config.Setup = how.Change.Setup(config.Setup)
	}
	world, err := server.Open(ctx, config)
	if err != nil {
		return nil, err
	}
	c := &Cell{
		selection: s, how: how, server: server, config: config, world: world, roles: s.Scenario.Dealt(how.Sessions),
		engine: control.NewEngine(world, s.Engine.Dialect, s.Level),
	}
	schema, err := world.Schema(ctx)
	if err == nil {
		err = c.learn(ctx, schema)
	}
	if err != nil {
		return nil, errors.Join(err, world.Close())
	}
	c.relation = &check.Relation{Schema: schema, Isolation: s.Engine.Dialect.Isolation, Level: s.Level}
	c.engine.Meets = func(op racelab.Op, h control.Held) bool { return c.relation.MayMeet(op, h.Op, h.Result) }
	if how.StepLimit > 0 {
		c.engine.StepLimit = how.StepLimit
	}
	if how.MaxSteps > 0 {
		c.engine.Steps = how.MaxSteps
	}
	if s.Scenario.Setup != nil {
		c.connect()
	}
	c.write()
	return c, nil
}

// connect makes the sessions' ways into the world.
func (c *Cell) connect() {
	c.intakes = nil
	for i := range c.roles {
		intake := sqlgate.New(c.world, c.selection.Engine.Dialect, racelab.Letter(i))
		intake.Rewrite, intake.PlainLevel = c.how.Change.Rewrite, c.how.Change.Level != ""
		intake.Once = c.selection.Scenario.Remains != racelab.RemainsNothing
		c.intakes = append(c.intakes, intake)
	}
}

// learn completes a scenario of which nothing is declared, and looks whether its
// invariants can be measured.
func (c *Cell) learn(ctx context.Context, schema racelab.Schema) error {
	if c.selection.Scenario.Learn == nil {
		return nil
	}
	learned := *c.selection.Scenario
	learned.Generated, learned.References = learned.Learn(schema)
	c.selection.Scenario = &learned
	state, err := c.world.State(ctx)
	if err == nil {
		_, err = check.Invariants(&learned, state)
	}
	if err == nil || ctx.Err() != nil || c.selection.Engine.Dialect.Classify(err) == racelab.ConnectionLost {
		return err
	}
	return fmt.Errorf("%w the invariants: %w", racelab.ErrSetup, err)
}

// anew brings the world back to its beginning: where a run may have changed more
// than a reset can undo, by another one in its place.
func (c *Cell) anew(ctx context.Context) (err error) {
	if c.used && c.selection.Scenario.Remains == racelab.RemainsInSchema {
		if err := c.closeWorld(); err != nil {
			return err
		}
		if c.world, err = c.server.Open(ctx, c.config); err != nil {
			return err
		}
		c.engine.World = c.world
		c.connect()
	}
	c.used = true
	return c.world.Reset(ctx)
}

// write writes the scripts, and makes what their calls find of a run.
func (c *Cell) write() {
	now := &present{}
	c.now, c.scripts = now, nil
	for i, role := range c.roles {
		id := racelab.Letter(i)
		script := control.Script{Session: id}
		if !c.runs(id) {
			role.Calls = nil
		}
		for n, args := range role.Calls {
			env := &racelab.Env{}
			script.Calls = append(script.Calls, control.Call{ID: id.Call(n + 1), Run: func(ctx context.Context) (racelab.Result, string) {
				return c.call(ctx, now, i, role.Name, env, args)
			}})
		}
		c.scripts = append(c.scripts, script)
	}
}

// Close gives up the world.
func (c *Cell) Close() error {
	c.engine.Close()
	return c.closeWorld()
}

func (c *Cell) closeWorld() error {
	var errs []error
	for _, i := range c.intakes {
		errs = append(errs, i.Close())
	}
	if c.world != nil {
		errs = append(errs, c.world.Close())
		c.world = nil
	}
	return errors.Join(errs...)
}

// Calls lists the calls of each session.
func (c *Cell) Calls() [][]racelab.CallID {
	all := make([][]racelab.CallID, len(c.roles))
	for i, role := range c.roles {
		if !c.runs(racelab.Letter(i)) {
			continue
		}
		for n := range role.Calls {
			all[i] = append(all[i], racelab.Letter(i).Call(n+1))
		}
	}
	return all
}

// Relation tells which steps of the cell's runs may be exchanged. It is the
// caller's own.
func (c *Cell) Relation() *check.Relation { return c.relation.Anew() }

// runs reports whether a session is among those that run.
func (c *Cell) runs(id racelab.SessionID) bool {
	return c.how.Only == nil || slices.Contains(c.how.Only, id)
}

// Run runs a plan from the world's beginning.
func (c *Cell) Run(ctx context.Context, p explore.Plan) (racelab.History, error) {
	for tries := 1; ; tries++ {
		h, err := c.direct(ctx, p)
		if !errors.Is(err, control.ErrLate) || tries == 4 {
			return h, err
		}
		c.engine.Wait()
	}
}

func (c *Cell) direct(ctx context.Context, p explore.Plan) (h racelab.History, err error) {
	if err := c.anew(ctx); err != nil {
		return h, err
	}
	d := control.NewDirector(c.engine)
	d.Then, d.Serial, d.Faults, d.Loose = p.Then, p.Serial, p.Faults, p.Loose
	d.Look, d.Events = p.Look, p.Events
	if c.now.processes == nil {
		c.now.processes = make([]Process, max(c.how.Processes, 1))
	}
	clear(c.now.processes)
	for i := range c.now.processes {
		c.now.processes[i].memory = racelab.Memory{Gate: d, Process: i}
	}
	if err := c.share(); err != nil {
		return h, err
	}
	c.now.dbs = c.now.dbs[:0]
	for _, intake := range c.intakes {
		db := intake.DB(d)
		defer db.Close()
		c.now.dbs = append(c.now.dbs, db)
	}
	h.Events, err = d.Run(ctx, c.scriptsOf(p), p.Schedule)
	if err != nil {
		c.write() // a session that was left behind may still have the others
		return h, err
	}
	h.Final, err = finalState(ctx, c.world, c.now.processes)
	return h, err
}

// together calls do where the cell's runs cost least.
func (c *Cell) together(do func() error) error {
	err := c.engine.Together(do)
	if err != nil {
		c.write() // as above: do was left behind
	}
	return err
}

// share makes what the sessions share, also of those whose calls are left out of
// the run: it is part of the final state.
func (c *Cell) share() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("make what the sessions of %s share: %w", c.selection.Name(), racelab.Recovered(p))
		}
	}()
	for i := range c.roles {
		if c.runs(racelab.Letter(i)) {
			c.now.processOf(i).value(c.strategyOf(i))
		}
	}
	return nil
}

// strategyOf and processOf are a session's.
func (c *Cell) strategyOf(session int) *racelab.Strategy {
	if other, ok := c.how.Strategies[racelab.Letter(session)]; ok {
		return other
	}
	return c.selection.Strategy
}

func (p *present) processOf(session int) *Process {
	return &p.processes[session%len(p.processes)]
}

// scriptsOf are the scripts with the calls that a plan wants.
func (c *Cell) scriptsOf(p explore.Plan) []control.Script {
	if p.Serial == nil && p.Calls == nil {
		return c.scripts
	}
	some := slices.Clone(c.scripts)
	for i := range some {
		some[i].Calls = slices.DeleteFunc(slices.Clone(some[i].Calls), func(call control.Call) bool {
			return p.Serial != nil && !slices.Contains(p.Serial, call.ID) || p.Calls != nil && !slices.Contains(p.Calls, call.ID)
		})
	}
	return some
}

// call calls the body of a session's strategy.
func (c *Cell) call(ctx context.Context, now *present, session int, role string, env *racelab.Env, args racelab.Args) (r racelab.Result, why string) {
	st := c.strategyOf(session)
	*env = racelab.Env{
		Dialect: c.engine.Dialect, Args: args, Tries: cmp.Or(c.how.Change.Tries, Tries),
		Process: now.processOf(session).value(st), Window: noTime,
	}
	if c.intakes != nil {
		env.DB = now.dbs[session]
		defer c.intakes[session].Settle()
	}
	value, err := protect(ctx, st.Body[role], env)
	r = racelab.Result{Value: racelab.ValueOf(value), Class: c.engine.Dialect.Classify(err)}
	switch r.Class {
	case racelab.Panicked, racelab.Misuse:
		why = err.Error()
	}
	return r, why
}

// noTime is the window under control: between any two steps there is all the
// time in the world.
func noTime(context.Context) error { return nil }

// Search prepares a search for violations of the selection over cells.
func (s Selection) Search(cells []*Cell) *explore.Search {
	search := &explore.Search{}
	search.Together = func(worker int, do func() error) error { return cells[worker].together(do) }
	search.Unfit = func(err error) bool {
		return Diverged(err) || LostControl(err) || errors.Is(err, control.ErrLate)
	}
	search.Judge = &check.Judge{
		Scenario: s.Scenario, Calls: cells[0].Calls(),
		Serial: func(ctx context.Context, order []racelab.CallID, start racelab.Schedule) (racelab.History, error) {
			// The search goes on from these runs: their choices have to be all there are.
			return cells[0].Run(ctx, explore.Plan{Serial: order, Schedule: start, Faults: search.Faults > 0})
		},
	}
	for _, c := range cells {
		search.Runners = append(search.Runners, c.Run)
	}
	return search
}
