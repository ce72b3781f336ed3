package main

import (
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/racelab/racelab/engine/enginetest"
	"github.com/racelab/racelab/internal/dsn"
)

// sourcesLine is a row of docs/sources.md: the command, and what is measured.
var sourcesLine = regexp.MustCompile("(?m)^\\|.* \\| `racelab ([^`]+)` \\| (.*?) \\| .*$")

// A page that says what the sources' claims come to is believed, so its commands
// are run as they are printed.
func TestTheSourcesComeToWhatTheirPageSays(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped, because of -short: it runs all commands of docs/sources.md")
	}
	page, err := os.ReadFile("../../docs/sources.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := sourcesLine.FindAllStringSubmatch(string(page), -1)
	if rows := strings.Count(string(page), "`racelab "); len(lines) == 0 || len(lines) < rows-2 { // the text above names some
		t.Fatalf("%d commands are read of %d", len(lines), rows)
	}
	for _, line := range lines {
		command, measured := line[1], line[2]
		t.Run(command, func(t *testing.T) {
			t.Parallel() // most of the time somebody waits for a server to start
			var args []string
			for _, word := range regexp.MustCompile(`'[^']*'|\S+`).FindAllString(command, -1) {
				args = append(args, strings.Trim(word, "'"))
			}
			if i := slices.Index(args, "--engine"); i >= 0 {
				e, err := dsn.Named(args[i+1])
				if err != nil {
					t.Fatal(err)
				}
				enginetest.Require(t, e)
			}
			want := -1
			switch exit := regexp.MustCompile(`exit (\d)`).FindStringSubmatch(measured); {
			case exit != nil:
				want, _ = strconv.Atoi(exit[1])
			case strings.HasPrefix(measured, "holds"):
				want = exitOK
			case strings.HasPrefix(measured, "violated"):
				want = exitViolated
			}
			root := rootCommand()
			root.SetArgs(args)
			root.SetOut(io.Discard)
			root.SetErr(io.Discard)
			code := codeOf(root.ExecuteContext(t.Context()))
			if want >= 0 && code != want || code == exitUsage && want != exitUsage {
				t.Errorf("exit code %d, and the page says: %s", code, measured)
			}
		})
	}
}
