package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// wrap breaks text into lines of at most width columns, and escapes what does
// not print.
func wrap(text string, width int) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(plain(text)) {
		length := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+length > width:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += length
	}
	return b.String()
}

// item is a line of a report, `verdict  it holds`, with the lines that follow
// from it indented as far.
func item(name, text string) string {
	return fmt.Sprintf("%-8s %s\n", name, strings.ReplaceAll(wrap(text, 71), "\n", "\n         "))
}

// brief rounds a time to two digits or so.
func brief(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

func ms(v float64) string { return brief(time.Duration(v * float64(time.Millisecond))) }
