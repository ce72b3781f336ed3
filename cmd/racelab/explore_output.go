package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/picture"
	"github.com/racelab/racelab/internal/stage"
)

// exploreReport is racelab.explore/1.
type exploreReport struct {
	Schema   string        `json:"schema"`
	Scenario string        `json:"scenario"`
	Strategy string        `json:"strategy"`
	Engine   string        `json:"engine"`
	Level    racelab.Level `json:"level"`
	racelab.Product
	Sessions   int                   `json:"sessions"`
	Cast       []castMember          `json:"cast,omitempty"`       // of a spec file
	NeverDone  []string              `json:"never_done,omitempty"` // statements of a spec file that failed in every run, and why
	Only       []racelab.SessionID   `json:"only"`                 // that ran; null: all
	Processes  int                   `json:"processes"`
	InProcess  bool                  `json:"in_process"` // it relies on the memory of one process, and there was one
	Faults     int                   `json:"faults"`     // connections lost in a schedule, at most
	Verdict    racelab.VerdictKind   `json:"verdict"`
	Reason     *string               `json:"reason"`
	Complete   bool                  `json:"complete"`
	Bound      *int                  `json:"bound"`
	Method     string                `json:"method"`
	Schedules  int                   `json:"schedules"`
	Serial     int                   `json:"serial_schedules"`
	Beside     int                   `json:"judging_runs"` // serial runs that are no schedules of the search
	Aborted    int                   `json:"aborted_schedules"`
	Classes    map[racelab.Class]int `json:"abort_classes"`
	Deadlocked int                   `json:"deadlocked_schedules"`
	Conflicts  int                   `json:"conflicts_both_orders"`
	Outcomes   []exploreOutcome      `json:"outcomes"`
	Anomalies  []stage.Anomaly       `json:"anomalies"`
	Witness    *exploreWitness       `json:"witness"`
	Steps      int                   `json:"steps_a_call"`
	Violations int                   `json:"violations"`
	Raced      int                   `json:"raced_schedules"` // in which there is a data race
	Races      []raceReport          `json:"races"`           // of each pair of lines the first
	Accepted   bool                  `json:"accepted"`        // the finding is in the baseline
	Guarantee  *guaranteeReport      `json:"guarantee"`       // of --pct
	Trials     []trialReport         `json:"trials,omitempty"`
	Committed  bool                  `json:"committed"` // a call succeeded in some schedule
	Notes      []string              `json:"notes"`     // why a verdict that is no violation may not be what was meant
	Seconds    float64               `json:"seconds"`
}

// snapshotSetting is the setting that makes MariaDB's REPEATABLE READ another
// level: https://mariadb.com/docs/server/server-usage/storage-engines/innodb/innodb-system-variables
const snapshotSetting = "innodb_snapshot_isolation"

// inForce is a product with the settings that sessions of a level run with. The
// product's own are the server's, and this one is set for each session.
func inForce(p racelab.Product, l racelab.Level) racelab.Product {
	if _, has := p.Settings[snapshotSetting]; !has {
		return p
	}
	p.Settings = maps.Clone(p.Settings)
	p.Settings[snapshotSetting] = "OFF"
	if l == racelab.RepeatableReadSnapshot {
		p.Settings[snapshotSetting] = "ON"
	}
	return p
}

type exploreOutcome struct {
	State   string `json:"state"`
	Results string `json:"results"`
	Count   int    `json:"count"`
	Serial  bool   `json:"serial"` // a serial order that was run gives it
	Broken  bool   `json:"broken"` // an invariant does not hold
}

// kind says what kind of outcome it is. What breaks an invariant is not held
// against the serial orders that have not been run.
func (o exploreOutcome) kind() string {
	switch {
	case o.Serial:
		return "serial"
	case o.Broken:
		return "breaks an invariant"
	}
	return "not serial"
}

// outcomeLine says what calls returned and the state they left, if there is one.
func outcomeLine(results, state string) string {
	line := plain(cmp.Or(results, "no call returned"))
	if state != "" {
		line += "; " + plain(state)
	}
	return line
}

// A raceReport is a data race and what shows it.
type raceReport struct {
	stage.Race
	Prose   string `json:"prose"`
	Command string `json:"command"`
}

// raceReports says how to see each race again.
func raceReports(what chosen, f *controlFlags, races []stage.Race) []raceReport {
	reports := []raceReport{}
	for _, race := range races {
		reports = append(reports, raceReport{race, race.String(), what.command("run", what.name, f, "--schedule", race.Schedule)})
	}
	return reports
}

// printRaces lists data races, but for what the verdict has said.
func printRaces(b *strings.Builder, races []raceReport, said string) {
	races = slices.DeleteFunc(slices.Clone(races), func(r raceReport) bool { return strings.Contains(said, plain(r.Prose)) })
	for i, race := range races {
		if i == 4 {
			b.WriteString(item("", fmt.Sprintf("and %d more, of other lines", len(races)-i)))
			break
		}
		b.WriteString(item(first(i == 0, "races"), race.Prose))
	}
}

