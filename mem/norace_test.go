//go:build !race

package mem_test

// raceInChild has nothing to do: nobody is there to see a race.
func raceInChild() {}
