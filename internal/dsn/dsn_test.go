package dsn

import (
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	for _, c := range []struct{ name, dsn, want string }{
		{"", "", "sqlite"},
		{"mariadb", "", "mysql"},
		{"", "postgresql://me@host/db", "postgres"},
		{"mysql", "mariadb://me@host/", "mysql"},
		{"", "sqlite:lab.db", "sqlite"},
	} {
		if e, err := Resolve(c.name, c.dsn); err != nil || e.Name != c.want {
			t.Errorf("Resolve(%q, %q) = %s, %v; want %s", c.name, c.dsn, e.Name, err, c.want)
		}
	}
	for _, c := range []struct{ name, dsn, says string }{
		{"oracle", "", "unknown engine"},
		{"", "hunter2", "no scheme"},
		{"", "oracle://me:hunter2@host", "unknown engine"},
		{"sqlite", "postgres://me:hunter2@host", "the DSN is for postgres"},
		{"nonsense", "postgres://me:hunter2@host", "unknown engine"},
	} {
		_, err := Resolve(c.name, c.dsn)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Resolve(%q, %q) says %v, want %q", c.name, c.dsn, err, c.says)
		}
	}
}
