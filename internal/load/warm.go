package load

import (
	"context"
	"net"
	"net/url"
	"sync"
)

// A warm pool holds connections that were made before the start, so that the
// requests arrive together and not in the order of their handshakes.
type warm struct {
	dialer *net.Dialer

	mu    sync.Mutex
	conns []net.Conn
}

// fill makes n connections to target's address, all at once. One that cannot
// be made is no error here: its request will meet the same and be counted.
func (w *warm) fill(ctx context.Context, target string, n int) {
	u, err := url.Parse(target)
	if err != nil {
		return
	}
	port := u.Port()
	if port == "" {
		port = u.Scheme // "http" and "https" name their ports
	}
	address := net.JoinHostPort(u.Hostname(), port)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			conn, err := w.dialer.DialContext(ctx, "tcp", address)
			if err != nil {
				return
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.conns = append(w.conns, conn)
		})
	}
	wg.Wait()
}

// dial gives a warm connection, or a new one. All that dial is called for is
// the plan's one target.
func (w *warm) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	if n := len(w.conns); n > 0 {
		conn := w.conns[n-1]
		w.conns = w.conns[:n-1]
		w.mu.Unlock()
		return conn, nil
	}
	w.mu.Unlock()
	return w.dialer.DialContext(ctx, network, address)
}

// close gives up the connections that nobody took.
func (w *warm) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range w.conns {
		_ = conn.Close()
	}
	w.conns = nil
}
