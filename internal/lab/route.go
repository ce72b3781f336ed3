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

// demoRoute returns the route of one of the reference's endpoints: the first
// strategy with that endpoint which the engine has.
func demoRoute(name string, e racelab.Engine, l racelab.Level) (route, error) {
	s := exhibit()
	r := route{path: demoPath, name: name, atOnce: strings.HasSuffix(name, "_no_delay")}
	for i := range s.Strategies {
		st := &s.Strategies[i]
		if !slices.Contains(st.Endpoints, name) {
			continue
		}
		why := st.Because(e, l)
		if r.strategy == nil || why == "" {
			r.strategy, r.because = st, why
		}
		if why == "" {
			return r, nil
		}
	}
	if r.strategy == nil {
		return r, nearest.Unknown("endpoint", name, endpoints())
	}
	return r, nil
}

func depositRoute(name string, e racelab.Engine, l racelab.Level) (route, error) {
	s := exhibit()
	st, ok := s.Strategy(name)
	if !ok {
		var names []string
		for _, st := range s.Strategies {
			names = append(names, st.Name)
		}
		return route{}, nearest.Unknown("strategy of "+s.Name, name, names)
	}
	return route{path: depositPath, name: name, strategy: st, because: st.Because(e, l)}, nil
}

// endpoints lists the reference's endpoints, each once.
func endpoints() []string {
	var names []string
	for _, st := range exhibit().Strategies {
		for _, name := range st.Endpoints {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
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
