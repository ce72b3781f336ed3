package lab

import (
	"log/slog"
	"net/http"
	"time"
)

// logged writes a line for each request: never a body, and of the headers only
// those that we made ourselves.
func logged(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !log.Enabled(r.Context(), slog.LevelInfo) {
			next.ServeHTTP(w, r)
			return
		}
		began := time.Now()
		noted := &noting{ResponseWriter: w}
		next.ServeHTTP(noted, r)
		log.Info("request", "method", r.Method, "path", r.URL.Path, "status", noted.status, "class", w.Header().Get(classHeader),
			"strategy", w.Header().Get(strategyHeader), "ms", time.Since(began).Milliseconds())
	})
}

// noting keeps an answer's status; 0 if there was none.
type noting struct {
	http.ResponseWriter
	status int
}

func (n *noting) WriteHeader(status int) {
	n.status = status
	n.ResponseWriter.WriteHeader(status)
}

func (n *noting) Write(b []byte) (int, error) {
	if n.status == 0 {
		n.status = http.StatusOK
	}
	return n.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (n *noting) Unwrap() http.ResponseWriter { return n.ResponseWriter }
