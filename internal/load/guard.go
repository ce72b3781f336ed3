package load

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ErrNotLoopback says that a request would have left this machine.
var ErrNotLoopback = errors.New("not a loopback address")

const (
	connectLimit = 10 * time.Second
	headerLimit  = 64 << 10 // bytes of an answer's headers
)

// newDialer makes connections, to this machine only unless allowHost is set.
// What is checked is the address that was resolved, at the moment of the
// connection, so that no name can lead elsewhere.
func newDialer(allowHost bool) *net.Dialer {
	d := &net.Dialer{Timeout: connectLimit}
	if !allowHost {
		d.Control = loopbackOnly
	}
	return d
}

func loopbackOnly(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil || !a.Addr().Unmap().IsLoopback() {
		return fmt.Errorf("%s: %w", address, ErrNotLoopback)
	}
	return nil
}

// newTransport is without a proxy, also if the environment names one: it would
// be the proxy's address that is checked, and its time that is measured.
func newTransport() *http.Transport {
	return &http.Transport{
		MaxIdleConnsPerHost:    MostConcurrent,
		IdleConnTimeout:        30 * time.Second,
		TLSHandshakeTimeout:    connectLimit,
		MaxResponseHeaderBytes: headerLimit,
		DisableCompression:     true,
	}
}
