package lab

import (
	"errors"
	"io"
	"net/http"

	"github.com/racelab/racelab"
)

// demo answers one of the reference's endpoints, to the letter: where its
// answers are empty, only the headers say more.
func (w *worker) demo(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the front is gone
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	form, err := fields(r.Header.Get("Content-Type"), body)
	if r.Method != http.MethodPost {
		form = nil // the reference looks at the fields of a POST, and of nothing else
	}
	var p paying
	if err == nil {
		p, err = readPaying(form)
	}
	switch {
	case errors.Is(err, errNoAccount):
		empty(rw, http.StatusNotFound, racelab.NotFound)
		return
	case err != nil:
		empty(rw, http.StatusBadRequest, badRequest)
		return
	}
	result, err := w.pay(r, p, r.Header.Get(windowHeader))
	switch result.Class {
	case racelab.OK:
		rw.Header().Set(classHeader, string(racelab.OK))
		_, _ = io.WriteString(rw, "200")
	case racelab.NotFound:
		empty(rw, http.StatusNotFound, racelab.NotFound)
	default:
		fail(rw, http.StatusInternalServerError, result.Class, err.Error())
	}
}

func empty(rw http.ResponseWriter, status int, class racelab.Class) {
	rw.Header().Set(classHeader, string(class))
	rw.WriteHeader(status)
}
