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
		{"", "mysql://me:hunter2@unix(/run/100%/my.sock)/", "mysql"},
		{"", "mysql:///?socket=/run/my.sock", "mysql"},
		{"", "postgres://me@[::1]:5432/db?sslmode=disable", "postgres"},
	} {
		if e, err := Resolve(c.name, c.dsn, nil); err != nil || e.Name != c.want {
			t.Errorf("Resolve(%q, %q) = %s, %v; want %s", c.name, c.dsn, e.Name, err, c.want)
		}
	}
	for _, c := range []struct{ name, dsn, says string }{
		{"oracle", "", "unknown engine"},
		{"", "hunter2", "no scheme"},
		{"", "oracle://me:hunter2@host", "unknown engine"},
		{"sqlite", "postgres://me:hunter2@host", "the DSN is for postgres"},
		{"", "password=hunter2 host=::1", "no scheme"},
		{"", "hunter2://host", "no scheme"},
		{"", ":hunter2", "no scheme"},
		{"", "sqlite:", "sqlite:PATH"},
		{"", "mysql:me:hunter2@host", "mysql://user"},
		{"", "postgres://me:hunter2@host:54x2/", "postgres://user"},
		{"", "postgres://me:hunter2@host:543200/", "postgres://user"},
		{"", "mysql://me:hunter2%@host/", "mysql://user"},
		{"nonsense", "postgres://me:hunter2@host", "unknown engine"},
	} {
		_, err := Resolve(c.name, c.dsn, nil)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Resolve(%q, %q) says %v, want %q", c.name, c.dsn, err, c.says)
		}
	}
}
