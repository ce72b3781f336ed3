package lab

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// bodyWait is how long a request's body may take to come. It is set here and
// not as the server's ReadTimeout, which would also end requests that wait for
// their answer.
const bodyWait = 20 * time.Second

// guard keeps away what a web page elsewhere could make a browser do here: a
// name that was pointed at this address (DNS rebinding) fails at the Host
// check, a form or script of another origin at the cross-origin check. Programs
// send no Origin and pass.
func guard(next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		if !ours(r) {
			fail(w, http.StatusMisdirectedRequest, badRequest, "the Host header does not name this laboratory: use the address that `racelab serve` printed")
			return
		}
		if err := origins.Check(r); err != nil {
			fail(w, http.StatusForbidden, badRequest, "this comes from a page of another origin: "+err.Error())
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyWait))
		next.ServeHTTP(w, r)
	})
}

// ours reports whether the request's Host is a name or address of this machine
// alone, with the port it came in on.
func ours(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return false
	}
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil { // no port: http's own
		host, port = r.Host, "80"
		if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
			host = host[1 : n-1]
		}
	}
	if port != strconv.Itoa(local.Port) {
		return false
	}
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && (ip.IsLoopback() || ip.Equal(local.IP))
}
