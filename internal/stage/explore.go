package stage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/check"
	"github.com/racelab/racelab/internal/control"
	"github.com/racelab/racelab/internal/explore"
)

// An Exploration says how to explore a selection.
type Exploration struct {
	Controlled
	Workers        int           // each with a database of its own
	Budget         int           // runs at most; 0 is all
	Time           time.Duration // at most; 0 has no end
	Random         int           // that many random schedules instead of all
	Depth          int           // of the bugs that random priorities are to find; 0: every choice is as likely
	Seed           uint64        // of the random ones
	Reduced        bool          // run one of the schedules that differ only in the order of what may be exchanged
	Bound          *int          // preemptions and faults at most; nil is any number; not with Reduced
	Faults         int           // connections lost in a schedule, at most
	InvariantsOnly bool          // leave the serial outcomes out
	Build          string        // of this program, as far as a frontier depends on it
	Resume         *Frontier     // what an earlier exploration has left; nil begins
	Part           Part          // of the exploration that is to be done
	Tell           func(run, known int)
}

// A Frontier is what an exploration has left to do, and a Part is a share of it.
type (
	Frontier = explore.Frontier
	Part     = explore.Part
)

// ReadFrontier reads a frontier that was saved as JSON, and Merge makes one of
// those of all parts.
func ReadFrontier(text []byte) (Frontier, error) { return explore.ReadFrontier(text) }
func Merge(parts []Frontier) (Frontier, error)   { return explore.Merge(parts) }

// ErrForeign says that a frontier is of another exploration.
var ErrForeign = errors.New("the frontier is of another exploration: scenario, strategy, engine, version, level, sessions, what is searched and the build of racelab have to be the same")

// ErrDamaged says that a frontier is not what an exploration has saved.
var ErrDamaged = explore.ErrDamaged

// fingerprint is of all that the schedules of an exploration depend on. The
// limits of a step's time and of a run's steps are none of it: what comes to
// them ends the exploration.
func (s Selection) fingerprint(p racelab.Product, x Exploration) string {
	h := sha256.New()
	fmt.Fprintln(h, x.Build, s.Name(), s.setup(), s.Scenario.State, s.Scenario.Generated, p.Name, p.Version, s.Level)
	for _, claim := range s.Scenario.Invariants {
		fmt.Fprintln(h, claim.Name, claim.Query)
	}
	fmt.Fprintln(h, s.Scenario.Dealt(x.Sessions), x.Processes, x.Only, x.Faults, x.Reduced, x.Bound != nil, x.InvariantsOnly)
	if x.Bound != nil {
		fmt.Fprintln(h, *x.Bound)
	}
	for i := range s.Scenario.Dealt(x.Sessions) {
		if st := x.Strategies[racelab.Letter(i)]; st != nil {
			fmt.Fprintln(h, st.Name)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// An Explored is what an exploration gave.
type Explored struct {
	explore.Report
	Calls     [][]racelab.CallID
	Steps     int // of the longest call
	Witness   *racelab.Run
	Schedule  racelab.Schedule    // of the witness
	Judgement check.Judgement     // of the witness
	Left      *Frontier           // what is left to do
	Texts     []string            // of the statements that were run, in the order in which they appeared
	Only      []racelab.SessionID // that the witness needs; nil is all
	Replayed  Replay              // of the witness
	Checked   Replay              // of a schedule that passes
}

// Explore searches the selection's schedules on server.
func (s Selection) Explore(ctx context.Context, server racelab.Server, x Exploration) (out Explored, err error) {
	cells, err := s.NewCells(ctx, server, x.Controlled, x.Workers)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, cells.Close()) }()
	return cells.Explore(ctx, s.Strategy, x)
}

func (s Selection) exploreIn(ctx context.Context, cells []*Cell, product racelab.Product, x Exploration) (out Explored, err error) {
	search := s.Search(cells)
	search.Budget, search.Random, search.Depth, search.Seed, search.Tell = x.Budget, x.Random, x.Depth, x.Seed, x.Tell
	search.Bound = x.Bound
	if x.Reduced {
		search.Relation = cells[0].Relation()
	}
	search.Resume, search.Part, search.Fingerprint = x.Resume, x.Part, s.fingerprint(product, x)
	search.Faults, search.Judge.InvariantsOnly = x.Faults, x.InvariantsOnly
	if x.Time > 0 {
		deadline := time.Now().Add(x.Time)
		search.Stop = func() bool { return time.Now().After(deadline) }
	}
	if x.Resume != nil && x.Resume.Fingerprint != search.Fingerprint {
		return out, ErrForeign
	}
	out.Calls = search.Judge.Calls
	seen := map[string]bool{}
	search.Judged = func(h racelab.History) {
		for _, e := range h.Events {
			if e.Kind == racelab.Entered && e.Op.Conn != "" && !seen[e.Op.Text] {
				seen[e.Op.Text] = true
				out.Texts = append(out.Texts, e.Op.Text)
			}
		}
	}
	diverged := noteDivergence(search)
	out.Report, err = search.Run(ctx)
	out.Left = search.Left
	if h, ok := diverged(); ok && Diverged(err) {
		// The search follows only what it has seen: this is no schedule's fault.
		if out.Checked, err = cells[0].replayStart(ctx, h, err); err != nil {
			return out, err
		}
	}
	if f := out.Report.Witness; f != nil && err == nil {
		var smaller explore.Finding
		if smaller, err = search.Shrink(ctx, *f); err == nil {
			out.Report.Witness = &smaller
		}
	}
	if f := out.Report.Witness; f != nil {
		out.Steps = mostSteps(f.History)
		out.Witness, out.Schedule, out.Judgement = s.run(f.History), f.Schedule, f.Judgement
		out.Only = sessionsOf(f.Calls)
	}
	if err != nil {
		return out, err // with what was found before
	}
	if f := out.Report.Passing; f != nil && out.Checked.Different == "" {
		out.Steps = max(out.Steps, mostSteps(f.History))
		if out.Checked, err = cells[0].replay(ctx, *f, 3); err != nil {
			return out, err
		}
	}
	if f := out.Report.Witness; f != nil {
		out.Replayed, err = cells[0].replay(ctx, *f, replays)
	}
	return out, err
}

// Replay runs one schedule and judges it, as an exploration would.
func (s Selection) Replay(ctx context.Context, server racelab.Server, x Exploration, schedule racelab.Schedule) (out Explored, err error) {
	cell, err := s.NewCell(ctx, server, x.Controlled)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, cell.Close()) }()
	out.Calls = cell.Calls()
	h, err := cell.Run(ctx, explore.Plan{Schedule: schedule})
	out.Witness, out.Schedule = s.run(h), explore.ScheduleOf(h)
	if err != nil {
		return out, err
	}
	judge := cell.selection.Search([]*Cell{cell}).Judge
	judge.InvariantsOnly = x.InvariantsOnly
	if out.Judgement, err = judge.Judge(ctx, h); err == nil && out.Judgement.Broken && !x.InvariantsOnly {
		out.Judgement.Serial, err = judge.Explained(ctx, h)
	}
	for _, race := range out.Judgement.Races {
		out.Races = append(out.Races, Race{Race: race, Schedule: out.Schedule.String(), FoundAt: 1})
	}
	return out, err
}