type exploreWitness struct {
	Schedule string      `json:"schedule"`
	Switches int         `json:"switches"`
	FirstAt  int         `json:"first_found_at"`
	Replays  replayCount `json:"replays"`
	Command  string      `json:"command"`
}

type replayCount struct {
	OK int `json:"ok"`
	Of int `json:"of"`
}

func (f exploreFlags) report(what chosen, p racelab.Product, how stage.Exploration, x stage.Explored, lost error) exploreReport {
	r := exploreReport{
		Schema: "racelab.explore/1", Scenario: what.Scenario.Name, Strategy: what.strategy(), Cast: what.cast(), NeverDone: what.neverDone(),
		Engine: what.Engine.Name, Level: what.Level, Product: inForce(p, what.Level),
		Sessions: len(what.Scenario.Dealt(f.sessions)), Only: what.how.Only, Processes: f.processes, InProcess: f.processes == 1 && what.sharesMemory(), Faults: f.faults,
		Complete: x.Complete, Method: "brute", Schedules: x.Schedules, Serial: x.Serial, Beside: x.Beside, Aborted: x.Aborted,
		Classes: x.Classes, Deadlocked: x.Deadlocked, Conflicts: x.Conflicts, Steps: x.Steps, Violations: x.Violations, Raced: x.Raced,
		Outcomes: []exploreOutcome{}, Anomalies: []stage.Anomaly{},
		Races: raceReports(what, &f.controlFlags, x.Races),
	}
	switch {
	case f.sampled() != "":
		r.Method = f.sampled()
	case f.bound >= 0:
		r.Bound = &f.bound
	case !f.brute:
		r.Method = "reduced"
	}
	r.Guarantee = guaranteed(x)
	r.Committed, r.Notes = x.Committed(), append([]string{}, x.Notes()...)
	for _, o := range x.Outcomes {
		r.Outcomes = append(r.Outcomes, exploreOutcome(o))
	}
	var why string
	r.Verdict, why = x.Verdict(how, lost)
	if why != "" {
		r.Reason = &why
	}
	if x.Witness == nil || x.Report.Witness == nil {
		return r
	}
	if a, ok := x.Explain(); ok {
		r.Anomalies = append(r.Anomalies, a)
	}
	foundAt := x.FirstFound
	if x.Violations == 0 && len(x.Races) > 0 {
		foundAt = x.Races[0].FoundAt
	}
	r.Witness = &exploreWitness{
		Schedule: x.Schedule.String(), Switches: x.Schedule.Switches(), FirstAt: foundAt,
		Replays: replayCount{x.Replayed.OK, x.Replayed.Of},
		Command: what.command("run", what.name, f.onlyFor(x), "--schedule", x.Schedule.String()),
	}
	return r
}

// onlyFor are the flags for a witness that does without some of the sessions.
func (f exploreFlags) onlyFor(x stage.Explored) *controlFlags {
	if x.Only != nil {
		var names []string
		for _, id := range x.Only {
			names = append(names, string(id))
		}
		f.only = strings.Join(names, ",")
	}
	return &f.controlFlags
}

