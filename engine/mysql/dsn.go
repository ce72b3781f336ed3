package mysql

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

// parseDSN reads
//
//	mysql://user:password@host:port/database?tls=true
//	mysql:///database?socket=/path
//	mysql://user:password@unix(/path)/database
//
// mariadb:// is the same. No error of it holds any of the text, because that
// may hold a password.
func parseDSN(dsn string) (*driver.Config, error) {
	scheme, rest, found := strings.Cut(dsn, "://")
	if !found || scheme != "mysql" && scheme != "mariadb" {
		return nil, errors.New("a DSN of this engine starts with mysql://")
	}
	socket := ""
	if before, after, found := strings.Cut(rest, "unix("); found && (before == "" || strings.HasSuffix(before, "@")) {
		path, after, found := strings.Cut(after, ")")
		if !found {
			return nil, errors.New("the mysql:// DSN lacks the ) after its socket's path")
		}
		socket, rest = path, before+after
	}
	u, err := url.Parse("mysql://" + rest)
	if err != nil {
		return nil, errors.New("the mysql:// DSN is no URL: write mysql://user:password@host:port/, with %XX for special characters")
	}
	config := driver.NewConfig()
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.DBName = strings.TrimPrefix(u.Path, "/")
	for key, values := range u.Query() {
		switch value := values[len(values)-1]; key {
		case "socket":
			socket = value
		case "tls":
			config.TLSConfig = value
		default:
			return nil, errors.New("the mysql:// DSN has a parameter other than socket and tls")
		}
	}
	switch {
	case socket != "" && u.Host != "":
		return nil, errors.New("the mysql:// DSN names a host and a socket: give one")
	case socket != "":
		config.Net, config.Addr = "unix", socket
	case strings.Contains(u.Hostname(), ":") && !strings.HasPrefix(u.Host, "["):
		return nil, errors.New("the mysql:// DSN's host has a colon: write [host]:port")
	default:
		port := u.Port()
		if port == "" {
			port = "3306"
		}
		host := u.Hostname()
		if host == "" {
			host = "127.0.0.1"
		}
		config.Net, config.Addr = "tcp", net.JoinHostPort(host, port)
	}
	if config.User == "" {
		config.User = "root"
	}
	config.Logger = &driver.NopLogger{} // the default prints to our stderr
	config.Timeout = 10 * time.Second   // to connect
	config.MultiStatements = true       // Conn.Text, resets and polls are one message each
	config.InterpolateParams = true     // one message an operation, not prepare, execute and close
	config.ParseTime = true
	config.ClientFoundRows = true // an UPDATE that finds a row but keeps its value counts it, as on other engines
	// The driver checks names of TLS configurations only here.
	if _, err := driver.NewConnector(config); err != nil {
		return nil, errors.New("the mysql:// DSN's tls is none of true, false, skip-verify, preferred")
	}
	return config, nil
}

// formatDSN is the inverse of parseDSN. The result may hold a password.
func formatDSN(config *driver.Config) string {
	u := url.URL{Scheme: "mysql", Path: "/" + config.DBName, User: url.User(config.User)}
	if config.Passwd != "" {
		u.User = url.UserPassword(config.User, config.Passwd)
	}
	query := url.Values{}
	if config.Net == "unix" {
		query.Set("socket", config.Addr)
	} else {
		u.Host = config.Addr
	}
	if config.TLSConfig != "" {
		query.Set("tls", config.TLSConfig)
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// describe names the server for an error, without its password.
func describe(config *driver.Config) string {
	return fmt.Sprintf("at %s, as user %s", config.Addr, config.User)
}
