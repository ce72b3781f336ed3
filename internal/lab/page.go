package lab

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"

	"github.com/racelab/racelab"
)

//go:embed static
var static embed.FS

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// A view is what the page shows.
type view struct {
	settings
	URL       string
	Lab       string // the flag that leads `racelab hit` here; "" for its default
	Endpoints []endpointView
	Deposits  []endpointView
}

type endpointView struct{ Path, Strategy, Summary, Because string }

// DefaultURL is where `racelab hit` looks for a laboratory by itself.
const DefaultURL = "http://127.0.0.1:8080"

func (l *Lab) page(w http.ResponseWriter, _ *http.Request) {
	v := view{settings: l.current(), URL: l.URL()}
	if v.URL != DefaultURL {
		v.Lab = " --lab " + v.URL
	}
	e, level := l.config.Engine, l.asked()
	for _, name := range endpoints() {
		if r, err := demoRoute(name, e, level); err == nil {
			v.Endpoints = append(v.Endpoints, r.view(demoPath+name+"/"))
		}
	}
	for _, st := range exhibit().Strategies {
		if r, err := depositRoute(st.Name, e, level); err == nil {
			v.Deposits = append(v.Deposits, r.view(depositPath+st.Name))
		}
	}
	var b bytes.Buffer
	if err := page.Execute(&b, v); err != nil {
		fail(w, http.StatusInternalServerError, "", "write the page: "+err.Error())
		return
	}
	answer{http.StatusOK, http.Header{"Content-Type": {"text/html; charset=utf-8"}}, b.Bytes()}.write(w)
}

func (r route) view(path string) endpointView {
	return endpointView{path, r.strategy.Name, r.strategy.Summary, r.because}
}

// level is the one that statements run at: the one that was asked for, or the
// engine's first.
func (l *Lab) level() racelab.Level {
	level, _ := l.config.Engine.Dialect.Level(l.asked()) // what was asked for has been checked
	return level
}
