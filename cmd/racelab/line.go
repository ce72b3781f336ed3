package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// unrepeated are the flags that a line to type again leaves out: a DSN may hold
// a password, and how to answer is up to whoever types it.
var unrepeated = []string{"dsn", "json", "expect"}

// lineOf is the line that runs a command again, with what was given, on a
// target; "" is the default one.
func lineOf(c *cobra.Command, target string) string {
	words := []string{c.CommandPath()}
	if target != "" {
		words = append(words, shellQuote(target))
	}
	c.Flags().Visit(func(f *pflag.Flag) {
		name, value := "--"+f.Name, f.Value.String()
		switch {
		case slices.Contains(unrepeated, f.Name):
			return
		case f.Shorthand != "":
			name = "-" + f.Shorthand
		}
		if f.Value.Type() != "bool" {
			words = append(words, name, shellQuote(value))
		} else if value == "true" {
			words = append(words, name)
		}
	})
	return strings.Join(words, " ")
}

// shellQuote leaves alone what no shell reads as something else.
func shellQuote(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./:=@%+,", r)
	}) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
