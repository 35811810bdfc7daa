package requirements

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	shared = "../../../shared"
)

// specs are the headings of docs/requirements.md, and the texts that they are about.
var specs = map[string]string{
	"RFC 9846, TLS 1.3":     "rfc9846-tls13.md",
	"RFC 9147bis, DTLS 1.3": "rfc9147bis-dtls13.md",
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// needShared skips the test in a clone that has no ../shared.
func needShared(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(shared, name)); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("../shared/%s is not here: %v", name, err)
	}
}

// TestRequirements: each sentence that requires something has its row, and each row its
// sentence.
func TestRequirements(t *testing.T) {
	needShared(t, "specs")
	tables := parse(read(t, root+"/docs/requirements.md"))
	if len(tables) != len(specs) {
		t.Errorf("docs/requirements.md has %d tables, want %d", len(tables), len(specs))
	}
	for heading, file := range specs {
		sentences := extract(read(t, filepath.Join(shared, "specs", file)))
		if len(sentences) < 100 {
			t.Errorf("%s: only %d sentences are found", file, len(sentences))
		}
		for _, fault := range compare(sentences, tables[heading]) {
			t.Errorf("%s: %s", heading, fault)
		}
	}
}

// TestEvidence: what the rows name exists.
func TestEvidence(t *testing.T) {
	known := runnersTests(t)
	absent := strings.Split(read(t, root+"/docs/conformance.md"), "## Declined")[1]
	e := evidence{tests: goTests(t), runner: func(name string) error {
		switch {
		case strings.Contains(absent, "- `"+name+"`\n"):
			return fmt.Errorf("the runner's test %s is declined or not built", name)
		case known != nil && !known[name]:
			return fmt.Errorf("there is no test %s of the runner that applies", name)
		}
		return nil
	}}
	for _, table := range parse(read(t, root+"/docs/requirements.md")) {
		for _, r := range table {
			for _, fault := range e.check(r) {
				t.Error(fault)
			}
		}
	}
	if known == nil {
		t.Log("the names of the runner's tests are not compared: ../shared/bogo is not here")
	}
}

// runnersTests are the tests of the runner that apply, or nil without ../shared.
func runnersTests(t *testing.T) map[string]bool {
	if _, err := os.Stat(shared + "/bogo"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		return nil
	}
	names := map[string]bool{}
	for _, file := range []string{"applicable.txt", "more.tsv"} {
		for line := range strings.Lines(read(t, filepath.Join(shared, "bogo", file))) {
			name, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			names[name] = true
		}
	}
	return names
}

// goTests finds the tests of this repository, and the strings that their files have:
// among them are the names of their cases.
func goTests(t *testing.T) map[string]map[string]bool {
	t.Helper()
	tests := map[string]map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "cmd"):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		room := filepath.Base(filepath.Dir(path))
		if filepath.Dir(path) == filepath.Clean(root) {
			room = "hermetic"
		}
		cases := map[string]bool{}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					cases[s] = true
				}
			}
			return true
		})
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				tests[room+"."+fn.Name.Name] = cases
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

