package racelab_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/racelab/racelab"

// A rule says what the packages that match a pattern may import of this
// project. Paths are below the module's; the root is "racelab".
type rule struct {
	packages string
	imports  string
	others   bool // whether they may import other people's modules
}

// The first rule whose pattern matches is the one that counts. There is none
// that lets anything import enginetest: it is for tests.
var rules = []rule{
	{"racelab", "", false},

	{"engine/enginetest", "racelab", true},
	{"engine/*", "racelab internal/tables internal/sqltext internal/throwaway", true},

	{"mem", "racelab", false},
	{"scenario", "racelab mem", false},
	{"internal/intake/*", "racelab internal/tables internal/sqltext", true},
	{"internal/spec", "racelab internal/sqltext internal/tables", false},
	{"internal/control", "racelab internal/tables", true},
	{"internal/check", "racelab internal/tables internal/sqltext", false},
	{"internal/picture", "racelab internal/tables internal/sqltext", false},

	{"internal/explore", "racelab internal/check", false},
	{"internal/isolation", "racelab internal/spec internal/sqltext", false},
	{"internal/stage", "racelab mem internal/intake/* internal/control internal/explore internal/check internal/spec internal/tables internal/sqltext internal/nearest", false},
	{"internal/dsn", "racelab engine/* internal/nearest", false},

	{"racetest", "racelab mem internal/stage internal/picture", false},
	{"internal/load", "internal/nearest", false},
	{"internal/models", "", false},
	{"internal/lab", "racelab scenario internal/dsn internal/stage internal/picture internal/control internal/throwaway internal/nearest", true},
	{"cmd/racelab", "racelab scenario internal/dsn internal/stage internal/isolation internal/spec internal/picture internal/load internal/lab internal/models internal/nearest", true},

	{"internal/tables", "racelab", false},
	{"internal/sqltext", "", false},
	{"internal/throwaway", "racelab", false},
	{"internal/nearest", "", false},
}

// objection says why pkg may not import imported, or is "".
func objection(pkg, imported string) string {
	i := slices.IndexFunc(rules, func(r rule) bool { return matches(r.packages, pkg) })
	switch {
	case i < 0:
		return "has no rule: say in imports_test.go what it may import"
	case foreign(imported) && rules[i].others:
		return ""
	case foreign(imported):
		return "is to do without other modules, and imports " + imported
	case imported == "engine/enginetest":
		return "is no test, and imports " + imported
	}
	for _, pattern := range strings.Fields(rules[i].imports) {
		if matches(pattern, imported) {
			return ""
		}
	}
	return "may not import " + imported
}

func matches(pattern, pkg string) bool {
	ok, err := path.Match(pattern, pkg)
	return ok && err == nil
}

// foreign reports whether a path begins with a host's name: another module's.
func foreign(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return strings.Contains(first, ".")
}

func TestImportsFollowTheDesign(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		t.Fatalf("go list: %s", failed.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	short := func(importPath string) (name string, ours bool) {
		if importPath == module {
			return "racelab", true
		}
		return strings.CutPrefix(importPath, module+"/")
	}
	for list := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := list.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkg, _ := short(p.ImportPath)
		for _, importPath := range p.Imports {
			imported, ours := short(importPath)
			if !ours && !foreign(importPath) {
				continue // the standard library
			}
			if why := objection(pkg, imported); why != "" {
				t.Errorf("%s %s", pkg, why)
			}
		}
	}
}

func TestTheImportRulesForbid(t *testing.T) {
	for _, c := range []struct {
		pkg, imported string
		allowed       bool
	}{
		{"engine/sqlite", "racelab", true},
		{"engine/sqlite", "modernc.org/sqlite", true},
		{"engine/sqlite", "engine/mysql", false},
		{"engine/sqlite", "engine/enginetest", false},
		{"engine/enginetest", "engine/sqlite", false},
		{"racelab", "mem", false},
		{"racelab", "github.com/jackc/pgx/v5", false},
		{"scenario", "mem", true},
		{"scenario", "internal/stage", false},
		{"mem", "scenario", false},
		{"internal/check", "internal/control", false},
		{"internal/intake/sqlgate", "internal/intake/pgwire", false},
		{"internal/stage", "internal/intake/sqlgate", true},
		{"internal/stage", "scenario", false},
		{"internal/stage", "engine/sqlite", false},
		{"internal/dsn", "engine/postgres", true},
		{"internal/dsn", "engine/enginetest", false},
		{"internal/lab", "internal/load", false},
		{"internal/load", "racelab", false},
		{"internal/load", "github.com/HdrHistogram/hdrhistogram-go", false},
		{"cmd/racelab", "internal/lab", true},
		{"cmd/racelab", "engine/mysql", false},
		{"cmd/racelab", "racetest", false},
		{"racetest", "internal/stage", true},
		{"racetest", "internal/dsn", false},
		{"internal/newcomer", "racelab", false},
	} {
		if why := objection(c.pkg, c.imported); (why == "") != c.allowed {
			t.Errorf("%s imports %s: allowed is to be %t, and the objection is %q", c.pkg, c.imported, c.allowed, why)
		}
	}
}

// An engine's differences are its fields and methods. Only its own package and
// the one that finds it by name may compare that name; tables keyed by it are
// data, and fine.
//
// That this reads every source file is also what makes the go tool run the
// tests of this file again when one changes: it does not see what go list read.
func TestOnlyEnginesAskForAnEnginesName(t *testing.T) {
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		switch dir := filepath.ToSlash(filepath.Dir(file)); {
		case err != nil:
			return err
		case entry.IsDir() && file != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata"):
			return filepath.SkipDir
		case !strings.HasSuffix(file, ".go"), strings.HasSuffix(file, "_test.go"):
			return nil
		case strings.HasPrefix(dir, "engine/"), dir == "internal/dsn":
			return nil
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, pos := range nameComparisons(parsed) {
			t.Errorf("%s branches on an engine's name", set.Position(pos))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// nameComparisons finds where an engine's name is compared: == and !=, and the
// cases of a switch.
func nameComparisons(file *ast.File) []token.Pos {
	var found []token.Pos
	look := func(exprs ...ast.Expr) {
		for _, e := range exprs {
			if lit, ok := e.(*ast.BasicLit); ok && slices.Contains([]string{`"sqlite"`, `"postgres"`, `"mysql"`, `"mariadb"`}, lit.Value) {
				found = append(found, lit.Pos())
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if n.Op == token.EQL || n.Op == token.NEQ {
				look(n.X, n.Y)
			}
		case *ast.CaseClause:
			look(n.List...)
		}
		return true
	})
	return found
}

func TestNameComparisonsAreFound(t *testing.T) {
	for code, want := range map[string]int{
		`if e.Name == "sqlite" {}`:                        1,
		`if "mysql" != name {}`:                           1,
		`switch name { case "memory", "postgres": }`:      1,
		`_ = map[string]bool{"mariadb": true}["mariadb"]`: 0,
		`open("postgres")`:                                0,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "", "package p; func f() { "+code+" }", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(nameComparisons(file)); got != want {
			t.Errorf("%s: found %d, want %d", code, got, want)
		}
	}
}
