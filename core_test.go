package hermetic

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestCoreDoesNoIO keeps the first rule of the house: the root package and
// internal/ start no goroutine and no timer, open no socket and no file, and
// read no clock and no random source that they were not given.
func TestCoreDoesNoIO(t *testing.T) {
	banned := map[string]string{
		"net": "sockets", "net/http": "sockets", "syscall": "system calls", "os": "files", "os/exec": "processes",
		"io/ioutil": "files", "log": "output", "log/slog": "output", "unsafe": "no reason", "crypto/tls/internal": "private",
	}
	allowed := map[string]map[string]bool{
		"config_load.go": {"os": true},      // files are read while a Config is made, and never after
		"context.go":     {"syscall": true}, // for the value of EAGAIN
	}
	for _, file := range coreFiles(t) {
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			if why, ok := banned[path]; ok && !allowed[file][path] {
				t.Errorf("%s imports %s: %s", file, path, why)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", set.Position(n.Pos()))
			case *ast.SelectStmt, *ast.ChanType:
				t.Errorf("%s uses channels", set.Position(n.Pos()))
			case *ast.SelectorExpr:
				checkSelector(t, set.Position(n.Pos()), n)
			}
			return true
		})
	}
}

// checkSelector finds clocks, timers and random sources that were not given.
func checkSelector(t *testing.T, at token.Position, n *ast.SelectorExpr) {
	pkg, ok := n.X.(*ast.Ident)
	if !ok {
		return
	}
	name := pkg.Name + "." + n.Sel.Name
	switch name {
	case "time.Sleep", "time.After", "time.AfterFunc", "time.NewTimer", "time.NewTicker", "time.Tick":
		t.Errorf("%s: %s", at, name)
	case "time.Now", "time.Since", "time.Until":
		if at.Filename != "config_compile.go" { // the default of Config.Time
			t.Errorf("%s: %s: the time comes from Config.Time", at, name)
		}
	case "rand.Reader":
		if at.Filename != "config_compile.go" && at.Filename != "answer_pending.go" { // the default of Config.Rand, and of SignRequest.Sign
			t.Errorf("%s: %s: randomness comes from Config.Rand", at, name)
		}
	}
}

// coreFiles are the files of the root package and of internal/, without tests
// and what only tests use.
func coreFiles(t *testing.T) []string {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir("internal", func(path string, d fs.DirEntry, err error) error {
		if d.IsDir() && d.Name() == "pkitest" {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var core []string
	for _, f := range files {
		if !strings.HasSuffix(f, "_test.go") {
			core = append(core, f)
		}
	}
	if len(core) < 30 {
		t.Fatalf("only %d files found: %v", len(core), core)
	}
	return core
}
