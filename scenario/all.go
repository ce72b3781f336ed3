// Package scenario holds the exhibits, one file each: code and explanation side
// by side. What `racelab show` prints is the text that was compiled.
package scenario

import "github.com/racelab/racelab"

// All lists the exhibits.
var All = []*racelab.Scenario{
	&deposit,
	&mixedWriters,
	&ledgerDeadlock,
	&transfer,
	&stock,
	&getOrCreate,
	&updateOrCreate,
	&counter,
	&bankMemory,
	&printing,
	&singleton,
	&selfDeadlock,
	&forgottenUnlock,
	&lockOrder,
	&philosophers,
	&pool,
	&eventNotify,
	&conditionQueue,
	&barrierPhases,
	&lazyMap,
	&library,
	&contextSwitch,
	&staleCache,
}

// Named returns the scenario of that name, and whether there is one.
func Named(name string) (*racelab.Scenario, bool) {
	for _, s := range All {
		if s.Name == name {
			return s, true
		}
	}
	return nil, false
}