func (s Selection) run(h racelab.History) *racelab.Run {
	return &racelab.Run{Scenario: s.Scenario.Name, Strategy: s.Strategy.Name, Engine: s.Engine.Name, Level: s.Level, History: h}
}

// sessionsOf lists the sessions of calls; nil are all.
func sessionsOf(calls []racelab.CallID) []racelab.SessionID {
	var ids []racelab.SessionID
	for _, c := range calls {
		name, _, _ := strings.Cut(string(c), ".")
		if id := racelab.SessionID(name); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// mostSteps counts the steps of the call that has the most.
func mostSteps(h racelab.History) int {
	steps := map[racelab.CallID]int{}
	most := 0
	for _, e := range h.Events {
		if e.Kind == racelab.Entered {
			steps[e.Op.Call]++
			most = max(most, steps[e.Op.Call])
		}
	}
	return most
}

// LostControl reports whether err says that a run could not be controlled to its
// end: a session stopped outside the gate, nobody could go on, or there was no
// end.
func LostControl(err error) bool {
	return errors.Is(err, control.ErrStalled) || errors.Is(err, control.ErrEndless)
}

// Endless reports whether err says that a run had too many steps.
func Endless(err error) bool { return errors.Is(err, control.ErrEndless) }

// Diverged reports whether err says that a schedule asks for what cannot be.
func Diverged(err error) bool { return errors.Is(err, control.ErrDiverged) }

// An Anomaly is what a violation is called, and why.
type Anomaly = check.Anomaly

// A Guarantee is what random priorities promise.
type Guarantee = explore.Guarantee

// A Race is a data race that an exploration has found.
type Race = explore.FoundRace

// Explain names the anomaly of the witness, if it is a finding and has a name.
func (o Explored) Explain() (Anomaly, bool) {
	if o.Witness == nil {
		return Anomaly{}, false
	}
	return o.Judgement.Explain(o.Witness.History, o.Witness.Level)
}
