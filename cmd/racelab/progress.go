package main

import (
	"fmt"
	"io"
	"time"
)

// progress is a line on a terminal that says how far a command is.
type progress struct {
	w     io.Writer // nil if nobody is looking
	what  string
	of    int
	shown time.Time
}

func newProgress(w io.Writer, what string, of int) *progress {
	p := &progress{what: what, of: of, shown: time.Now()}
	if isTerminal(w) {
		p.w = w
	}
	return p
}

func (p *progress) at(done int) {
	if p.w == nil || time.Since(p.shown) < 100*time.Millisecond {
		return
	}
	p.shown = time.Now()
	fmt.Fprintf(p.w, "\r\x1b[K%s %d of %d", p.what, done, p.of)
}

func (p *progress) clear() {
	if p.w != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
