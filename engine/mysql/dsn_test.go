package mysql

import (
	"strings"
	"testing"
)

func TestParseDSN(t *testing.T) {
	tests := []struct{ dsn, user, password, network, address, database string }{
		{"mysql://me:secret@db.example:3307/shop", "me", "secret", "tcp", "db.example:3307", "shop"},
		{"mysql://me@db.example", "me", "", "tcp", "db.example:3306", ""},
		{"mariadb://[::1]/", "root", "", "tcp", "[::1]:3306", ""},
		{"mysql:///", "root", "", "tcp", "127.0.0.1:3306", ""},
		{"mysql://me:p%40%2F%3A@h/d", "me", "p@/:", "tcp", "h:3306", "d"},
		{"mysql://me:secret@unix(/run/my(s)ql/s)/shop", "", "", "", "", ""}, // the path ends at the first )
		{"mysql://me:secret@unix(/run/mysqld/s)/shop", "me", "secret", "unix", "/run/mysqld/s", "shop"},
		{"mysql://unix(/run/mysqld/s)/", "root", "", "unix", "/run/mysqld/s", ""},
		{"mysql:///shop?socket=/run/mysqld/s", "root", "", "unix", "/run/mysqld/s", "shop"},
		{"mysql://me@h/?tls=skip-verify", "me", "", "tcp", "h:3306", ""},
	}
	for _, test := range tests {
		c, err := parseDSN(test.dsn)
		if test.network == "" {
			if err == nil {
				t.Errorf("%s: no error", test.dsn)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.dsn, err)
			continue
		}
		if c.User != test.user || c.Passwd != test.password || c.Net != test.network || c.Addr != test.address || c.DBName != test.database {
			t.Errorf("%s: %s:%s %s %s %s", test.dsn, c.User, c.Passwd, c.Net, c.Addr, c.DBName)
		}
	}
}

func TestBadDSNDoesNotShowItsPassword(t *testing.T) {
	for _, dsn := range []string{
		"postgres://me:hunter2@h/",
		"me:hunter2@tcp(h)/",
		"mysql://me:hunter2@h:port/",
		"mysql://me:hunter2@unix(/path",
		"mysql://me:hunter2@h/?socket=/path",
		"mysql://me:hunter2@h/?password=hunter2",
		"mysql://me:hunter2@h/?tls=hunter2",
		"mysql://me:hunter2%zz@h/",
		"mysql://me:hunter2\x00@h/",
	} {
		if _, err := parseDSN(dsn); err == nil {
			t.Errorf("%q: no error", dsn)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", dsn, err)
		}
	}
}

func FuzzDSN(f *testing.F) {
	for _, dsn := range []string{"mysql://me:p%40@h:1/d?tls=true", "mysql://unix(/s)/d", "mysql:///d?socket=/a b", "mysql://[::1%25lo]/"} {
		f.Add(dsn)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		c, err := parseDSN(dsn)
		if err != nil {
			return
		}
		again, err := parseDSN(formatDSN(c))
		if err != nil {
			t.Fatalf("%q became %q: %v", dsn, formatDSN(c), err)
		}
		if again.User != c.User || again.Passwd != c.Passwd || again.Net != c.Net || again.Addr != c.Addr || again.DBName != c.DBName || again.TLSConfig != c.TLSConfig {
			t.Errorf("%q became %q", dsn, formatDSN(c))
		}
	})
}
