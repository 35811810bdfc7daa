package hermetic

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// banned are packages that the core does not import, and allowed the files that may.
var (
	banned = map[string]string{
		"net": "sockets", "net/http": "sockets", "syscall": "system calls", "os": "files", "os/exec": "processes",
		"io/ioutil": "files", "log": "output", "log/slog": "output", "unsafe": "no reason", "crypto/tls/internal": "private",
	}
	allowed = map[string][]string{
		"config_load.go": {"os"},      // files are read while a Config is made, and never after
		"context.go":     {"syscall"}, // for the value of EAGAIN
		// for the exporter of a tls.ConnectionState, which crypto/tls lets nobody else set
		"engine_state_tls.go": {"unsafe"},
		// for the type net.Conn, which callbacks see
		"engine_conn.go": {"net"}, "answer_callback.go": {"net"},
	}
)

// TestCoreDoesNoIO keeps the first rule of the house: the root package and
// internal/ start no goroutine and no timer, open no socket and no file, and
// read no clock and no random source that they were not given.
func TestCoreDoesNoIO(t *testing.T) {
	for _, file := range coreFiles(t) {
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range faultsOf(set, f, file) {
			t.Error(fault)
		}
	}
}

// givenElsewhere are the functions and variables of packages that the core imports for
// other things: clocks, timers and random sources that it was not given, and the files
// that may use them all the same.
var givenElsewhere = map[string]map[string][]string{
	"time": {
		"Sleep": nil, "After": nil, "AfterFunc": nil, "NewTimer": nil, "NewTicker": nil, "Tick": nil,
		"Now": {"config_compile.go"}, "Since": nil, "Until": nil, // the default of Config.Time
	},
	// The default of Config.Rand, and of SignRequest.Sign.
	"crypto/rand":  {"Reader": {"config_compile.go", "answer_pending.go"}, "Read": nil, "Text": nil, "Int": nil, "Prime": nil},
	"math/rand":    nil,
	"math/rand/v2": nil,
}

// faultsOf are the places of a file that break the rule.
func faultsOf(set *token.FileSet, f *ast.File, file string) (faults []string) {
	fault := func(at token.Pos, format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%s: %s", set.Position(at), fmt.Sprintf(format, args...)))
	}
	names := make(map[string]string) // of the packages of givenElsewhere, in this file
	for _, spec := range f.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		if why, ok := banned[imported]; ok && !slices.Contains(allowed[file], imported) {
			fault(spec.Pos(), "imports %s: %s", imported, why)
		}
		uses, ok := givenElsewhere[imported]
		switch {
		case !ok:
		case uses == nil:
			fault(spec.Pos(), "imports %s: randomness comes from Config.Rand", imported)
		case spec.Name == nil:
			names[path.Base(imported)] = imported
		case spec.Name.Name == ".":
			fault(spec.Pos(), "imports all names of %s", imported)
		default:
			names[spec.Name.Name] = imported
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			fault(n.Pos(), "starts a goroutine")
		case *ast.SelectStmt, *ast.ChanType:
			fault(n.Pos(), "uses channels")
		case *ast.SelectorExpr:
			pkg, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			except, ok := givenElsewhere[names[pkg.Name]][n.Sel.Name]
			if ok && !slices.Contains(except, file) {
				fault(n.Pos(), "%s.%s is not what the Config gives", names[pkg.Name], n.Sel.Name)
			}
		}
		return true
	})
	return faults
}

// TestRuleOfNoIO: the test of the rule finds what breaks it, under whatever name.
func TestRuleOfNoIO(t *testing.T) {
	for _, test := range []struct {
		name, source string
		fault        bool
	}{
		{"a package of the system", `import "os"`, true},
		{"rand.Read", `import "crypto/rand"; var _, _ = rand.Read(nil)`, true},
		{"rand.Text", `import "crypto/rand"; var _ = rand.Text()`, true},
		{"rand.Reader as a value", `import "crypto/rand"; var source = rand.Reader`, true},
		{"an alias", `import source "crypto/rand"; var _, _ = source.Read(nil)`, true},
		{"an alias of time", `import clock "time"; var _ = clock.Now()`, true},
		{"a dot import", `import . "time"; var _ = Now()`, true},
		{"math/rand", `import "math/rand/v2"; var _ = rand.N(2)`, true},
		{"a goroutine", `func f() { go f() }`, true},
		{"a channel", `var c chan int`, true},
		{"times that were given", `import "time"; func f(t time.Time) time.Time { return t.Add(time.Second) }`, false},
		{"a variable of that name", `func f(rand interface{ Read([]byte) }) { rand.Read(nil) }`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, "file.go", "package p; "+test.source, 0)
			if err != nil {
				t.Fatal(err)
			}
			if faults := faultsOf(set, f, "file.go"); len(faults) > 0 != test.fault {
				t.Errorf("faults: %q", faults)
			}
		})
	}
}

// coreFiles are the files of the root package, of internal/ and of trace/, without tests
// and what only tests use.
func coreFiles(t *testing.T) []string {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	events, err := filepath.Glob("trace/*.go")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, events...)
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
