package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress is a line on a terminal that says how far a command is.
type progress struct {
	w     io.Writer // nil if nobody is looking
	what  string
	done  int
	of    int
	shown time.Time
}

func newProgress(w io.Writer, what string, of int) *progress {
	p := &progress{what: what, of: of, shown: time.Now()}
	if isTerminal(w) && os.Getenv("TERM") != "dumb" { // which knows no way to take a line back
		p.w = w
	}
	return p
}

// label begins to count something else.
func (p *progress) label(what string) {
	p.what, p.done, p.of = plain(what)+": schedule", 0, 0
	if p.w != nil {
		p.show("")
	}
}

func (p *progress) at(done int) {
	p.done = done
	if p.w == nil || time.Since(p.shown) < 100*time.Millisecond {
		return
	}
	p.show("")
}

// note says beside how far it is why it does not go on.
func (p *progress) note(why string) {
	if p.w != nil {
		p.show(": " + plain(why))
	}
}

func (p *progress) show(why string) {
	p.shown = time.Now()
	// A line that wraps could not be taken back.
	line := []rune(fmt.Sprintf("%s %d of %d%s", p.what, p.done, p.of, why))
	fmt.Fprintf(p.w, "\r\x1b[K%s", string(line[:min(len(line), columns(p.w)-1)]))
}

func (p *progress) clear() {
	if p.w != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
