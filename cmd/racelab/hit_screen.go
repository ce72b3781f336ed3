package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/load"
	"github.com/spf13/cobra"
)

// mostLines is up to how many requests get a line each.
const mostLines = 1000

// A hitScreen says what happens while it happens: a line for each request that
// ended, and on a terminal how far it all is.
type hitScreen struct {
	*progress
	out    io.Writer // nil: no lines
	target string
	sent   int
	done   int
}

func newHitScreen(c *cobra.Command, p load.Plan, asJSON bool) *hitScreen {
	s := &hitScreen{progress: newProgress(c.ErrOrStderr(), "", p.N), target: p.URL}
	if !asJSON && p.N <= mostLines {
		s.out = c.OutOrStdout()
	}
	return s
}

func (s *hitScreen) started(int) {
	s.sent++
	s.show()
}

func (s *hitScreen) ended(r load.Result) {
	s.done++
	if s.out != nil && r.Outcome != load.NotSent {
		s.clear()
		fmt.Fprintln(s.out, requestLine(r, s.target))
	}
	s.show()
}

func (s *hitScreen) show() {
	s.what = fmt.Sprintf("%d sent, ended", s.sent)
	s.at(s.done)
}

func (s *hitScreen) stage(what string) {
	if s.w != nil {
		fmt.Fprintf(s.w, "\r\x1b[K%s ...", what)
	}
}

// requestLine is `3: POST URL 200 1.2s`, with the class where the status does
// not say all.
func requestLine(r load.Result, target string) string {
	line := fmt.Sprintf("%d: POST %s", r.I, plain(target))
	if r.Status != 0 {
		line += fmt.Sprintf(" %d", r.Status)
	}
	if r.Outcome != load.Acknowledged && !strings.HasPrefix(r.Class, "http-") {
		line += " " + racelab.Class(r.Class).Words()
	}
	return line + " " + brief(r.Latency)
}
