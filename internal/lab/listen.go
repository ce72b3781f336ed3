package lab

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// A Taken error says that somebody else listens on the port.
type Taken struct {
	Address string
	Holder  string // "name (process 123)", "" if not known
}

func (e Taken) Error() string {
	if e.Holder == "" {
		return e.Address + " is taken by another process"
	}
	return e.Address + " is taken by " + e.Holder
}

// addresses returns what --listen means: localhost is both loopback addresses,
// as it is for clients, and no host is 127.0.0.1. Any other host is refused:
// whoever reaches the laboratory can change its data.
func addresses(listen string) (hosts []string, port int, err error) {
	host, number, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, 0, fmt.Errorf("%q is no address to listen on: write it as 127.0.0.1:8080", listen)
	}
	port, err = strconv.Atoi(number)
	if err != nil || port < 0 || port > 65535 {
		return nil, 0, fmt.Errorf("%q is no address to listen on: the port is a number from 0 (any that is free) to 65535", listen)
	}
	switch ip := net.ParseIP(host); {
	case host == "":
		return []string{"127.0.0.1"}, port, nil
	case host == "localhost":
		return []string{"127.0.0.1", "::1"}, port, nil
	case ip == nil || !ip.IsLoopback():
		return nil, 0, fmt.Errorf("%q is not a loopback address: anybody who reaches the laboratory may change its data, "+
			"and it has no password yet; listen on 127.0.0.1, ::1 or localhost", listen)
	}
	return []string{host}, port, nil
}

// listen opens the addresses. Of localhost's two, one is enough: a machine may
// have no IPv6.
func listen(address string) (open []net.Listener, err error) {
	hosts, port, err := addresses(address)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			for _, l := range open {
				l.Close()
			}
		}
	}()
	for i, host := range hosts {
		at := net.JoinHostPort(host, strconv.Itoa(port))
		l, err := net.Listen("tcp", at)
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			return open, Taken{at, holder(port)}
		case err != nil && i > 0:
			continue
		case err != nil:
			return open, fmt.Errorf("listen on %s: %w", at, err)
		}
		open = append(open, l)
		port = l.Addr().(*net.TCPAddr).Port // of port 0
	}
	return open, nil
}
