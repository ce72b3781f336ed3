package lab

import (
	"fmt"
	"net/http"

	"github.com/racelab/racelab"
)

// classed sees to it that every answer has a class: those of net/http's own,
// that there is no such path, method or file, become problems like ours.
func classed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&classing{ResponseWriter: w, request: r}, r)
	})
}

type classing struct {
	http.ResponseWriter
	request *http.Request
	begun   bool
	instead bool // ours was given: theirs is dropped
}

func (c *classing) WriteHeader(status int) {
	h := c.Header()
	c.begun = true
	switch {
	case h.Get(classHeader) != "":
	case status < http.StatusBadRequest:
		h.Set(classHeader, string(racelab.OK))
	default:
		c.instead = true
		what := fmt.Sprintf("%s %s: %s", c.request.Method, c.request.URL.Path, http.StatusText(status))
		problemAnswer(status, badRequest, what).write(c.ResponseWriter)
		return
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *classing) Write(b []byte) (int, error) {
	if !c.begun {
		c.WriteHeader(http.StatusOK)
	}
	if c.instead {
		return len(b), nil
	}
	return c.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (c *classing) Unwrap() http.ResponseWriter { return c.ResponseWriter }
