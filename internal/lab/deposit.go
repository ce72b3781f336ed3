package lab

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/racelab/racelab"
	"github.com/racelab/racelab/internal/stage"
)

// deposit answers racelab's own endpoints: the contract's fields, a window if
// the request names one, and every failure with its own status and its reason.
func (w *worker) deposit(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the front is gone
	}
	form, err := fields(r.Header.Get("Content-Type"), body)
	var p paying
	if err == nil {
		p, err = readPaying(form)
	}
	window := cmp.Or(form["window"], r.Header.Get(windowHeader))
	if _, bad := stage.ParseSpan(window); err == nil && bad != nil {
		err = fmt.Errorf("window: %w", bad)
	}
	switch {
	case errors.Is(err, errNoAccount):
		fail(rw, http.StatusNotFound, racelab.NotFound, err.Error())
		return
	case err != nil:
		fail(rw, http.StatusBadRequest, badRequest, err.Error())
		return
	}
	result, err := w.pay(r, p, window)
	switch {
	case err == nil:
		rw.Header().Set(classHeader, string(result.Class))
		reply(rw, map[string]string{
			"strategy": r.Header.Get(strategyHeader), "class": string(result.Class),
		})
	case result.Class == racelab.Refused:
		fail(rw, http.StatusConflict, result.Class, err.Error())
	case errors.Is(err, racelab.ErrExhausted):
		fail(rw, http.StatusServiceUnavailable, result.Class, err.Error())
	case result.Class == racelab.NotFound:
		fail(rw, http.StatusNotFound, result.Class, errNoAccount.Error())
	default:
		fail(rw, http.StatusInternalServerError, result.Class, err.Error())
	}
}
