package sqltext

import "testing"

func TestRewriting(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT a FROM t WHERE id = ? FOR UPDATE":            "SELECT a FROM t WHERE id = ?",
		"SELECT a FROM t FOR NO KEY UPDATE OF t SKIP LOCKED": "SELECT a FROM t",
		"SELECT a FROM t LOCK IN SHARE MODE":                 "SELECT a FROM t",
		"SELECT 'FOR UPDATE' FROM t":                         "",
		"UPDATE t SET a = 1":                                 "",
	} {
		got, ok := WithoutLock(text)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q without its lock: %q, %v", text, got, ok)
		}
	}
	for text, want := range map[string]string{
		"SELECT a, b FROM t WHERE id = 1;":    "SELECT a, b FROM t WHERE id = 1 FOR UPDATE",
		"SELECT COUNT(*) FROM t":              "",
		"SELECT a FROM t FOR UPDATE":          "",
		"SELECT 1":                            "",
		"INSERT INTO t SELECT a FROM u":       "",
		"SELECT a FROM t WHERE b IN (1, 2)":   "SELECT a FROM t WHERE b IN (1, 2) FOR UPDATE",
		"SELECT DISTINCT a FROM t ORDER BY a": "",
	} {
		got, ok := WithLock(text)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q with a lock: %q, %v", text, got, ok)
		}
	}
	for text, want := range map[string]string{
		"BEGIN ISOLATION LEVEL REPEATABLE READ":                         "BEGIN",
		"begin isolation level serializable;":                           "begin;",
		"START TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY":   "START TRANSACTION READ ONLY",
		"BEGIN TRANSACTION READ ONLY, ISOLATION LEVEL READ UNCOMMITTED": "BEGIN TRANSACTION READ ONLY",
		"BEGIN":                                        "",
		"BEGIN ISOLATION LEVEL":                        "",
		"BEGIN ISOLATION LEVEL READ":                   "",
		"SELECT 1 AS isolation, level FROM t":          "",
		"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE": "",
	} {
		got, ok := WithoutLevel(text)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q without its level: %q, %v", text, got, ok)
		}
	}
	for text, want := range map[string]string{
		"CREATE TABLE t (a INTEGER UNIQUE, b INTEGER)":         "CREATE TABLE t (a INTEGER , b INTEGER)",
		"CREATE TABLE t (a INTEGER, UNIQUE (a, b), c INTEGER)": "CREATE TABLE t (a INTEGER, c INTEGER)",
		"CREATE TABLE t (a INTEGER, CONSTRAINT k UNIQUE (a))":  "CREATE TABLE t (a INTEGER)",
		"CREATE UNIQUE INDEX i ON t (a)":                       "CREATE  INDEX i ON t (a)",
		"CREATE TABLE t (a INTEGER)":                           "",
	} {
		got, ok := WithoutUnique(text, 0)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q without UNIQUE: %q, %v", text, got, ok)
		}
	}
	if got, ok := WithoutUnique("CREATE TABLE t (a INTEGER UNIQUE, b INTEGER UNIQUE)", 1); !ok || got != "CREATE TABLE t (a INTEGER UNIQUE, b INTEGER )" {
		t.Errorf("the second UNIQUE: %q, %v", got, ok)
	}
}
