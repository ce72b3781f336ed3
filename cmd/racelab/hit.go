package main

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/racelab/racelab/internal/load"
	"github.com/racelab/racelab/internal/stage"
	"github.com/spf13/cobra"
)

// notAvailable is the class with which a laboratory, and nothing else, says that
// its engine does not have a strategy.
const notAvailable = "not-available"

const (
	hitLab    = "http://" + labAddress
	hitTarget = "atomic_long_delay"
	hitGrace  = 3 * time.Second // at Ctrl-C, for what is under way; and for a picture
)

type hitFlags struct {
	lab                   string
	n, concurrency        int
	account, amount       int64
	wait, timeout, settle string
	window, expect        string
	allowHost, json       bool
}

func hitCommand() *cobra.Command {
	f := hitFlags{}
	c := &cobra.Command{
		Use:   "hit [TARGET]",
		Short: "Send deposits to the lab, all at once if you like, and judge what they left",
		Long: `Sends -n deposits to a lab that ` + "`racelab serve`" + ` runs, --wait apart, waits until
nothing is in flight there, and compares the balance with the ledger.

TARGET is an endpoint of the reference laboratory (` + hitTarget + `), a
strategy (for-update; see ` + "`racelab list`" + `), or a whole http:// URL. What is no
lab has no ledger to ask: its answers are counted, and the verdict is unknown.
Requests stay on this machine unless --allow-host is given.

A request without an answer (a time-out, a reset, 502, 504) is neither a success
nor a failure until the ledger says which. Latency counts from when a request
was meant to start, also if it had to wait for its turn.

To a lab that is still busy with others after --settle nothing is sent.

Exit codes: 0 nothing is lost; 1 money is lost, or an acknowledged deposit is
not recorded; 3 nobody can say; 2 usage, or a strategy that the lab's engine does
not have; 4 nothing answers at first; 130 Ctrl-C, after the verdict on what was
sent. --expect anomaly turns 0 and 1 round.`,
		Example: `  racelab hit non_atomic_long_delay --wait 0    # ten deposits at once
  racelab hit for-update --wait 0               # the fix
  racelab hit non_atomic_no_delay -n 5000 --amount 1 --wait 0 --concurrency 32
  racelab hit read-modify-write --window 300ms..1s --wait 0.1 --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			target := hitTarget
			if len(args) > 0 {
				target = args[0]
			}
			if env := os.Getenv("RACELAB_LAB"); env != "" && !c.Flags().Changed("lab") {
				f.lab = env // not as the flag's default, which --help prints: it may hold a password
			}
			return hit(c, target, f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.lab, "lab", hitLab, "URL of the lab (RACELAB_LAB)")
	flags.IntVarP(&f.n, "requests", "n", 10, "how many requests")
	flags.IntVar(&f.concurrency, "concurrency", 0, "requests under way together at most (0: as many as needed, up to 1000)")
	flags.StringVar(&f.wait, "wait", "1", "time between starts: seconds (0.5) or with a unit (500ms); 0: all together")
	flags.Int64Var(&f.account, "account", 1, "account to pay into")
	flags.Int64Var(&f.amount, "amount", 100, "amount of each deposit")
	flags.StringVar(&f.timeout, "timeout", "90s", "how long to wait for an answer")
	flags.StringVar(&f.settle, "settle", "60s", "how long to wait, when all is sent, for what is still in flight in the lab")
	flags.StringVar(&f.window, "window", "", "time between read and write, for strategies (default: the lab's)")
	flags.BoolVar(&f.allowHost, "allow-host", false, "go to other machines than this one")
	flags.BoolVar(&f.json, "json", false, "print one JSON document (racelab.hit/1)")
	flags.StringVar(&f.expect, "expect", "holds", "what counts as success: holds or anomaly")
	return c
}

// hit runs the command: check, send, judge, say.
func hit(c *cobra.Command, target string, f hitFlags) error {
	h, err := f.hit(target)
	if err != nil {
		return err
	}
	defer h.Lab.Close()
	ctx, stop := context.WithCancel(c.Context())
	defer stop()
	var lacking string // why the lab does not have the strategy
	screen := newHitScreen(c, h.Plan, f.json)
	h.Plan.Started = screen.started
	h.Plan.Ended = func(r load.Result) {
		screen.ended(r)
		if r.Status == http.StatusNotImplemented && (h.MustLab || r.Class == notAvailable) && lacking == "" {
			lacking = cmp.Or(r.Detail, target+" is not available: the lab answers 501")
			stop() // the others would hear the same
		}
	}
	h.Stage = screen.stage
	report, err := h.Do(ctx)
	screen.clear()
	switch {
	case err != nil:
		return f.trouble(target, err)
	case lacking != "":
		return &exit{code: exitUsage, name: notAvailable, remedy: "see `racelab list`", err: errors.New(lacking)}
	}
	if f.json {
		err = writeJSON(c.OutOrStdout(), report)
	} else {
		again := hitLine(c, target, h.Plan.URL)
		fix := ""
		if raced(report) > 0 {
			fix = hitFix(report)
		}
		if fix == target {
			fix = ""
		} else if fix != "" {
			fix = hitLine(c, fix, h.Plan.URL)
		}
		err = printHit(c.OutOrStdout(), report, hitHistory(ctx, h, report), fix, again)
	}
	if err != nil {
		return err
	}
	return exitCode(f.code(report, c.Context().Err() != nil))
}

// hit checks what was typed and makes it a run.
func (f hitFlags) hit(target string) (load.Hit, error) {
	h := load.Hit{Account: f.account, Amount: f.amount}
	switch {
	case f.n < 1 || f.n > load.MostRequests:
		return h, usage("-n is %d: give a number from 1 to %d", f.n, load.MostRequests)
	case f.concurrency < 0 || f.concurrency > load.MostConcurrent:
		return h, usage("--concurrency is %d: give a number from 0 to %d", f.concurrency, load.MostConcurrent)
	case f.amount < 1 || f.amount > math.MaxInt32:
		return h, usage("--amount is %d: give a number from 1 to %d", f.amount, math.MaxInt32)
	case f.account < 1:
		return h, usage("--account is %d: give a number from 1", f.account)
	case f.expect != "holds" && f.expect != "anomaly":
		return h, usage("--expect is %q: give holds or anomaly", f.expect)
	}
	fields := url.Values{"account": {strconv.FormatInt(f.account, 10)}, "amount": {strconv.FormatInt(f.amount, 10)}}
	h.Plan = load.Plan{
		N: f.n, Concurrency: f.concurrency, Fields: fields, Prefix: load.NewPrefix(), Grace: hitGrace, AllowHost: f.allowHost,
	}
	times := []struct {
		flag, text string
		into       *time.Duration
	}{{"--wait", f.wait, &h.Plan.Wait}, {"--timeout", f.timeout, &h.Plan.Timeout}, {"--settle", f.settle, &h.Settle}}
	for _, t := range times {
		d, err := stage.ParseDuration(t.text)
		if err != nil {
			return h, usage("%s: %w", t.flag, err)
		}
		*t.into = d
	}
	if h.Plan.Timeout == 0 {
		return h, usage("--timeout is %s: it must be more than 0", f.timeout)
	}
	u, named, err := f.address(target)
	if err != nil {
		return h, usage("%w", err)
	}
	if f.window != "" {
		if !strings.HasPrefix(u.Path, "/deposit/") {
			return h, usage("--window is for strategies: %s has the window that the lab was started with", target)
		}
		window, err := stage.ParseSpan(f.window)
		if err != nil {
			return h, usage("--window: %w", err)
		}
		h.Window = window.String()
		fields.Set("window", h.Window)
	} else if strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), "_no_delay") {
		h.Window = stage.Span{}.String() // whatever the lab's is
	}
	h.Plan.URL, h.MustLab = u.String(), named
	h.Lab = load.NewLab(u, f.allowHost)
	return h, nil
}

// trouble says why nothing was sent.
func (f hitFlags) trouble(target string, err error) error {
	switch {
	case errors.Is(err, load.ErrNotLoopback):
		return &exit{code: exitUsage, name: "not-loopback", remedy: "if you may send requests there, give --allow-host", err: err}
	case errors.Is(err, load.ErrNoAccount):
		return usage("--account: the lab has no account %d", f.account)
	case strings.Contains(target, "://"):
		return &exit{code: exitUnreachable, name: "unreachable", err: err}
	}
	return &exit{code: exitUnreachable, name: "unreachable", remedy: "start a lab with `racelab serve`, or say with --lab where one is", err: err}
}

func (f hitFlags) code(r load.Report, interrupted bool) int {
	holds, violated := exitOK, exitViolated
	if f.expect == "anomaly" {
		holds, violated = violated, holds
	}
	switch {
	case interrupted:
		return exitInterrupted
	case r.Verdict == load.Holds:
		return holds
	case r.Verdict == load.Violated:
		return violated
	}
	return exitUnknown
}

// hitLine is the line that sends the same to a target of the lab at a URL.
func hitLine(c *cobra.Command, target, at string) string {
	if u, err := url.Parse(at); err == nil && !strings.Contains(target, "://") {
		if lab := u.Scheme + "://" + u.Host; lab != hitLab {
			_ = c.Flags().Set("lab", lab) // also where it came from the environment, or as part of the target
		}
	}
	if target == hitTarget {
		target = ""
	}
	return lineOf(c, target)
}