// TestExtract: what is a sentence, and of which section.
func TestExtract(t *testing.T) {
	spec := `
abstract MUST not count
--- middle
# One
A server MUST do this, e.g., Always.
It is not
required. "A client"
MUST NOT do that ({{Section 3 of RFC1}}). It MAY do more.
## Two {#anchor}
~~~
MUST in a figure
~~~
Such a message MUST:

 - have {{!X}} an "a", i.e. MUST have it; and
   this, which is SHALL

name:
: This field MUST be zero.
  It is.
# Three
| a row MUST be | its own |
| that is not | required |
1. First, it is REQUIRED.
2. Then it MUST NOT
end with the bits
001. Then it SHALL.
--- back
# A
## B
This MUST. That MUST? (And those MUST.)
`
	want := []sentence{
		{"1", "A server MUST do this, e.g., Always."},
		{"1", `"A client" MUST NOT do that (Section 3 of RFC1).`},
		{"1.1", "Such a message MUST:"},
		{"1.1", `have X an "a", i.e. MUST have it; and this, which is SHALL`},
		{"1.1", "This field MUST be zero."},
		{"2", "| a row MUST be | its own |"},
		{"2", "First, it is REQUIRED."},
		{"2", "Then it MUST NOT end with the bits 001."},
		{"2", "Then it SHALL."},
		{"A.1", "This MUST."},
		{"A.1", "That MUST?"},
		{"A.1", "(And those MUST.)"},
	}
	if got := extract(spec); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestCompare: each kind of difference is found.
func TestCompare(t *testing.T) {
	spec := []sentence{{"1", "A client MUST do this."}, {"1", "A client MUST do that."}, {"2", "A client MUST do this."}}
	this, that, two := row{"1", "A client MUST do this.", ""}, row{"1", "A client MUST do that.", ""}, row{"2", "A client", ""}
	for _, test := range []struct {
		name   string
		table  []row
		faults int
	}{
		{"all", []row{this, that, two}, 0},
		{"a sentence without a row", []row{this, two}, 1},
		{"a row without a sentence", []row{this, that, two, {"2", "A server", ""}}, 1},
		{"a row of another section", []row{this, that, {"3", "A client", ""}}, 2},
		{"a part of a word", []row{this, that, {"2", "A cli", ""}}, 2},
		{"a row of two sentences", []row{{"1", "A client MUST do", ""}, two}, 1},
		{"a row twice", []row{this, that, two, two}, 1},
		{"the wrong order", []row{that, this, two}, 1},
		{"nothing", nil, 3},
	} {
		if got := compare(spec, test.table); len(got) != test.faults {
			t.Errorf("%s: %q, want %d", test.name, got, test.faults)
		}
	}
}

// TestCheck: what a row may name, and what it may not.
func TestCheck(t *testing.T) {
	e := evidence{
		tests: map[string]map[string]bool{"wire.TestA": {"a case; or: two": false, "a case": true}},
		runner: func(name string) error {
			if name != "Known" {
				return fmt.Errorf("there is no test %s", name)
			}
			return nil
		},
	}
	for shown, faults := range map[string]int{
		"`wire.TestA`":                     0,
		"`wire.TestA`: a case":             0,
		"`wire.TestA`: another case":       1,
		"`wire.TestB`":                     1,
		"`TestA`":                          1,
		"wire.TestA":                       1,
		"runner: `Known`":                  0,
		"runner: `Known`; `wire.TestA`":    0,
		"runner: `Unknown`":                1,
		"runner: `Unknown`; `wire.TestB`":  2,
		"runner: Known":                    1,
		"not applicable: it is for others": 0,
		"not applicable:":                  1,
		"not applicable":                   1,
		"the runner demands otherwise: `Known` has this":             0,
		"the runner demands otherwise: `Unknown` has it":             1,
		"the runner demands otherwise: `Known`":                      1,
		"the runner demands otherwise: it has this":                  1,
		"`wire.TestA`; the runner demands otherwise: `Known` has it": 0,
		"`wire.TestA`; not applicable: ":                             1,
		"the runner demands otherwise":                               1,
		"":                                                           1,
	} {
		if got := e.check(row{"1", "A client", shown}); len(got) != faults {
			t.Errorf("%q: %q, want %d", shown, got, faults)
		}
	}
}

// TestParse: which lines are rows, and of which table.
func TestParse(t *testing.T) {
	tables := parse("# Page\n\n- `a` | b | c\n\n## One\n\n| section | a | b |\n|---|---|---|\n| 1.2 | A client | `wire.TestA` |\n| A.1 | Two | x |\n## Two\n| 3 | Three | y |\n")
	if !slices.Equal(tables["One"], []row{{"1.2", "A client", "`wire.TestA`"}, {"A.1", "Two", "x"}}) || !slices.Equal(tables["Two"], []row{{"3", "Three", "y"}}) || len(tables) != 2 {
		t.Errorf("%q", tables)
	}
}
