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
	Loses     string // commands to try
	Holds     string
	Endpoints []endpointView
	Deposits  []endpointView
}

type endpointView struct{ Path, Strategy, Summary, Because string }

// DefaultURL is where `racelab hit` looks for a laboratory by itself.
const DefaultURL = "http://127.0.0.1:8080"

// Try returns two commands for the laboratory at url: one that loses money, and
// one that does not. Each does so on every engine: what a transaction or a row
// lock does, and whether there is one, depends on it.
func Try(url string) (loses, holds string) {
	at := " --wait 0"
	if url != DefaultURL {
		at = " --lab " + url + at
	}
	return "racelab hit non_atomic_long_delay" + at, "racelab hit atomic-update" + at
}

func (l *Lab) page(w http.ResponseWriter, _ *http.Request) {
	v := view{settings: l.current(), URL: l.URL()}
	v.Loses, v.Holds = Try(v.URL)
	for _, r := range routes(l.config.Engine, l.asked()) {
		if r.path == demoPath {
			v.Endpoints = append(v.Endpoints, r.view(r.path+r.name+"/"))
		} else {
			v.Deposits = append(v.Deposits, r.view(r.path+r.name))
		}
	}
	var b bytes.Buffer
	if err := page.Execute(&b, v); err != nil {
		fail(w, http.StatusInternalServerError, racelab.Other, "write the page: "+err.Error())
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
