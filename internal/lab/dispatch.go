package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"
)

// mostBody bounds a request's body in bytes.
const mostBody = 64 << 10

var requestName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (l *Lab) demo(w http.ResponseWriter, r *http.Request)    { l.dispatch(w, r, demoPath) }
func (l *Lab) deposit(w http.ResponseWriter, r *http.Request) { l.dispatch(w, r, depositPath) }

func noSlash(w http.ResponseWriter, r *http.Request) {
	fail(w, http.StatusNotFound, badRequest, "the reference's endpoints end in a slash: "+demoPath+r.PathValue("name")+"/")
}

// dispatch gives the request to a worker and waits for the answer, but not for
// ever. Nothing that happens to the client or its patience ends the request.
func (l *Lab) dispatch(w http.ResponseWriter, r *http.Request, path string) {
	patience, cancel := context.WithTimeout(r.Context(), l.config.FrontTimeout)
	defer cancel()
	to, err := find(routes(l.config.Engine, l.asked()), path, r.PathValue("name"))
	if err != nil {
		fail(w, http.StatusNotFound, badRequest, err.Error())
		return
	}
	w.Header().Set(strategyHeader, to.strategy.Name)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge) && to.path == depositPath:
		fail(w, http.StatusRequestEntityTooLarge, badRequest, fmt.Sprintf("the body has more than %d bytes", mostBody))
		return
	case err != nil: // too large, or broken off
		w.Header().Set(classHeader, string(badRequest))
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	// From here on there is nothing to read but the client's end.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	if to.refuse(w, r.Method) {
		return
	}
	name := r.Header.Get(requestHeader)
	if name != "" && !requestName.MatchString(name) {
		fail(w, http.StatusBadRequest, badRequest, requestHeader+" takes 1 to 64 letters, digits, dots, underscores and hyphens")
		return
	}
	window := l.window()
	if to.atOnce {
		window.Min, window.Max = 0, 0
	}
	queued := request{route: to, method: r.Method, body: body, answer: make(chan answer, 1), header: http.Header{
		"Content-Type": r.Header["Content-Type"],
		strategyHeader: {to.strategy.Name},
		windowHeader:   {window.String()},
	}}
	if name != "" {
		queued.header.Set(requestHeader, name)
	}
	switch err := l.pool.submit(patience, queued); {
	case errors.Is(err, context.DeadlineExceeded):
		fail(w, http.StatusGatewayTimeout, overloaded,
			fmt.Sprintf("the laboratory's settings were being changed for %s; the request did not run", l.config.FrontTimeout))
		return
	case err != nil:
		fail(w, http.StatusServiceUnavailable, overloaded, err.Error())
		return
	}
	select {
	case a := <-queued.answer:
		a.write(w)
	case <-patience.Done():
		if r.Context().Err() != nil {
			return // nobody is left to answer
		}
		fail(w, http.StatusGatewayTimeout, unknown,
			fmt.Sprintf("there was no answer within %s; the request runs on to its end", l.config.FrontTimeout))
	}
}
