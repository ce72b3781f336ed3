package load

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	bodyLimit   = 1 << 20  // bytes that are read of an answer before its connection is given up
	detailLimit = 16 << 10 // bytes of an answer that are looked at
)

// send sends one request and fills in its result. The transport never sends a
// POST a second time once a byte of it was written, and follows no redirect.
func (r *runner) send(ctx, underWay context.Context, result Result) Result {
	limited, cancel := context.WithTimeout(underWay, r.plan.Timeout)
	defer cancel()

	var connected atomic.Bool
	var wrote atomic.Int64 // the hooks may run in other goroutines, and late
	wrote.Store(-1)
	traced := httptrace.WithClientTrace(limited, &httptrace.ClientTrace{
		GetConn: func(string) { connected.Store(false) }, // again, if a kept connection was dead before a byte was written
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if info.Err == nil {
				wrote.Store(int64(time.Since(r.start)))
			}
		},
	})
	request, err := http.NewRequestWithContext(traced, http.MethodPost, r.plan.URL, strings.NewReader(r.form))
	if err != nil { // the plan's URL was parsed before
		result.Outcome, result.Class = Failed, notConnected
		return result
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Racelab-Request", r.plan.ID(result.I))
	request.Header.Set("User-Agent", "racelab")

	answer, err := r.transport.RoundTrip(request)
	var body []byte
	if err == nil {
		body, err = readAnswer(answer.Body)
		result.Status = answer.StatusCode
		result.Strategy = name(answer.Header.Get("Racelab-Strategy"))
	}
	result.Latency = time.Since(r.start) - result.Intended
	result.Sent = time.Duration(wrote.Load())
	switch {
	case err != nil && !connected.Load():
		result.Outcome, result.Class = unconnected(err)
		if ctx.Err() != nil && result.Class == notConnected {
			result.Outcome, result.Class = NotSent, notSent
		}
	case err != nil && !final(result.Status):
		result.Outcome, result.Class = Unknown, broken(err, underWay.Err() != nil)
	default:
		result.Outcome, result.Class = answered(answer)
		if result.Outcome == Failed {
			result.Detail = detail(answer.Header, body)
		}
	}
	return result
}

// readAnswer reads an answer's body and returns its beginning. Of an endless
// one it leaves the rest: closing it then gives up the connection.
func readAnswer(body io.ReadCloser) ([]byte, error) {
	defer body.Close()
	head, err := io.ReadAll(io.LimitReader(body, detailLimit))
	if err == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(body, bodyLimit-detailLimit))
	}
	return head, err
}

// final reports whether the status alone says what became of the request. A
// success that breaks off is not one: it may have been cut on the way to saying
// something else.
func final(status int) bool {
	return status >= 300 && status != http.StatusBadGateway && status != http.StatusGatewayTimeout
}

// unconnected classes the error of a request that had no connection, and so
// has surely not run.
func unconnected(err error) (Outcome, string) {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return Failed, connectionRefused
	}
	return Failed, notConnected
}

// broken classes the error of a request that may have run.
func broken(err error, cut bool) string {
	var closed interface{ Timeout() bool }
	switch {
	case cut:
		return interrupted
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &closed) && closed.Timeout():
		return timeout
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		strings.Contains(err.Error(), "server closed idle connection"): // an error that net/http keeps to itself
		return reset
	}
	return badAnswer
}

// answered classes a complete answer. 502 and 504 come from a front that gave
// up on a worker, a lab may say "unknown" itself, and a lost connection of the
// worker's own may have been lost after its COMMIT: what was asked for may have
// happened, or may still.
func answered(a *http.Response) (Outcome, string) {
	class := name(a.Header.Get("Racelab-Class"))
	status := "http-" + strconv.Itoa(a.StatusCode)
	switch {
	case a.StatusCode == http.StatusBadGateway:
		return Unknown, badGateway
	case a.StatusCode == http.StatusGatewayTimeout:
		return Unknown, gatewayTimeout
	case a.StatusCode >= 200 && a.StatusCode < 300:
		return Acknowledged, ok
	case a.StatusCode >= 300 && a.StatusCode < 400:
		return Failed, redirect
	case class == "connection-lost":
		return Unknown, class
	case class == "unknown":
		return Unknown, status
	case class == "" || class == ok:
		return Failed, status
	}
	return Failed, class
}

// name returns s if it is a name as racelab's are, in kebab-case, and "" if
// not: it comes from outside, and goes into reports.
func name(s string) string {
	if len(s) > 64 {
		return ""
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return ""
		}
	}
	return s
}

// detail returns what an RFC 9457 problem document says.
func detail(h http.Header, body []byte) string {
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	if kind != "application/problem+json" {
		return ""
	}
	var problem struct{ Title, Detail string }
	if json.Unmarshal(body, &problem) != nil {
		return ""
	}
	if problem.Detail == "" {
		return problem.Title
	}
	return problem.Detail
}
