package main

import (
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/racelab/racelab/internal/picture"
	"golang.org/x/term"
)

// isTerminal reports whether a person may be looking at w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func wantsColor(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(w)
}

// options fits a picture to where it is written.
func options(w io.Writer) picture.Options {
	o := picture.Options{Width: 80, Color: wantsColor(w)}
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 80 {
			o.Width = min(width, 160)
		}
	}
	return o
}

func strong(w io.Writer, s string) string {
	if !wantsColor(w) {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}

// printable escapes what could steer a terminal, line ends excepted.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == '\n' || strconv.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}
