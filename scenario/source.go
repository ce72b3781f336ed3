package scenario

import (
	"embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"github.com/racelab/racelab"
)

//go:embed *.go
var files embed.FS

// A Listing is the source of a body as it was compiled.
type Listing struct {
	Doc  string // its comment: the explanation
	Code string // the function, and those of this package that it calls, and they call
	File string
	Line int
}

// Source returns the listing of a body in this package.
func Source(b racelab.Body) (Listing, error) {
	name := runtime.FuncForPC(reflect.ValueOf(b).Pointer()).Name()
	name = name[strings.LastIndex(name, ".")+1:]
	decls, err := functions()
	if err != nil {
		return Listing{}, err
	}
	f, ok := decls[name]
	if !ok {
		return Listing{}, fmt.Errorf("no function %s in the scenarios' source", name)
	}
	listing := Listing{Doc: f.decl.Doc.Text(), Code: f.code, File: f.file, Line: f.line}
	called := f.calls(decls)
	for i := 0; i < len(called); i++ {
		listing.Code += "\n\n" + decls[called[i]].code
		for _, further := range decls[called[i]].calls(decls) {
			if further != name && !slices.Contains(called, further) {
				called = append(called, further)
			}
		}
	}
	return listing, nil
}

type function struct {
	decl *ast.FuncDecl
	code string
	file string
	line int
}

// functions parses the package's functions, by name.
func functions() (map[string]function, error) {
	names, err := fs.Glob(files, "*.go")
	if err != nil {
		return nil, err
	}
	found := map[string]function{}
	for _, name := range names {
		src, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, src, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				start, end := set.Position(f.Pos()), set.Position(f.End())
				found[f.Name.Name] = function{f, string(src[start.Offset:end.Offset]), name, start.Line}
			}
		}
	}
	return found, nil
}

// calls lists the functions among decls that f mentions, in their order.
func (f function) calls(decls map[string]function) []string {
	var names []string
	ast.Inspect(f.decl.Body, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			if _, known := decls[id.Name]; known && !slices.Contains(names, id.Name) {
				names = append(names, id.Name)
			}
		}
		return true
	})
	return names
}