func printExplored(w io.Writer, what chosen, f exploreFlags, r exploreReport, x stage.Explored, next string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s %s, %s: %s\n\n", strong(w, what.name), r.Name, r.Version, r.Level, r.cast())
	b.WriteString(what.legend())
	if r.Witness != nil {
		b.WriteString(controlledDrawing(w, x))
	}
	fmt.Fprintf(&b, "%s  %s\n", strong(w, "verdict"), exploreVerdict(r))
	printRaces(&b, r.Races, exploreVerdict(r))
	fmt.Fprintf(&b, "searched %s\n", searchedLine(r))
	if r.Guarantee != nil {
		b.WriteString(item("promise", r.Guarantee.String()))
	}
	printOutcomes(&b, r.Outcomes)
	for _, note := range r.Notes {
		b.WriteString(item("note", note))
	}
	for _, line := range r.NeverDone {
		b.WriteString(item("note", printable(line)))
	}
	if r.Witness != nil {
		if fix := what.fix(); fix != "" {
			fmt.Fprintf(&b, "fix      %s\n", what.command("explore", what.Scenario.Name+"/"+fix, &f.controlFlags))
		}
		fmt.Fprintf(&b, "replay   %s\n%s", r.Witness.Command, f.needs())
	}
	if next != "" {
		fmt.Fprintf(&b, "go on    %s\n", next)
	}
	if r.Accepted {
		fmt.Fprintf(&b, "accepted in %s\n", plain(f.baseline))
	}
	switch why := f.refuseTrials(r.Verdict); {
	case why != "":
		fmt.Fprintf(&b, "note     %s\n", why)
	case r.Trials != nil:
		printTrials(&b, f, r.Trials)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// sampled reports whether the schedules are a sample.
func (r exploreReport) sampled() bool { return r.Method == "random" || r.Method == "pct" }

// printOutcomes lists the most frequent outcomes.
func printOutcomes(b *strings.Builder, all []exploreOutcome) {
	for i, o := range all {
		if i == 4 {
			fmt.Fprintf(b, "         and %s more\n", count(len(all)-i, "outcome"))
			break
		}
		fmt.Fprintf(b, "%-8s %d x %s: %s\n", first(i == 0, "outcomes"), o.Count, o.kind(), outcomeLine(o.Results, o.State))
	}
}

func first(is bool, s string) string {
	if is {
		return s
	}
	return ""
}

func exploreVerdict(r exploreReport) string {
	switch r.Verdict {
	case racelab.Violated:
		line := violatedBy(r.Anomalies, *r.Reason)
		line += fmt.Sprintf("; found at run %d", r.Witness.FirstAt)
		if r.Witness.Replays.Of == 0 {
			return line + ", not replayed"
		}
		return line + fmt.Sprintf(", replayed %d/%d", r.Witness.Replays.OK, r.Witness.Replays.Of)
	case racelab.Unknown:
		return "unknown: " + plain(*r.Reason)
	}
	line := "all " + count(r.Schedules, "schedule")
	switch {
	case r.sampled():
		line = count(r.Schedules, "sampled schedule")
	case r.Bound != nil && !r.Complete:
		line = fmt.Sprintf("all %s with at most %s", count(r.Schedules, "schedule"), r.bound())
	case r.Method == "reduced":
		line = "all schedules, by " + count(r.Schedules, "run")
	}
	line = held("holds", r.InProcess) + ": " + line
	switch {
	case !r.Committed:
		line += ", nothing committed"
	case r.Reason != nil:
		line += ", " + *r.Reason
	case r.Aborted > 0:
		line += ", with aborts"
	}
	line += fmt.Sprintf(" (statements of %s, up to %s a call", r.cast(), count(r.Steps, "step"))
	if r.Faults > 0 {
		line += fmt.Sprintf(", up to %s", count(r.Faults, "lost connection"))
	}
	return line + ")"
}

// bound says what a bound counts.
func (r exploreReport) bound() string {
	if r.Faults > 0 {
		return fmt.Sprintf("%d preemptions and lost connections together", *r.Bound)
	}
	return count(*r.Bound, "preemption")
}

// cast says which sessions ran.
func (r exploreReport) cast() string { return castOf(r.Sessions, r.Only) }

func castOf(sessions int, only []racelab.SessionID) string {
	if only == nil {
		return count(sessions, "session")
	}
	names := make([]string, len(only))
	for i, id := range only {
		names[i] = string(id)
	}
	noun := "sessions"
	if len(only) == 1 {
		noun = "session"
	}
	return fmt.Sprintf("%s %s of %d", noun, strings.Join(names, ", "), sessions)
}

// violatedBy names the anomaly, if it has a name, and says why.
func violatedBy(anomalies []stage.Anomaly, why string) string {
	if len(anomalies) == 0 {
		return "violated: " + plain(why)
	}
	return "violated: " + strings.ReplaceAll(string(anomalies[0].Name), "-", " ") + ": " + plain(why)
}

func searchedLine(r exploreReport) string {
	line := count(r.Schedules, "schedule")
	if r.sampled() {
		line += " drawn"
	} else {
		line += fmt.Sprintf(", %d of them serial", r.Serial)
	}
	if r.Beside > 0 {
		line += fmt.Sprintf(", and %s to judge by", count(r.Beside, "serial run"))
	}
	if r.Violations > 0 {
		line += fmt.Sprintf("; %d violate", r.Violations)
	}
	if r.Aborted > 0 {
		line += fmt.Sprintf("; in %d a call was aborted", r.Aborted)
	}
	switch {
	case r.Deadlocked > 0 && r.Aborted > 0:
		line += fmt.Sprintf(", in %d by a deadlock", r.Deadlocked)
	case r.Deadlocked > 0:
		line += fmt.Sprintf("; %d deadlock", r.Deadlocked)
	}
	if r.Raced > 0 {
		line += fmt.Sprintf("; in %d there is a data race", r.Raced)
	}
	return line + fmt.Sprintf("; %s ran in both orders; %.1f s", count(r.Conflicts, "conflicting pair"), r.Seconds)
}

// controlledDrawing is the picture of a run under control, with the prose
// beneath if the anomaly has a name.
func controlledDrawing(w io.Writer, x stage.Explored) string {
	a, ok := x.Explain()
	text := picture.Text(*x.Witness, a.Marks, options(w)) + "\n"
	if ok {
		text += wrap(a.Prose, 78) + "\n\n"
	}
	return text
}
