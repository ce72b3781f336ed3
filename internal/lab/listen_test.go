package lab

import (
	"errors"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestOnlyLoopbackIsListenedOn(t *testing.T) {
	for text, want := range map[string][]string{
		"127.0.0.1:8080": {"127.0.0.1"}, "127.0.0.2:0": {"127.0.0.2"}, "[::1]:80": {"::1"}, ":0": {"127.0.0.1"}, ":8080": {"127.0.0.1"},
		"localhost:80": {"127.0.0.1", "::1"},
	} {
		if got, _, err := addresses(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"0.0.0.0:80", "[::]:80", "10.0.0.1:80", "example.com:80", "8080", "", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:-1", "localhost.evil.example:80"} {
		if got, _, err := addresses(text); err == nil {
			t.Errorf("%s: %v; want an error", text, got)
		}
	}
}

func TestLocalhostIsBothFamilies(t *testing.T) {
	want := []string{"127.0.0.1"}
	if probe, err := net.Listen("tcp", "[::1]:0"); err == nil { // a machine may have no IPv6
		probe.Close()
		want = append(want, "::1")
	}
	open, err := listen("localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	var hosts, ports []string
	for _, l := range open {
		host, port, _ := net.SplitHostPort(l.Addr().String())
		hosts, ports = append(hosts, host), append(ports, port)
		l.Close()
	}
	if !slices.Equal(hosts, want) || ports[0] != ports[len(ports)-1] {
		t.Errorf("%v %v", hosts, ports)
	}
}

func TestTakenPortNamesItsHolder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := testConfig()
	c.Listen = l.Addr().String()
	lab, err := Start(t.Context(), c)
	if err == nil {
		lab.Close(t.Context())
	}
	var taken Taken
	if !errors.As(err, &taken) || taken.Address != c.Listen {
		t.Fatalf("%v", err)
	}
	if own := "(process " + strconv.Itoa(os.Getpid()) + ")"; runtime.GOOS == "linux" && !strings.Contains(err.Error(), own) {
		t.Errorf("%v; want %s", err, own)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, spoil := range map[string]func(*Config){
		"0 workers": func(c *Config) { c.Workers = 0 }, "10000 workers": func(c *Config) { c.Workers = 10000 },
		"not a loopback address": func(c *Config) { c.Listen = "0.0.0.0:80" }, "above 0": func(c *Config) { c.FrontTimeout = 0 },
		"READ COMMITTED": func(c *Config) { c.Level = "READ COMMITTED" },
	} {
		c := testConfig()
		spoil(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
