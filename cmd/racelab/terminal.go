package main

import (
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/racelab/racelab/internal/picture"
	"golang.org/x/term"
)

// A descriptor is a writer that may be a terminal.
type descriptor interface{ Fd() uintptr }

// isTerminal reports whether a person may be looking at w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(descriptor)
	return ok && term.IsTerminal(int(f.Fd()))
}

func wantsColor(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(w)
}

// options fits a picture to where it is written.
func options(w io.Writer) picture.Options {
	return picture.Options{Width: min(max(columns(w), 80), 160), Color: wantsColor(w)}
}

// columns is how wide a terminal is, and 80 if w is none.
func columns(w io.Writer) int {
	if f, ok := w.(descriptor); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

func strong(w io.Writer, s string) string {
	if !wantsColor(w) {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}

// printable escapes what could steer a terminal, line ends excepted: an error
// may have several lines.
func printable(s string) string { return escaped(s, "\n") }

// plain escapes what does not print, line ends too: what a user's program says
// must not look like a line of a report.
func plain(s string) string { return escaped(s, "") }

func escaped(s, but string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(but, r) || strconv.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}
