package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
	"github.com/spf13/cobra"
)

// frontier reads --resume and --part.
func (f *exploreFlags) frontier(x *stage.Exploration) (err error) {
	for _, flag := range []string{"save", "resume"} {
		if f.given.Changed(flag) && f.given.Lookup(flag).Value.String() == "" {
			return usage("--%s is empty: name a file", flag)
		}
	}
	if f.part != "" {
		if n, err := fmt.Sscanf(f.part, "%d/%d", &x.Part.I, &x.Part.Of); n != 2 || err != nil || x.Part.String() != f.part || x.Part.I < 1 || x.Part.I > x.Part.Of || x.Part.Of > 1000 {
			return usage("--part is %q: give one of N parts, such as 1/2", f.part)
		}
	}
	if f.save != "" || f.resume != "" {
		if x.Build, err = build(); err != nil {
			return err
		}
	}
	if f.save != "" {
		if err := replaceable(f.save); err != nil {
			return usage("--save: %w", err)
		}
	}
	switch {
	case f.sampled() != "" && (f.save != "" || f.resume != "" || f.part != ""):
		return usage("random schedules leave nothing to save: do without --%s", f.sampled())
	case f.part != "" && f.resume != "":
		return usage("--part begins a search and --resume goes on with one: give one of them")
	case f.part != "" && f.save == "":
		return usage("--part needs --save FILE: its result is put together with the others' by --resume")
	case f.resume == "":
		return nil
	}
	var parts []stage.Frontier
	for _, path := range strings.Split(f.resume, ",") {
		text, err := readFile(path)
		if err != nil {
			return usage("--resume: %w", err)
		}
		part, err := stage.ReadFrontier(text)
		if err != nil {
			return usage("--resume %s: %w", path, err)
		}
		parts = append(parts, part)
	}
	whole, err := stage.Merge(parts)
	if err != nil {
		return usage("--resume: %w", err)
	}
	if reduced := whole.Method == "reduced"; reduced != x.Reduced {
		return usage("--resume: the search was begun %s: do the same again", map[bool]string{true: "without --brute and --bound", false: "with --brute or --bound"}[reduced])
	}
	x.Resume = &whole
	return nil
}

// build tells one build of racelab from another: what a schedule does is up to
// the code of strategies, engines and the search. It is of the program itself,
// because not every build knows its version.
func build() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, file)
	return hex.EncodeToString(sum.Sum(nil)), err
}

// next says how to go on with what is left, "" if nothing is, or there is no
// need to. It changes the flags into those of the line that does.
func (f *exploreFlags) next(c *cobra.Command, name string, v racelab.VerdictKind, left *stage.Frontier) string {
	switch {
	case left == nil:
		return ""
	case f.part != "":
		return "when all parts are saved: the same with --resume and all their files, F1,F2, instead of --part and --save"
	case left.Done():
		return ""
	case !left.Begun:
		return "not enough was searched to go on from: give a larger --budget or fewer --sessions, or take a sample with --random 1000"
	case f.save != "":
		_ = c.Flags().Set("resume", f.save)
		return lineOf(c, name)
	case v == racelab.Unknown:
		return "the same with --save FILE keeps what is left to do, and with --resume FILE goes on with it"
	}
	return ""
}

// saveFrontier writes what is left of a search.
func saveFrontier(path string, left stage.Frontier) error {
	text, err := left.Text()
	if err == nil {
		err = replaceFile(path, text)
	}
	if err != nil {
		return fmt.Errorf("--save: %w", err)
	}
	return nil
}
