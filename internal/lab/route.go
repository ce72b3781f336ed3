package lab

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/nearest"
	"github.com/racelab/racelab/internal/stage"
	"github.com/racelab/racelab/scenario"
)

// The two families of endpoints; a worker tells them apart by these paths.
const (
	demoPath    = "/demo/"    // the reference's contract, to the letter
	depositPath = "/deposit/" // racelab's own: every strategy, and it says what went wrong
)

// exhibit is the scenario behind the endpoints.
func exhibit() *racelab.Scenario {
	s, ok := scenario.Named("deposit")
	if !ok {
		panic("there is no scenario deposit")
	}
	return s
}

// A route is what an endpoint runs.
type route struct {
	path     string // demoPath or depositPath
	name     string // the endpoint's own
	strategy *racelab.Strategy
	because  string // why it is not available; "" if it is
	atOnce   bool   // its window is 0, whatever the laboratory's is
}

// routes lists all endpoints: the reference's, each with the first of its
// strategies that the engine has at the level, and one for every strategy.
func routes(e racelab.Engine, l racelab.Level) []route {
	var demo, deposit []route
	s := exhibit()
	for i := range s.Strategies {
		st := &s.Strategies[i]
		why := s.Because(st, e, l)
		deposit = append(deposit, route{path: depositPath, name: st.Name, strategy: st, because: why})
		for _, name := range st.Endpoints {
			r := route{path: demoPath, name: name, strategy: st, because: why, atOnce: strings.HasSuffix(name, "_no_delay")}
			i := slices.IndexFunc(demo, func(r route) bool { return r.name == name })
			switch {
			case i < 0:
				demo = append(demo, r)
			case demo[i].because != "":
				demo[i] = r
			}
		}
	}
	return append(demo, deposit...)
}

// find returns the route of the endpoint at path with that name.
func find(all []route, path, name string) (route, error) {
	var names []string
	for _, r := range all {
		switch {
		case r.path != path:
		case r.name == name:
			return r, nil
		default:
			names = append(names, r.name)
		}
	}
	return route{}, nearest.Unknown("endpoint of "+path, name, names)
}

// refuse answers what needs no worker, and reports whether it did: a strategy
// that the engine does not have, and a method that is none of the endpoint's.
func (r route) refuse(w http.ResponseWriter, method string) bool {
	switch {
	case r.path == depositPath && method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		fail(w, http.StatusMethodNotAllowed, badRequest, fmt.Sprintf("%s%s takes POST, with the fields account and amount", depositPath, r.name))
	case r.because != "":
		fail(w, http.StatusNotImplemented, notAvailable, stage.ErrNotAvailable{Strategy: r.strategy.Name, Because: r.because}.Error())
	default:
		return false
	}
	return true
}
