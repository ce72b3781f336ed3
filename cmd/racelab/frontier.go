package main

import (
	"fmt"
	"strings"

	"github.com/racelab/racelab/internal/stage"
)

// frontier reads --resume and --part.
func (f *exploreFlags) frontier(x *stage.Exploration) error {
	if f.part != "" {
		if n, err := fmt.Sscanf(f.part, "%d/%d", &x.Part.I, &x.Part.Of); n != 2 || err != nil || x.Part.String() != f.part || x.Part.I < 1 || x.Part.I > x.Part.Of || x.Part.Of > 1000 {
			return usage("--part is %q: give one of N parts, such as 1/2", f.part)
		}
	}
	if f.save != "" {
		if err := replaceable(f.save); err != nil {
			return usage("--save: %w", err)
		}
	}
	switch {
	case f.random > 0 && (f.save != "" || f.resume != "" || f.part != ""):
		return usage("random schedules leave nothing to save: do without --random")
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
