package main

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/racelab/racelab/internal/nearest"
	"github.com/racelab/racelab/scenario"
)

// address returns the URL that a target means, and whether it is the lab's by
// its name.
func (f hitFlags) address(target string) (u *url.URL, named bool, err error) {
	if strings.Contains(target, "://") {
		u, err := parseHTTP(target)
		return u, false, err
	}
	if u, err = parseHTTP(f.lab); err != nil {
		return nil, false, fmt.Errorf("--lab or RACELAB_LAB: %w", err)
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return nil, false, errors.New("--lab or RACELAB_LAB has a path or query: give only scheme, host and port")
	}
	deposit, _ := scenario.Named("deposit")
	var endpoints, strategies []string
	for _, st := range deposit.Strategies {
		strategies = append(strategies, st.Name)
		for _, e := range st.Endpoints {
			if !slices.Contains(endpoints, e) {
				endpoints = append(endpoints, e)
			}
		}
	}
	switch {
	case slices.Contains(endpoints, target):
		u.Path = "/demo/" + target + "/"
	case slices.Contains(strategies, target):
		u.Path = "/deposit/" + target
	case strings.ContainsAny(target, ":/@"):
		return nil, false, errors.New("the target is neither a name nor a whole http:// URL")
	default:
		return nil, false, nearest.Unknown("endpoint or strategy", target, append(endpoints, strategies...))
	}
	return u, true, nil
}

// parseHTTP never quotes: what cannot be read may hold a password.
func parseHTTP(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("the URL cannot be read: write http://HOST:PORT/PATH")
	case u.Scheme != "http" && u.Scheme != "https":
		if u.Scheme != "" && len(u.Scheme) <= 16 && strings.Trim(u.Scheme, "abcdefghijklmnopqrstuvwxyz") == "" {
			return nil, fmt.Errorf("the URL's scheme is %s: write http://HOST:PORT/PATH", u.Scheme)
		}
		return nil, errors.New("the URL is no http:// URL")
	case u.Hostname() == "":
		return nil, errors.New("the URL names no host: write http://HOST:PORT/PATH")
	case u.User != nil:
		return nil, errors.New("the URL holds a name or password: that would be in every report")
	}
	u.Fragment = ""
	return u, nil
}
